"""Encoded sessions as flat arrays, and prefixes of them that share the arrays.

A model learns from ``Sessions`` and scores ``Prefixes``. A user's history is a session as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Int, Int32, Int64, Integer, Shaped

from segue.data.arrays import INVALID_RANGE, VALID, Columns, check_ranges, concatenate_ranges
from segue.data.events import ITEM, SESSION, TIME, TIME_DTYPE
from segue.data.indices import index_lists
from segue.data.session_ranges import SessionRanges
from segue.data.vocabulary import RawId, Vocabulary, normalize_id
from segue.errors import ParameterError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, eq=False, repr=False)
class Sessions:
    """Sessions in order of their end (oldest first), their events in time order.

    Attributes:
        items: item index of each event, 1..N.
        offsets: session ``s`` is ``items[offsets[s]:offsets[s + 1]]``.
        times: seconds since 1970 of each event, or None for a log without times.
        vocabulary: maps the item indices to raw ids.
        columns: further columns of the log, one row per event; None if there are none.
        context: encoded context features of each event, see ``segue.data.context``.
        keys: one row per session, with its raw id in the column ``session``; None if the ids are unknown.
        ranges: how an engine works on the sessions; None for sessions that are one range, see ``map_ranges``.
    """

    items: Int32[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "offsets"]
    times: Int64[np.ndarray, "n"] | None
    vocabulary: Vocabulary
    columns: Columns | None = None
    context: Mapping[str, Shaped[np.ndarray, "n"]] = field(default_factory=dict)
    keys: Columns | None = None
    ranges: SessionRanges | None = None

    def __repr__(self) -> str:
        return f"Sessions(sessions={len(self)}, events={len(self.items)}, items={len(self.vocabulary)})"

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.offsets) - 1

    def as_prefixes(self) -> "Prefixes":
        """Return every whole session as a prefix."""
        return self.prefixes(self.offsets[:-1], self.offsets[1:])

    def prefixes(
        self, starts: Int64[np.ndarray, "B"], ends: Int64[np.ndarray, "B"], *, ahead: bool = False
    ) -> "Prefixes":
        """Return the ranges of events between starts and ends; ``ahead`` if the event at each end is predicted."""
        upcoming = Upcoming(ends, self.times, self.columns) if ahead else None
        return Prefixes(self.items, starts, ends, self.times, self.columns, self.context, self.vocabulary, upcoming)

    def require_valid(self, name: str) -> None:
        """Refuse sessions whose offsets or item indices do not match their arrays and their vocabulary.

        Args:
            name: name of the argument, for messages.

        Raises:
            ParameterError: the first mismatch.
        """
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != len(self.items):
            raise ParameterError(
                f"{name}: offsets must begin with 0 and end with the number of events, {len(self.items):,}; "
                "segue.prepare makes sessions from a log"
            )
        self.as_prefixes().require_valid(self.vocabulary, name)

    @property
    def lengths(self) -> Int64[np.ndarray, "s"]:
        """Events per session."""
        return np.diff(self.offsets)

    @property
    def ids(self) -> pl.Series | None:
        """Raw id of each session, or of each user if a session is a user's history; None if unknown."""
        return None if self.keys is None else self.keys[SESSION]

    def find(self, raw_id: Any) -> int:
        """Return the position of the first session with a raw id, given as a number or as text.

        Raises:
            ParameterError: no session has this id, or the ids are unknown.
        """
        ids = self.ids
        if ids is None:
            raise ParameterError("sessions: have no raw ids to look up; segue.prepare keeps the raw ids of a log")
        normalized = normalize_id(raw_id, int if ids.dtype.is_integer() else str)
        wanted = pl.Series([normalized]).cast(ids.dtype, strict=False)[0]  # Null if the number is too large.
        found = None if wanted is None else ids.index_of(wanted)
        if found is None:
            raise ParameterError(
                f"raw_id: must be the id of one of these {len(self):,} sessions, got {raw_id!r}; "
                f"the attribute ids lists them, such as {ids[0]!r}"
                if len(ids)
                else f"raw_id: must be the id of a session and there is none, got {raw_id!r}"
            )
        return found

    def events_of(self, raw_id: RawId) -> pl.DataFrame:
        """Return the events of the session with a raw id, oldest first.

        Returns:
            A frame with the columns ``item`` (raw ids), ``time`` (UTC; only if the log has times) and those of
            ``columns``.

        Raises:
            ParameterError: no session has this id, or the ids are unknown.
        """
        session = self.find(raw_id)
        events = np.arange(self.offsets[session], self.offsets[session + 1])
        found = [pl.Series(ITEM, self.vocabulary.decode(self.items[events]), self.vocabulary.ids.dtype)]
        if self.times is not None:
            found.append(pl.from_epoch(pl.Series(TIME, self.times[events]), "s").cast(TIME_DTYPE))
        table = pl.DataFrame(found)
        return table if self.columns is None else table.hstack(self.columns[events].get_columns())

    def to_csr(self) -> "csr_matrix":
        """Count the events of each session on each item.

        Returns:
            A sparse matrix [s, N] of int32 counts. Column ``j`` is the item ``vocabulary.ids[j]``, whose item index is
            ``j + 1``. The order of the events is lost.
        """
        from scipy.sparse import csr_matrix  # noqa: PLC0415 (slow to import, rarely needed)

        counts = np.ones(len(self.items), dtype=np.int32)
        matrix = csr_matrix((counts, self.items - 1, self.offsets), shape=(len(self), len(self.vocabulary)), copy=True)
        matrix.sum_duplicates()
        return matrix

    def targets(self) -> tuple[Int64[np.ndarray, "R"], Int64[np.ndarray, "R"]]:
        """Return the position of every event but the first of each session, and the start of its session."""
        lengths = np.maximum(self.lengths - 1, 0)
        return concatenate_ranges(self.offsets[:-1] + 1, lengths), np.repeat(self.offsets[:-1], lengths)

    def select(self, chosen: Int64[np.ndarray, "_"]) -> "Sessions":
        """Return some of the sessions; the vocabulary with its counts is unchanged."""
        lengths = self.lengths[chosen]
        some = self._rearrange(concatenate_ranges(self.offsets[:-1][chosen], lengths), lengths)
        return some if self.keys is None else replace(some, keys=self.keys[chosen])

    def reverse(self) -> "Sessions":
        """Return each session with its events in reverse order."""
        ends = np.repeat(self.offsets[:-1] + self.offsets[1:] - 1, self.lengths)
        return self._rearrange(ends - np.arange(len(self.items)), self.lengths)

    def _rearrange(self, events: Int64[np.ndarray, "_"], lengths: Int64[np.ndarray, "_"]) -> "Sessions":
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        return replace(self, offsets=offsets, ranges=None, **gather(self, events))


@dataclass(frozen=True, eq=False)
class Upcoming:
    """What is known beforehand of the events to predict; their items are not.

    Attributes:
        events: the event of each prefix, by its position in the arrays below.
        times: seconds since 1970, or None.
        columns: further columns of the log, or None.
    """

    events: Int64[np.ndarray, "B"]
    times: Int64[np.ndarray, "n"] | None = None
    columns: Columns | None = None

    def as_prefixes(self) -> "Prefixes":
        """Return each event as a prefix of its own, without its item."""
        starts, none = np.arange(len(self.events)), np.zeros(len(self.events), dtype=np.int32)
        times = None if self.times is None else self.times[self.events]
        return Prefixes(none, starts, starts + 1, times, None if self.columns is None else self.columns[self.events])


@dataclass(frozen=True, eq=False, repr=False)
class Prefixes:
    """Sessions so far, to be scored: index pairs into shared arrays, never copies.

    Prefix ``b`` is ``items[starts[b]:ends[b]]``, oldest event first; it may be empty.

    Attributes:
        items: item index of each event, 1..N.
        starts: first event of each prefix.
        ends: one past the last event of each prefix.
        times: seconds since 1970 of each event, or None.
        columns: further columns of the log, one row per event; None if there are none.
        context: encoded context features of each event, see ``segue.data.context``.
        vocabulary: the vocabulary of the item indices, which models compare with their own; None if unknown.
        upcoming: what is known of the event after each prefix, the one to predict; None if nothing is.
    """

    items: Int32[np.ndarray, "n"]
    starts: Int64[np.ndarray, "B"]
    ends: Int64[np.ndarray, "B"]
    times: Int64[np.ndarray, "n"] | None = None
    columns: Columns | None = None
    context: Mapping[str, Shaped[np.ndarray, "n"]] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    upcoming: Upcoming | None = None

    def __repr__(self) -> str:
        return f"Prefixes(prefixes={len(self)})"

    @classmethod
    def from_lists(
        cls, lists: Sequence[Sequence[int] | Integer[np.ndarray, "_"]], vocabulary: Vocabulary | None = None
    ) -> "Prefixes":
        """Create prefixes from one list or array of item indices per session.

        Raises:
            ParameterError: they are not lists of integers, or an index is below 1 or above the int32 range.
        """
        return cls(*index_lists(lists, "lists"), vocabulary=vocabulary)

    def require_valid(self, vocabulary: Vocabulary, name: str = "prefixes") -> None:
        """Refuse prefixes that do not match a vocabulary, or point outside of their arrays.

        Args:
            vocabulary: the vocabulary.
            name: name of the argument, for messages.

        Raises:
            ParameterError: the prefixes were encoded with another vocabulary, or an index is out of range.
        """
        if self.vocabulary is not None:
            vocabulary.require_same(self.vocabulary, name)
        self.require_range(len(vocabulary), name)

    def require_range(self, n_items: int, name: str) -> None:
        """Refuse prefixes that point outside of their arrays, or have item indices other than 1 to ``n_items``.

        Raises:
            ParameterError: the first such prefix.
        """
        if len(self.starts) != len(self.ends):
            raise ParameterError(
                f"{name}: must have as many starts as ends, got {len(self.starts)} starts and {len(self.ends)} ends"
            )
        result, position = check_ranges(self.items, self.starts, self.ends, n_items)
        if result == VALID:
            return
        if result == INVALID_RANGE:
            raise ParameterError(
                f"{name}: starts and ends must lie within the {len(self.items):,} events, "
                f"got {self.starts[position]} to {self.ends[position]} in row {position}"
            )
        raise ParameterError(
            f"{name}: item indices must be between 1 and {n_items:,}, the items of the catalogue, "
            f"got {self.items[position]} at event {position}; encode the log with segue.prepare(log, vocabulary=...)"
        )

    def __len__(self) -> int:
        """Number of prefixes B."""
        return len(self.starts)

    def __getitem__(self, rows: slice | Int[np.ndarray, "_"]) -> "Prefixes":
        upcoming = self.upcoming and replace(self.upcoming, events=self.upcoming.events[rows])
        return replace(self, starts=self.starts[rows], ends=self.ends[rows], upcoming=upcoming)

    def tail(self, max_length: int) -> "Prefixes":
        """Return the last ``max_length`` events of each prefix in new arrays, which no two prefixes share."""
        lengths = np.minimum(self.lengths, max_length)
        events = concatenate_ranges(self.ends - lengths, lengths)
        ends = np.cumsum(lengths)
        return replace(self, starts=ends - lengths, ends=ends, **gather(self, events))

    @property
    def lengths(self) -> Int64[np.ndarray, "B"]:
        """Events per prefix."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    def events(self) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Return the prefix (row) and the position in ``items`` of every event of every prefix."""
        return np.repeat(np.arange(len(self)), self.lengths), concatenate_ranges(self.starts, self.lengths)


def gather(log: Sessions | Prefixes, events: Int64[np.ndarray, "_"]) -> dict[str, Any]:
    """Return the fields with one value per event, for some of the events."""
    return {
        "items": log.items[events],
        "times": None if log.times is None else log.times[events],
        "columns": None if log.columns is None else log.columns[events],
        "context": {name: numbers[events] for name, numbers in log.context.items()},
    }
