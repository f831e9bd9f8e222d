"""Blocks of models and measures: losses, samplers, recurrent layers, ranking, metrics."""
