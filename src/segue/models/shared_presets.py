"""What the presets of the sequence encoders share."""

from collections.abc import Mapping
from typing import Any

SESSIONS: Mapping[str, Any] = {
    "embedding_size": 100,
    "max_length": 20,
    "similarity": "cosine",
    "temperature": 0.07,
    "training": {
        "positions": "last",
        "epochs": 4,
        "batch_size": 256,
        "learning_rate": 1.5e-3,
        "schedule": "linear",
        "optimizer": "mixed",
        "loss": {"kind": "sampled-softmax", "n_samples": 2048},
        "metric": "mrr@20",
    },
}
"""Presets ``sessions``, for short sessions of many items. Every prefix is an example. Scores are cosines divided by a
temperature, as in NISER (Gupta et al. 2019, arXiv 1909.04276)."""

BEAUTY: Mapping[str, Any] = {
    "positions": "all",
    "epochs": 30,
    "patience": None,
    "batch_size": 128,
    "learning_rate": 2e-3,
    "schedule": "linear",
    "loss": {"kind": "sampled-softmax", "n_samples": 512},
}
"""Training of the presets ``beauty``: for many short histories of a large catalogue."""
