"""Whether a processor gains anything by bf16."""

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_ROWS, _ITEMS, _WIDTH = 128, 2048, 68
"""Part of a chunk of the softmax over items, with the columns that are added to an embedding of 64."""
_REPEATS = 3


@cache
def bf16_slowdown() -> float:
    """Return how many times as long as in fp32 the products of a softmax take in bf16 on this CPU; measured once.

    The products are the three of a training step: the scores, and the gradients of both factors. The two precisions
    take turns and the fastest of a few repeats counts, so that other work on the machine matters little. It takes some
    milliseconds, more where bf16 is slow.
    """
    states, items = torch.ones(_ROWS, _WIDTH), torch.ones(_ITEMS, _WIDTH)
    works = [_products(states.to(kind), items.to(kind)) for kind in (torch.float32, torch.bfloat16)]
    for work in works:
        work()  # The first call chooses the kernels.
    fp32: tuple[float, ...]
    bf16: tuple[float, ...]
    fp32, bf16 = zip(*([_seconds(work) for work in works] for _ in range(_REPEATS)), strict=True)
    return min(bf16) / min(fp32)


def _products(states: Tensor, items: Tensor) -> Callable[[], None]:
    scores = states @ items.T
    gradient = torch.empty_like(items.T)

    def work() -> None:
        torch.mm(states, items.T, out=scores)
        torch.mm(scores, items)
        torch.mm(states.T, scores, out=gradient)

    return work


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
