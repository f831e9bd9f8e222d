"""The summary of a network: its parameters, the cost of scoring a session, and the output shape of each layer."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from segue.data.sessions import Prefixes
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.neural import NeuralModel
from segue.nn.encoders.base import Encoder


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a network.

    Attributes:
        name: its name in the network; the last two are ``encode`` and ``logits``, the network as a whole.
        kind: its class.
        shape: shape of its output, ``()`` if the network uses its parameters without calling it.
        calls: number of calls for one session.
        parameters: its trained parameters, without those of layers inside it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    parameters: int


@dataclass(frozen=True)
class NetworkSummary:
    """The size of a network for a given catalogue, and the cost of scoring one session.

    FLOPs are the multiplications and additions of matrix products and convolutions, two per multiply-add; elementwise
    operations and Fourier transforms are not counted.

    Attributes:
        parameters: trained parameters of all layers.
        item_parameters: those of them that grow with the catalogue: item embeddings and biases.
        encoder_flops: to read the session.
        logits_flops: to score every item.
        layers: the layers that have parameters, in the order of the network; dropout and activations have none.
    """

    parameters: int
    item_parameters: int
    encoder_flops: int
    logits_flops: int
    layers: tuple[LayerSummary, ...]


def summary(model: Model, *, n_items: int = 10_000, length: int = 50) -> NetworkSummary | None:
    """Summarise the network of a model, fitted or not, from one session that it scores.

    Context features depend on a log and are left out.

    Args:
        model: the model.
        n_items: number of items N in the catalogue.
        length: events of the session, on as many different items as there are.

    Returns:
        The summary, or None for a model without a network.

    Raises:
        ParameterError: ``n_items`` or ``length`` is below 1.
    """
    for name, value in (("n_items", n_items), ("length", length)):
        if value < 1:
            raise ParameterError(f"{name}: must be at least 1, got {value}")
    if not isinstance(model, NeuralModel):
        return None
    with torch.random.fork_rng(devices=[]):
        network = model.build(n_items).eval()
        per_item = _size(model.build(2)) - _size(model.build(1))
    outputs = _record_shapes(network)
    events = np.arange(length)
    session = Prefixes((1 + events % n_items).astype(np.int32), np.array([0]), np.array([length]), 60 * events)
    with _counting() as reading:
        state = network.encode(session)
    with _counting() as scoring:
        logits = network.logits(state)
    return NetworkSummary(
        parameters=_size(network),
        item_parameters=per_item * (n_items + 1),
        encoder_flops=reading.get_total_flops(),
        logits_flops=scoring.get_total_flops(),
        layers=tuple(_layers(network, outputs, state, logits)),
    )


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """Count the FLOPs inside, those of matrix-vector products and of fused attention on a CPU included."""
    matrix_vector = {torch.ops.aten.mv: lambda matrix, vector, **_: 2 * math.prod(matrix)}
    counter = FlopCounterMode(display=False, custom_mapping=matrix_vector)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        yield counter


def _record_shapes(network: nn.Module) -> dict[str, list[tuple[int, ...]]]:
    """Record the output shapes of each module from now on."""
    outputs: dict[str, list[tuple[int, ...]]] = {name: [] for name, _ in network.named_modules()}

    def record(name: str, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        outputs[name].append(tuple(first.shape))

    for name, module in network.named_modules():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: record(name, output))
    return outputs


def _layers(
    network: Encoder, outputs: Mapping[str, list[tuple[int, ...]]], state: Tensor, logits: Tensor
) -> list[LayerSummary]:
    own: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        own[name.rpartition(".")[0]] += parameter.numel()
    layers = [
        LayerSummary(
            name, type(module).__name__, outputs[name][-1] if outputs[name] else (), len(outputs[name]), own[name]
        )
        for name, module in network.named_modules()
        if name and _size(module) and (outputs[name] or own[name])
    ]
    kind = type(network).__name__
    return [
        *layers,
        LayerSummary("encode", kind, tuple(state.shape), 1, own[""]),
        LayerSummary("logits", kind, tuple(logits.shape), 1, 0),
    ]
