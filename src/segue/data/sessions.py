"""Encoded sessions as flat arrays, and views of them that never copy.

``Sessions`` is what a model learns from, ``Prefixes`` is what it scores, ``Cases`` is what it is tested on.
A user's history is a session like any other here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64

from segue.data.kernels import concatenate_ranges
from segue.data.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions in order of their end (oldest first), their events in time order.

    Attributes:
        items: item index of each event, 1..N.
        offsets: session ``s`` is ``items[offsets[s]:offsets[s + 1]]``.
        times: seconds since 1970 of each event, or None for a log without times.
        vocabulary: the meaning of the item indices.
    """

    items: Int32[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "offsets"]
    times: Int64[np.ndarray, "n"] | None
    vocabulary: Vocabulary

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[np.ndarray, "s"]:
        """Events per session."""
        return np.diff(self.offsets)


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Running sessions to score: index pairs into shared arrays, never copies.

    Prefix ``b`` is ``items[starts[b]:ends[b]]``, oldest event first; it may be empty.

    Attributes:
        items: item index of each event, 1..N.
        starts: first event of each prefix.
        ends: one past the last event of each prefix.
        times: seconds since 1970 of each event, or None.
    """

    items: Int32[np.ndarray, "n"]
    starts: Int64[np.ndarray, "B"]
    ends: Int64[np.ndarray, "B"]
    times: Int64[np.ndarray, "n"] | None = None

    @classmethod
    def from_lists(cls, lists: Sequence[Int[np.ndarray, "_"]]) -> "Prefixes":
        """Build prefixes from one array of item indices per running session."""
        lengths = np.array([len(one) for one in lists], dtype=np.int64)
        ends = np.cumsum(lengths)
        items = np.concatenate([np.zeros(0, dtype=np.int32), *lists]).astype(np.int32)
        return cls(items, ends - lengths, ends)

    def __len__(self) -> int:
        """Number of prefixes B."""
        return len(self.starts)

    def __getitem__(self, rows: slice | Int[np.ndarray, "_"]) -> "Prefixes":
        return Prefixes(self.items, self.starts[rows], self.ends[rows], self.times)

    @property
    def lengths(self) -> Int64[np.ndarray, "B"]:
        """Events per prefix."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    def events(self) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Return the prefix (row) and the position in ``items`` of every event of every prefix."""
        return np.repeat(np.arange(len(self)), self.lengths), concatenate_ranges(self.starts, self.lengths)


@dataclass(frozen=True, eq=False)
class Cases:
    """Test cases: what a visitor did so far, and the item that followed.

    Attributes:
        prefixes: C running sessions.
        targets: the item index that followed each, 1..N.
        groups: the session (or user) of each case; cases of one group are not independent, so intervals
            resample groups.
        exclude_seen: True if items of the prefix are no candidates.
    """

    prefixes: Prefixes
    targets: Int32[np.ndarray, "C"]
    groups: Int64[np.ndarray, "C"]
    exclude_seen: bool = False

    def __len__(self) -> int:
        """Number of cases C."""
        return len(self.targets)

    def __getitem__(self, rows: slice | Int[np.ndarray, "_"]) -> "Cases":
        return Cases(self.prefixes[rows], self.targets[rows], self.groups[rows], self.exclude_seen)
