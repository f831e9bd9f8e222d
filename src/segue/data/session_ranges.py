"""Consecutive sessions as a unit of work: a function is called on each range, in memory or on an engine."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32, Int64

from segue.data.arrays import read_only
from segue.data.partitions import Engine, Function, InMemory, Stored


@dataclass(frozen=True, eq=False)
class SessionRange:
    """Consecutive sessions of a log.

    Attributes:
        items: item index of each event.
        offsets: session ``s`` of the range is ``items[offsets[s]:offsets[s + 1]]``.
        first: number of the first session among all sessions of the log.
    """

    items: Int32[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "offsets"]
    first: int = 0


@dataclass(frozen=True)
class StoredRange(Stored):
    """A range of sessions in a folder of ``write_sessions``, which is memory-mapped where it is used.

    Attributes:
        folder: the folder.
        first: the first session.
        last: one past the last session.
    """

    folder: Path
    first: int
    last: int

    def load(self) -> SessionRange:
        """Memory-map the sessions."""
        offsets, items = (
            np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("offsets", "items")
        )
        bounds = offsets[self.first : self.last + 1]
        return SessionRange(read_only(items[bounds[0] : bounds[-1]]), read_only(bounds - bounds[0]), self.first)


@dataclass(frozen=True)
class SessionRanges:
    """The ranges that the sessions of a folder are divided into, and the engine that works on them."""

    engine: Engine
    each: tuple[StoredRange, ...]

    @classmethod
    def divide(cls, engine: Engine, folder: Path, offsets: Int64[np.ndarray, "offsets"], count: int) -> "SessionRanges":
        """Divide sessions into ranges of about equally many events; there may be fewer if sessions are few."""
        places = offsets[-1] * np.arange(1, count) // count
        cuts: list[int] = np.unique([0, *np.searchsorted(offsets, places), len(offsets) - 1]).tolist()
        return cls(engine, tuple(StoredRange(folder, *bounds) for bounds in pairwise(cuts)))


def map_ranges(
    ranges: SessionRanges | None,
    items: Int32[np.ndarray, "n"],
    offsets: Int64[np.ndarray, "offsets"],
    function: Function,
    **shared: Any,
) -> list[dict[str, Any]]:
    """Call a function with each range of sessions as ``sessions``.

    Args:
        ranges: the ranges; None for sessions in memory, which are one range.
        items: item index of each event.
        offsets: where each session starts.
        function: see ``Engine.map``.
        **shared: further arguments of all calls.

    Returns:
        The results, those of the oldest sessions first.
    """
    if ranges is None:
        whole = SessionRange(read_only(items), read_only(offsets))
        return InMemory().map(function, [{"sessions": whole}], **shared)
    return ranges.engine.map(function, [{"sessions": one} for one in ranges.each], **shared)
