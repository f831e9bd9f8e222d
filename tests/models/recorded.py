"""Numbers that other people's transformers gave for recorded weights, and how their weights are called here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chains import prefixes
from torch import Tensor

from segue.data.batches.windows import Window
from segue.nn.encoders.base import PositionwiseEncoder

_FOLDER = Path(__file__).parent.parent / "fixtures"


def load_recorded(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a fixture, and its weights as tensors."""
    fixture = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return fixture, {key: torch.tensor(values) for key, values in fixture["weights"].items()}


def multi_head(weights: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """Rename what ``torch.nn.MultiheadAttention`` holds."""
    width = weights[f"{theirs}.out_proj.bias"].numel()
    renamed = {}
    for part in ("weight", "bias"):
        stacked = weights[f"{theirs}.in_proj_{part}"]
        renamed[f"{ours}.query.{part}"], renamed[f"{ours}.key_value.{part}"] = stacked[:width], stacked[width:]
        renamed[f"{ours}.output.{part}"] = weights[f"{theirs}.out_proj.{part}"]
    return renamed


def rename(weights: dict[str, Tensor], names: dict[str, str], parts: tuple[str, ...] = ("weight", "bias")) -> dict:
    """Rename layers (ours: theirs) with all their parts; a kernel of width one is a matrix."""
    return {f"{ours}.{part}": weights[f"{theirs}.{part}"].squeeze() for ours, theirs in names.items() for part in parts}


def padded(sessions: list[list[int]], width: int) -> Window:
    """Return sessions as a window of a given width."""
    return Window(torch.tensor([[0] * (width - len(session)) + session for session in sessions]))


@torch.no_grad()
def assert_equal_outputs(
    network: PositionwiseEncoder, sessions: list[list[int]], states: list[list[list[float]]], scores: list[list[float]]
) -> None:
    """Compare the state after each event, whatever the padding, and the scores after the last one."""
    width = network.max_length
    for row, expected in zip(network.states(padded(sessions, width)), states, strict=True):
        np.testing.assert_allclose(row[width - len(expected) :], expected, rtol=0, atol=1e-5)
    logits = network.logits(network.encode(prefixes(*sessions)))
    np.testing.assert_allclose(logits[:, 1:], scores, rtol=0, atol=1e-5)
