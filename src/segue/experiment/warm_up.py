"""Compile all numerical code before it is needed."""

from typing import Any

_SETTINGS: dict[str, dict[str, Any]] = {
    "stan": {},
    "markov": {},
    "gru4rec": {"hidden_size": 8, "training": {"epochs": 1}},
    "fpmc": {},
}
