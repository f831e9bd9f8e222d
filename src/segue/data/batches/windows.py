"""Windows: the most recent events of running sessions as padded arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Int, Int64, Shaped
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING


@dataclass(frozen=True, eq=False)
class Window:
    """The most recent events of B sessions, left-padded: the last column holds the last event of each.

    Attributes:
        items: item index of each event, 1..N, and 0 at padding.
        times: seconds since 1970 of each event, that of a session's first event at its padding; None without times.
        context: further numbers of each event, 0 where they are not known; what they are at padding has no meaning.
    """

    items: Int64[Tensor, "B L"]
    times: Int64[Tensor, "B L"] | None = None
    context: Mapping[str, Shaped[Tensor, "B L"]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of sessions B."""
        return len(self.items)

    def to(self, device: torch.device) -> "Window":
        """Return the window on a device."""
        return self.map(lambda numbers: numbers.to(device))

    def map(self, change: Callable[[Shaped[Tensor, "B L"]], Shaped[Tensor, "B M"]]) -> "Window":
        """Return the window with the same change made to its items, times and context."""
        times = None if self.times is None else change(self.times)
        return Window(change(self.items), times, {name: change(numbers) for name, numbers in self.context.items()})

    def without(self, dropped: Bool[Tensor, "B L"]) -> "Window":
        """Return the window without some of its events, the last one of a session that would lose all kept.

        The events that stay move together, so that they are left-padded again.
        """
        real = self.items != PADDING
        kept = real & ~dropped
        kept[:, -1] |= ~kept.any(1)
        order = kept.to(torch.int8).argsort(dim=1, stable=True)
        items = torch.where(kept, self.items, PADDING)
        return replace(self, items=items).map(lambda numbers: numbers.gather(1, order))


def window_of(prefixes: Prefixes, longest: int, *, width: int | None = None) -> Window:
    """Return the last ``longest`` events of each prefix.

    Args:
        prefixes: the running sessions, each of one event or more.
        longest: events that are kept of each.
        width: number of columns L; None takes as many as the longest session needs.
    """
    lengths = np.minimum(prefixes.lengths, longest)
    columns = int(lengths.max(initial=1)) if width is None else width
    events = prefixes.ends[:, None] + np.arange(-columns, 0)
    first = (prefixes.ends - lengths)[:, None]
    inside = events >= first
    items = np.where(inside, prefixes.items[np.maximum(events, 0)], PADDING).astype(np.int64)
    times = None if prefixes.times is None else torch.from_numpy(prefixes.times[np.maximum(events, first)])
    context = {name: torch.from_numpy(numbers[np.maximum(events, 0)]) for name, numbers in prefixes.context.items()}
    return Window(torch.from_numpy(items), times, context)


def pieces(
    starts: Int64[np.ndarray, "n"], ends: Int64[np.ndarray, "n"], longest: int, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, "P"], Int64[np.ndarray, "P"]]:
    """Cut sessions into pieces of at most ``longest`` events, so that each event is in one piece.

    A session that is longer is cut at random: its last piece ends with it and has a random length, the pieces before
    that one are full, and its first piece holds what is left.

    Args:
        starts: first event of each session.
        ends: one past its last event.
        longest: events of a piece.
        rng: draws the cuts.

    Returns:
        First event of each piece, and one past its last.
    """
    last = np.where(ends - starts > longest, rng.integers(1, longest + 1, len(starts)), ends - starts)
    counts = 1 - (starts - (ends - last)) // longest
    session = np.repeat(np.arange(len(starts)), counts)
    back = np.arange(len(session)) - np.repeat(np.cumsum(counts) - counts, counts)
    piece_ends = ends[session] - np.where(back > 0, last[session] + (back - 1) * longest, 0)
    width = np.where(back > 0, longest, last[session])
    return np.maximum(piece_ends - width, starts[session]), piece_ends


def by_length(
    lengths: Int[np.ndarray, "n"], order: Int64[np.ndarray, "n"], batch_size: int, rng: np.random.Generator
) -> list[Int64[np.ndarray, "_"]]:
    """Cut shuffled examples into batches of similar length, so that little of a batch is padding.

    Examples are sorted by length among a few dozen batches' worth of neighbours only, and the batches are shuffled:
    which examples meet in a batch stays close to random.

    Args:
        lengths: length of each example.
        order: the examples in random order.
        batch_size: examples per batch; the last one may be smaller.
        rng: shuffles the batches.

    Returns:
        The examples of each batch.
    """
    block = np.arange(len(order)) // (_NEIGHBOURS * batch_size)
    order = order[np.lexsort((lengths[order], block))]
    batches = np.split(order, np.arange(batch_size, len(order), batch_size))
    return [batches[index] for index in rng.permutation(len(batches))]


_NEIGHBOURS = 50
"""Batches' worth of examples that are sorted by length together."""
