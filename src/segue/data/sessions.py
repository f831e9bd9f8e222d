"""Encoded sessions as flat arrays, and views of them that never copy.

``Sessions`` is what a model learns from, ``Prefixes`` is what it scores, ``Cases`` is what it is tested on.
A user's history is a session like any other here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Float64, Int, Int32, Int64, Integer, Shaped

from segue.data.columns import Columns
from segue.data.events import ITEM, SESSION, TIME, TIME_DTYPE
from segue.data.indices import index_lists
from segue.data.kernels import BAD_RANGE, SOUND, check_ranges, concatenate_ranges
from segue.data.vocabulary import RawId, Vocabulary, as_stored
from segue.errors import ParameterError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, eq=False)
class Sessions:
    """Sessions in order of their end (oldest first), their events in time order.

    Attributes:
        items: item index of each event, 1..N.
        offsets: session ``s`` is ``items[offsets[s]:offsets[s + 1]]``.
        times: seconds since 1970 of each event, or None for a log without times.
        vocabulary: the meaning of the item indices.
        columns: what else the log says, one row per event; None if it says nothing.
        context: numbers of each event for a network that reads more than items; see ``segue.data.context``.
        keys: one row per session, whose column ``session`` holds its raw id; None if the ids are not known.
    """

    items: Int32[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "offsets"]
    times: Int64[np.ndarray, "n"] | None
    vocabulary: Vocabulary
    columns: Columns | None = None
    context: Mapping[str, Shaped[np.ndarray, "n"]] = field(default_factory=dict)
    keys: Columns | None = None

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self.offsets) - 1

    def as_prefixes(self) -> "Prefixes":
        """Return every whole session as a running one."""
        return self.prefixes(self.offsets[:-1], self.offsets[1:])

    def prefixes(self, starts: Int64[np.ndarray, "B"], ends: Int64[np.ndarray, "B"]) -> "Prefixes":
        """Return the pieces of sessions between the events of two lists."""
        return Prefixes(self.items, starts, ends, self.times, self.columns, self.context, self.vocabulary)

    def require_sound(self, place: str) -> None:
        """Refuse sessions whose offsets or item indices do not fit their arrays and their vocabulary.

        Args:
            place: name of the argument, for the message.

        Raises:
            ParameterError: what does not fit.
        """
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != len(self.items):
            raise ParameterError(
                f"{place}: offsets must begin with 0 and end with the number of events, {len(self.items):,}; "
                "segue.prepare makes sessions from a log"
            )
        self.as_prefixes().require(self.vocabulary, place)

    @property
    def lengths(self) -> Int64[np.ndarray, "s"]:
        """Events per session."""
        return np.diff(self.offsets)

    @property
    def ids(self) -> pl.Series | None:
        """Raw id of each session, or of each user where a session is a user's history; None if not known."""
        return None if self.keys is None else self.keys[SESSION]

    def find(self, raw_id: Any) -> int:
        """Return the number of the session with a raw id; the first one if several have it.

        An id is found whether it is given as a number or as its text.

        Raises:
            ParameterError: no session has this id, or the ids are not known.
        """
        ids = self.ids
        if ids is None:
            raise ParameterError("sessions: have no raw ids to look up; segue.prepare keeps those of a log")
        stored = as_stored(raw_id, int if ids.dtype.is_integer() else str)
        wanted = pl.Series([stored]).cast(ids.dtype, strict=False)[0]  # Null if the number is too large.
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
            ParameterError: no session has this id, or the ids are not known.
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
        from scipy.sparse import csr_matrix  # noqa: PLC0415 (an import of its own weight, which few need)

        counts = np.ones(len(self.items), dtype=np.int32)
        shape = (len(self), len(self.vocabulary))
        matrix = csr_matrix((counts, self.items - 1, self.offsets), shape=shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    def targets(self) -> tuple[Int64[np.ndarray, "R"], Int64[np.ndarray, "R"]]:
        """Return every event but the first of each session, and where the session of each starts."""
        lengths = np.maximum(self.lengths - 1, 0)
        return concatenate_ranges(self.offsets[:-1] + 1, lengths), np.repeat(self.offsets[:-1], lengths)

    def select(self, chosen: Int64[np.ndarray, "_"]) -> "Sessions":
        """Return some of the sessions; the vocabulary, and what it counts, stays that of all."""
        lengths = self.lengths[chosen]
        some = self._rearranged(concatenate_ranges(self.offsets[:-1][chosen], lengths), lengths)
        return some if self.keys is None else replace(some, keys=self.keys[chosen])

    def backwards(self) -> "Sessions":
        """Return each session with its last event first."""
        ends = np.repeat(self.offsets[:-1] + self.offsets[1:] - 1, self.lengths)
        return self._rearranged(ends - np.arange(len(self.items)), self.lengths)

    def _rearranged(self, events: Int64[np.ndarray, "_"], lengths: Int64[np.ndarray, "_"]) -> "Sessions":
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        return replace(self, offsets=offsets, **_taken(self, events))


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Running sessions to score: index pairs into shared arrays, never copies.

    Prefix ``b`` is ``items[starts[b]:ends[b]]``, oldest event first; it may be empty.

    Attributes:
        items: item index of each event, 1..N.
        starts: first event of each prefix.
        ends: one past the last event of each prefix.
        times: seconds since 1970 of each event, or None.
        columns: what else the log says, one row per event; None if it says nothing.
        context: numbers of each event for a network that reads more than items; see ``segue.data.context``.
        vocabulary: the catalogue of the item indices, which models compare with their own; None if it is not known.
    """

    items: Int32[np.ndarray, "n"]
    starts: Int64[np.ndarray, "B"]
    ends: Int64[np.ndarray, "B"]
    times: Int64[np.ndarray, "n"] | None = None
    columns: Columns | None = None
    context: Mapping[str, Shaped[np.ndarray, "n"]] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None

    @classmethod
    def from_lists(
        cls, lists: Sequence[Sequence[int] | Integer[np.ndarray, "_"]], vocabulary: Vocabulary | None = None
    ) -> "Prefixes":
        """Build prefixes from one array of item indices per running session.

        Raises:
            ParameterError: they are no lists of integers, or an index is below 1 or no int32.
        """
        return cls(*index_lists(lists, "lists"), vocabulary=vocabulary)

    def require(self, vocabulary: Vocabulary, place: str = "prefixes") -> None:
        """Refuse prefixes that do not belong to a catalogue, or that point outside of their arrays.

        Args:
            vocabulary: the catalogue.
            place: name of the argument, for the message.

        Raises:
            ParameterError: the prefixes were encoded with another catalogue, or an index is out of range.
        """
        if self.vocabulary is not None:
            vocabulary.require_same(self.vocabulary, place)
        self.require_range(len(vocabulary), place)

    def require_range(self, n_items: int, place: str) -> None:
        """Refuse prefixes that point outside of their arrays, or hold other item indices than 1 to ``n_items``.

        Raises:
            ParameterError: the first that does.
        """
        if len(self.starts) != len(self.ends):
            raise ParameterError(
                f"{place}: must have as many starts as ends, got {len(self.starts)} starts and {len(self.ends)} ends"
            )
        found, where = check_ranges(self.items, self.starts, self.ends, n_items)
        if found == SOUND:
            return
        if found == BAD_RANGE:
            raise ParameterError(
                f"{place}: starts and ends must lie within the {len(self.items):,} events, "
                f"got {self.starts[where]} to {self.ends[where]} in row {where}"
            )
        raise ParameterError(
            f"{place}: item indices must be between 1 and {n_items:,}, the items of the catalogue, "
            f"got {self.items[where]} at event {where}; encode the log with segue.prepare(log, vocabulary=...)"
        )

    def __len__(self) -> int:
        """Number of prefixes B."""
        return len(self.starts)

    def __getitem__(self, rows: slice | Int[np.ndarray, "_"]) -> "Prefixes":
        return replace(self, starts=self.starts[rows], ends=self.ends[rows])

    def latest(self, longest: int) -> "Prefixes":
        """Return the last ``longest`` events of each prefix in arrays of their own, which no two prefixes share."""
        lengths = np.minimum(self.lengths, longest)
        events = concatenate_ranges(self.ends - lengths, lengths)
        ends = np.cumsum(lengths)
        return replace(self, starts=ends - lengths, ends=ends, **_taken(self, events))

    @property
    def lengths(self) -> Int64[np.ndarray, "B"]:
        """Events per prefix."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    def events(self) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Return the prefix (row) and the position in ``items`` of every event of every prefix."""
        return np.repeat(np.arange(len(self)), self.lengths), concatenate_ranges(self.starts, self.lengths)


def _taken(log: Sessions | Prefixes, events: Int64[np.ndarray, "_"]) -> dict[str, Any]:
    """Return the fields that hold something for each event, for some events only."""
    return {
        "items": log.items[events],
        "times": None if log.times is None else log.times[events],
        "columns": None if log.columns is None else log.columns[events],
        "context": {name: numbers[events] for name, numbers in log.context.items()},
    }


@dataclass(frozen=True, eq=False)
class Cases:
    """Test cases: what a visitor did so far, and what followed.

    Attributes:
        prefixes: C running sessions.
        targets: the item index that followed each, 1..N; with ``offsets`` those of case ``c`` are
            ``targets[offsets[c]:offsets[c + 1]]``, no two of them equal.
        groups: the session (or user) of each case; cases of one group are not independent, so intervals
            resample groups.
        exclude_seen: True if items of the prefix are no candidates.
        offsets: where the targets of each case lie, if a case may have several.
        labels: what the log says of each target, for example a rating, or 1 for liked and 0 for not; None if every
            target is what the visitor wanted.
    """

    prefixes: Prefixes
    targets: Int32[np.ndarray, "T"]
    groups: Int64[np.ndarray, "C"]
    exclude_seen: bool = False
    offsets: Int64[np.ndarray, "offsets"] | None = None
    labels: Float64[np.ndarray, "C"] | None = None

    def __len__(self) -> int:
        """Number of cases C."""
        return len(self.groups)

    def require(self, vocabulary: Vocabulary, place: str = "cases") -> None:
        """Refuse cases whose prefixes or targets do not belong to a catalogue, or do not fit each other.

        Args:
            vocabulary: the catalogue.
            place: name of the argument, for the message.

        Raises:
            ParameterError: what does not belong or fit.
        """
        self.prefixes.require(vocabulary, place)
        offsets, n_targets = self.offsets, len(self.targets)
        if offsets is None:
            fits = n_targets == len(self)
        else:
            fits = len(offsets) == len(self) + 1 and offsets[0] == 0 and offsets[-1] == n_targets
            fits = fits and bool((np.diff(offsets) >= 0).all())
        if len(self.prefixes) != len(self) or not fits:
            raise ParameterError(
                f"{place}: must have a prefix, a group and targets for each case, got {len(self.prefixes)} prefixes, "
                f"{len(self)} groups and {n_targets} targets"
            )
        if n_targets and not 1 <= self.targets.min() <= self.targets.max() <= len(vocabulary):
            raise ParameterError(
                f"{place}: targets must be item indices from 1 to {len(vocabulary)}, got {self.targets.min()} to "
                f"{self.targets.max()}; encode the log with segue.prepare(log, vocabulary=model.vocabulary)"
            )

    def __getitem__(self, rows: slice | Int[np.ndarray, "_"]) -> "Cases":
        part = replace(
            self,
            prefixes=self.prefixes[rows],
            groups=self.groups[rows],
            labels=None if self.labels is None else self.labels[rows],
        )
        if self.offsets is None:
            return replace(part, targets=self.targets[rows])
        counts = self.offsets[1:][rows] - self.offsets[:-1][rows]
        targets = self.targets[concatenate_ranges(self.offsets[:-1][rows], counts)]
        return replace(part, targets=targets, offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]))

    @property
    def counts(self) -> Int64[np.ndarray, "C"]:
        """Targets per case."""
        if self.offsets is None:
            return np.ones(len(self), dtype=np.int64)
        counts: np.ndarray = np.diff(self.offsets)
        return counts

    def wanted(self) -> Int32[np.ndarray, "C R"]:
        """Return the targets, one row per case, with 0 behind the last one."""
        if self.offsets is None:
            return self.targets[:, None]
        counts = self.counts
        rows = np.zeros((len(self), int(counts.max(initial=1))), dtype=np.int32)
        rows[np.arange(rows.shape[1]) < counts[:, None]] = self.targets
        return rows
