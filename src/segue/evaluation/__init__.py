"""Evaluation of any scorer: ranking, metrics per case, confidence, significance, slices and the linter."""
