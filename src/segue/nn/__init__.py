"""Parts of models and measures: encoders, losses, samplers, ranking, metrics."""
