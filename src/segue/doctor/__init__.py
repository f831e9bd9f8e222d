"""A checklist for a finished run: what the figures, curves and models in its folder say about common mistakes."""
