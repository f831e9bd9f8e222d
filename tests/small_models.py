"""Parameters that make each model small enough to be fitted in a moment."""

from typing import Any

_ONE_EPOCH: dict[str, Any] = {"training": {"epochs": 1}}
_SMALL: dict[str, Any] = {"embedding_size": 4, "max_length": 5, **_ONE_EPOCH}
_BLOCKS: dict[str, Any] = {**_SMALL, "inner_size": 4, "layers": 1}
_WITHOUT_SIZE = {"session-popularity", "markov", "sequential-rules", "item-knn", "v-sknn", "stan", "vstan"}
_OWN: dict[str, dict[str, Any]] = {
    "als": {"embedding_size": 4, "training": {"iterations": 1}},
    "bpr": {"embedding_size": 4, "training": {"epochs": 1}},
    "popularity": {"season": "weekday"},
    "fpmc": {**_SMALL, "user": True},
    "gru4rec": {"hidden_size": 4, **_ONE_EPOCH},
    "narm": {**_SMALL, "hidden_size": 4},
    "sasrec": {**_BLOCKS, "features": ["hour", "shop", "price"]},
    "core": {**_BLOCKS, "heads": 1},
    "bert4rec": _BLOCKS,
    "gsasrec": _BLOCKS,
    "blend": {"models": ["markov", "stamp"], "parameters": {"stamp": _SMALL}, "candidates": 5},
    "two-stage": {"retriever": "markov", "ranker": "stamp", "ranker_parameters": _SMALL, "candidates": 5},
}


def parameters_of(model: str) -> dict[str, Any]:
    """Return the parameters of a small model."""
    return _OWN.get(model, {} if model in _WITHOUT_SIZE else _SMALL)
