"""Events: a click log as one validated table, and the sessions of a sorted log.

Values are validated where a log enters (``segue.data.ingest``); every later step trusts an ``Events``, which itself
checks only its columns and their types, so that deriving one from another costs nothing.

Every later step works on a *sorted* log: the result of ``sort_events``, or some of its rows. In it, the events of a
session are consecutive rows in time order, so that lengths, ends and neighbours are array arithmetic, not a search.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import polars as pl
from jaxtyping import Bool, Int64, Shaped

from segue.data.reading import Reading, Unit
from segue.errors import LogError

SESSION = "session"
"""The sequence to continue: a visit, or a user's whole history. Int64 or String."""
ITEM = "item"
"""The item that was clicked, read, played or bought. Int64 or String."""
TIME = "time"
"""UTC time, Datetime in microseconds without a zone; absent if only the order of the events is known."""
USER = "user"
"""The user, if the log has both sessions and users. Int64 or String."""
PART = "part"
"""The predefined split: one of ``PARTS``. Absent if the log has none."""
RATING = "rating"
"""The user's rating. Optional."""
TYPE = "type"
"""The kind of event, for example click or order. Optional."""

PARTS = ("train", "valid", "test")
"""Values of the column ``part``."""

TIME_DTYPE = pl.Datetime("us")
SECOND = 1_000_000
"""One second in units of ``TIME_DTYPE``."""
DAY = 86_400 * SECOND

ROW = "__row__"
"""Column that ``sort_events`` adds: the row number of an event in the file."""


@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """A click log: one row per event, in the order of the source.

    Attributes:
        frame: the columns ``session`` and ``item``, optionally ``time``, ``user``, ``part``, ``rating`` and ``type``,
            and the remaining columns of the source under their own names. Missing values are null.
        items: metadata of items (column ``item`` and others), or None.
        users: metadata of users (column ``user`` and others), or None.
        unit: what one ``session`` is: a visit, or a user's whole history.
        notes: what the reader detected and decided, one sentence each.
        reading: how the source was read; None if this is not known.

    Raises:
        LogError: a column is missing or has a wrong type.
    """

    frame: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    unit: Unit = "session"
    notes: tuple[str, ...] = ()
    reading: Reading | None = None

    def __repr__(self) -> str:
        return f"Events(events={self.frame.height}, unit={self.unit!r}, columns={self.frame.columns})"

    def __post_init__(self) -> None:
        required = [("events", self.frame, SESSION), ("events", self.frame, ITEM)]
        required += [("items", self.items, ITEM)] if self.items is not None else []
        required += [("users", self.users, USER)] if self.users is not None else []
        problems = [
            f"{table}: has no column '{name}'; segue.read makes one"
            for table, frame, name in required
            if name not in frame.columns
        ]
        ids = (pl.Int64(), pl.String())
        types = {SESSION: ids, ITEM: ids, USER: ids, TIME: (TIME_DTYPE,), PART: (pl.String(),)}
        problems += [
            f"events, column '{name}': must be {' or '.join(map(str, allowed))}, got {self.frame.schema[name]}; "
            "segue.read converts it"
            for name, allowed in types.items()
            if name in self.frame.columns and self.frame.schema[name] not in allowed
        ]
        if problems:
            raise LogError(*problems)

    def __len__(self) -> int:
        """Number of events."""
        return self.frame.height

    @property
    def schema(self) -> Mapping[str, Any]:
        """Names and types of the columns."""
        return self.frame.schema

    @cached_property
    def repeated_share(self) -> float:
        """Share of the events on an item that their session has had before."""
        pairs = self.frame.select(SESSION, ITEM).drop_nulls()
        return 1 - pairs.n_unique() / max(len(pairs), 1)

    @property
    def has_time(self) -> bool:
        """Whether events have a time; if not, the order of the rows is the order of the events."""
        return TIME in self.frame.columns

    @property
    def has_parts(self) -> bool:
        """Whether the log comes with a split."""
        return PART in self.frame.columns

    @cached_property
    def n_sessions(self) -> int:
        """Number of distinct sessions (or users, see ``unit``); visits in different parts are different sessions."""
        key = [SESSION, PART] if self.has_parts and self.unit == "session" else [SESSION]
        return self.frame.select(key).drop_nulls(SESSION).n_unique()

    @cached_property
    def n_items(self) -> int:
        """Number of distinct items."""
        return self.frame[ITEM].drop_nulls().n_unique()


class LogFacts(Protocol):
    """What a protocol is chosen by and checked against: properties of ``Events``, wherever its rows are."""

    @property
    def unit(self) -> Unit:
        """What one session is."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """Names and types of the columns."""

    @property
    def has_time(self) -> bool:
        """Whether events have a time."""

    @property
    def has_parts(self) -> bool:
        """Whether the log comes with a split."""

    @property
    def repeated_share(self) -> float:
        """Share of the events on an item that their session has had before."""


def sort_events(log: pl.DataFrame) -> pl.DataFrame:
    """Sort by session and time; equal times, and events of a log without times, keep their order in the file."""
    # A log in time order needs one sort key, which takes half the time.
    by_session_only = TIME not in log.columns or log[TIME].is_sorted()
    keys = [SESSION] if by_session_only else [SESSION, TIME]
    return log.with_row_index(ROW).sort(keys, maintain_order=True)


@dataclass(frozen=True, eq=False)
class SessionBounds:
    """The rows of each session in a sorted log.

    Attributes:
        starts: first row of each session.
        ends: one past its last row.
    """

    starts: Int64[np.ndarray, "s"]
    ends: Int64[np.ndarray, "s"]

    @classmethod
    def of(cls, log: pl.DataFrame) -> "SessionBounds":
        """Find the sessions of a sorted log."""
        return cls.at(is_first_event(log))

    @classmethod
    def at(cls, first: pl.Series) -> "SessionBounds":
        """Find the sessions whose first events are true in ``first``."""
        starts = np.flatnonzero(first.to_numpy())
        return cls(starts, np.append(starts[1:], len(first)) if len(starts) else starts)

    @property
    def lengths(self) -> Int64[np.ndarray, "s"]:
        """Events per session."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    def repeat(self, values: Shaped[np.ndarray, "s"]) -> Shaped[np.ndarray, "n"]:
        """Repeat one value per session for each of its events."""
        return values.repeat(self.lengths)


def is_first_event(log: pl.DataFrame) -> pl.Series:
    """Return True for the first event of each session of a sorted log."""
    session = log[SESSION]
    first = session.ne_missing(session.shift(1))
    if len(first):
        first[0] = True
    return first


def end_times(log: pl.DataFrame, sessions: SessionBounds) -> Int64[np.ndarray, "s"]:
    """Return the time of each session's last event: microseconds since 1970, or its row number without times."""
    clock = log[TIME].to_physical() if TIME in log.columns else log[ROW]
    return clock.gather(sessions.ends - 1).cast(pl.Int64).to_numpy()


def sessions_by_end(log: pl.DataFrame, sessions: SessionBounds) -> Int64[np.ndarray, "s"]:
    """Return session positions in order of their end, oldest first; equal ends keep their order in the file."""
    ends = pl.DataFrame({"time": end_times(log, sessions), "row": log[ROW].gather(sessions.ends - 1)})
    return ends.select(pl.arg_sort_by("time", "row").cast(pl.Int64)).to_series().to_numpy()


def ends_from(log: pl.DataFrame, sessions: SessionBounds, cut: tuple[int, int]) -> Bool[np.ndarray, "s"]:
    """Tell which sessions do not end before ``cut``, the end of a session and the row of its last event."""
    ends, rows = end_times(log, sessions), log[ROW].gather(sessions.ends - 1).to_numpy()
    late: np.ndarray = (ends > cut[0]) | ((ends == cut[0]) & (rows >= cut[1]))
    return late


def basket_numbers(log: pl.DataFrame, first: pl.Series | None = None) -> Int64[np.ndarray, "n"]:
    """Return the number of the basket of each event of a sorted log: the events of a session in one second.

    ``first`` is ``is_first_event(log)``, if already computed.
    """
    second = log[TIME].to_physical() // SECOND
    begins = second.ne_missing(second.shift(1)) | (is_first_event(log) if first is None else first)
    return begins.cast(pl.Int64).cum_sum().to_numpy()
