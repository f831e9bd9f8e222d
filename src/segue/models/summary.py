"""What a network is made of: its parameters, the cost of scoring a session, and the shape at each step."""

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
class Step:
    """One part of a network that a session passes through.

    Attributes:
        name: where the part stands in the network; the last two steps are ``encode`` and ``logits``, the network as
            a whole.
        kind: its class.
        shape: shape of its output, ``()`` if the network uses its parameters without calling it.
        calls: how often it is called for one session.
        parameters: trained numbers of its own; those of a part inside it stand there.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    calls: int
    parameters: int


@dataclass(frozen=True)
class Anatomy:
    """A network for a given catalogue, and one session that it scored.

    FLOPs are the multiplications and additions of matrix products and convolutions, two per multiply-add; what is
    done element by element, and Fourier transforms, are left out.

    Attributes:
        parameters: trained numbers of all steps.
        item_parameters: those of them that grow with the catalogue: item embeddings and biases.
        encoder_flops: to read the session.
        logits_flops: to score every item from what was read.
        steps: the parts that have parameters, in the order of the network. Dropout and activations, which have none
            and keep the shape, are left out.
    """

    parameters: int
    item_parameters: int
    encoder_flops: int
    logits_flops: int
    steps: tuple[Step, ...]


def anatomy(model: Model, *, n_items: int = 10_000, length: int = 50) -> Anatomy | None:
    """Build the network of a model, which need not be fitted, and score one session with it.

    What a network reads besides items depends on a log, and is left out.

    Args:
        model: the model.
        n_items: number of items N in the catalogue.
        length: events of the session, on different items as far as there are so many.

    Returns:
        What was found, or None for a model that has no network.

    Raises:
        ParameterError: ``n_items`` or ``length`` is below 1.
    """
    for name, value in (("items", n_items), ("length", length)):
        if value < 1:
            raise ParameterError(f"{name}: must be at least 1, got {value}")
    if not isinstance(model, NeuralModel):
        return None
    with torch.random.fork_rng(devices=[]):
        network = model.build(n_items).eval()
        per_item = _size(model.build(2)) - _size(model.build(1))
    outputs = _watch(network)
    events = np.arange(length)
    session = Prefixes((1 + events % n_items).astype(np.int32), np.array([0]), np.array([length]), 60 * events)
    with _counting() as reading:
        state = network.encode(session)
    with _counting() as scoring:
        logits = network.logits(state)
    return Anatomy(
        parameters=_size(network),
        item_parameters=per_item * (n_items + 1),
        encoder_flops=reading.get_total_flops(),
        logits_flops=scoring.get_total_flops(),
        steps=tuple(_steps(network, outputs, state, logits)),
    )


def _size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """Count what is computed inside.

    What torch's own list leaves out is put in: the product of a matrix and a vector, and a CPU's fused attention,
    which is taken apart into its products.
    """
    of_vector = {torch.ops.aten.mv: lambda matrix, vector, **_: 2 * math.prod(matrix)}
    counter = FlopCounterMode(display=False, custom_mapping=of_vector)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        yield counter


def _watch(network: nn.Module) -> dict[str, list[tuple[int, ...]]]:
    """Note the shape of each output of each module from now on."""
    outputs: dict[str, list[tuple[int, ...]]] = {name: [] for name, _ in network.named_modules()}

    def note(name: str, output: Any) -> None:
        first = output if isinstance(output, Tensor) else output[0]
        outputs[name].append(tuple(first.shape))

    for name, module in network.named_modules():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
    return outputs


def _steps(network: Encoder, outputs: Mapping[str, list[tuple[int, ...]]], state: Tensor, logits: Tensor) -> list[Step]:
    own: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        own[name.rpartition(".")[0]] += parameter.numel()
    steps = [
        Step(name, type(module).__name__, outputs[name][-1] if outputs[name] else (), len(outputs[name]), own[name])
        for name, module in network.named_modules()
        if name and _size(module) and (outputs[name] or own[name])
    ]
    kind = type(network).__name__
    return [
        *steps,
        Step("encode", kind, tuple(state.shape), 1, own[""]),
        Step("logits", kind, tuple(logits.shape), 1, 0),
    ]
