"""A checklist for a finished run: what the metrics, curves and models in its folder say about common mistakes."""
