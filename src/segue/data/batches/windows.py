"""Windows: the most recent events of sessions as padded tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64, Shaped
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING
from segue.transfer import to_device

_BLOCK = 50
"""Batches of examples that are sorted by length together."""


@dataclass(frozen=True, eq=False)
class Window:
    """The most recent events of B sessions, left-padded: the last column holds the last event of each.

    Attributes:
        items: item index of each event, 1..N, and 0 at padding.
        times: seconds since 1970 of each event, at padding those of the first event; None without times.
        context: encoded context features of each event, 0 if unknown, undefined at padding.
    """

    items: Int64[Tensor, "B L"]
    times: Int64[Tensor, "B L"] | None = None
    context: Mapping[str, Shaped[Tensor, "B L"]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of sessions B."""
        return len(self.items)

    def to(self, device: torch.device) -> "Window":
        """Return the window on a device."""
        return self.map(lambda numbers: to_device(numbers, device))

    def map(self, change: Callable[[Shaped[Tensor, "B L"]], Shaped[Tensor, "B M"]]) -> "Window":
        """Apply a function to the items, times and context."""
        times = None if self.times is None else change(self.times)
        return Window(change(self.items), times, {name: change(numbers) for name, numbers in self.context.items()})

    def drop(self, dropped: Bool[Tensor, "B L"]) -> "Window":
        """Return the window without some events, left-padded again; a session keeps at least its last event."""
        real = self.items != PADDING
        kept = real & ~dropped
        kept[:, -1] |= ~kept.any(1)
        order = kept.to(torch.int8).argsort(dim=1, stable=True)
        items = torch.where(kept, self.items, PADDING)
        return replace(self, items=items).map(lambda numbers: numbers.gather(1, order))


def window_of(prefixes: Prefixes, max_length: int, *, width: int | None = None) -> Window:
    """Return the last ``max_length`` events of each prefix.

    Args:
        prefixes: prefixes of at least one event.
        max_length: events to keep of each.
        width: number of columns L; None for as many as the longest prefix needs.
    """
    lengths = np.minimum(prefixes.lengths, max_length)
    columns = int(lengths.max(initial=1)) if width is None else width
    events = prefixes.ends[:, None] + np.arange(-columns, 0)
    first = (prefixes.ends - lengths)[:, None]
    inside = events >= first
    items = np.where(inside, prefixes.items[np.maximum(events, 0)], PADDING).astype(np.int64)
    times = None if prefixes.times is None else torch.from_numpy(prefixes.times[np.maximum(events, first)])
    context = {name: torch.from_numpy(numbers[np.maximum(events, 0)]) for name, numbers in prefixes.context.items()}
    return Window(torch.from_numpy(items), times, context)


def cut_sessions(
    starts: Int64[np.ndarray, "n"], ends: Int64[np.ndarray, "n"], max_length: int, rng: np.random.Generator | None
) -> tuple[Int64[np.ndarray, "P"], Int64[np.ndarray, "P"]]:
    """Cut sessions into pieces of at most ``max_length`` events, so that each event is in one piece.

    A longer session is cut at random: its last piece has a random length, the pieces before are full, and the first
    holds the rest.

    Args:
        starts: first event of each session.
        ends: one past its last event.
        max_length: events per piece.
        rng: draws the cuts; None keeps only the most recent ``max_length`` events of each session.

    Returns:
        First event of each piece, and one past its last.
    """
    if rng is None:
        return np.maximum(starts, ends - max_length), ends
    last = np.where(ends - starts > max_length, rng.integers(1, max_length + 1, len(starts)), ends - starts)
    counts = 1 - (starts - (ends - last)) // max_length
    session = np.repeat(np.arange(len(starts)), counts)
    back = np.arange(len(session)) - np.repeat(np.cumsum(counts) - counts, counts)
    piece_ends = ends[session] - np.where(back > 0, last[session] + (back - 1) * max_length, 0)
    width = np.where(back > 0, max_length, last[session])
    return np.maximum(piece_ends - width, starts[session]), piece_ends


def batch_by_length(
    lengths: Int[np.ndarray, "n"], order: Int64[np.ndarray, "n"], batch_size: int, rng: np.random.Generator
) -> list[Int64[np.ndarray, "_"]]:
    """Batch shuffled examples by similar length, to save padding.

    Examples are sorted by length only within blocks of a few dozen batches, and the batches are shuffled, so that the
    composition of a batch stays close to random.

    Args:
        lengths: length of each example.
        order: the examples in random order.
        batch_size: examples per batch; the last one may be smaller.
        rng: shuffles the batches.

    Returns:
        The examples of each batch.
    """
    block = np.arange(len(order)) // (_BLOCK * batch_size)
    order = order[np.lexsort((lengths[order], block))]
    batches = np.split(order, np.arange(batch_size, len(order), batch_size))
    return [batches[index] for index in rng.permutation(len(batches))]
