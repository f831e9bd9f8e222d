"""Events: a click log as one checked table.

Values are checked where a log enters (``segue.data.ingest``); what stands in an ``Events`` is trusted by every later
step. Only the shape of the table is checked here, so that building one from another costs nothing.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import polars as pl

from segue.errors import LogError

SESSION = "session"
"""What is continued: a visit, or a user's whole history. Int64 or String."""
ITEM = "item"
"""What was clicked, read, played or bought. Int64 or String."""
TIME = "time"
"""When, in UTC. Datetime in microseconds without a zone; absent if the order of the rows is all that is known."""
USER = "user"
"""Who, where sessions and users are both known. Int64 or String."""
PART = "part"
"""The given split: one of ``PARTS``. Absent if the log comes unsplit."""
RATING = "rating"
"""A number that the user gave. Optional."""
TYPE = "type"
"""The kind of event, for example click or order. Optional."""

PARTS = ("train", "valid", "test")
"""Values of the column ``part``."""

TIME_DTYPE = pl.Datetime("us")
SECOND = 1_000_000
"""A second in units of ``TIME_DTYPE``."""
DAY = 86_400 * SECOND

Unit = Literal["session", "user"]


@dataclass(frozen=True, eq=False)
class Events:
    """A click log: one row per event, in the order of the source.

    Attributes:
        frame: the columns ``session`` and ``item``, any of ``time``, ``user``, ``part``, ``rating``, ``type``, and
            the features that the source holds beside them, under their own names. A value that the source leaves
            out is null.
        items: metadata of items (column ``item`` and others), or None.
        users: metadata of users (column ``user`` and others), or None.
        unit: what one ``session`` is: a visit, or a user's whole history.
        notes: what the reader recognised and decided, one sentence each.

    Raises:
        LogError: a column is missing or has another type than declared above.
    """

    frame: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    unit: Unit = "session"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        mistakes = [
            *_missing("events", self.frame, SESSION, ITEM),
            *_missing("items", self.items, ITEM),
            *_missing("users", self.users, USER),
            *_wrong_types(self.frame),
        ]
        if mistakes:
            raise LogError("\n".join(mistakes))

    def __len__(self) -> int:
        """Number of events."""
        return self.frame.height

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
        """Number of distinct sessions (or users, see ``unit``); visits of different parts are different ones."""
        key = [SESSION, PART] if self.has_parts and self.unit == "session" else [SESSION]
        return self.frame.select(key).drop_nulls(SESSION).n_unique()

    @cached_property
    def n_items(self) -> int:
        """Number of distinct items."""
        return self.frame[ITEM].drop_nulls().n_unique()


def _missing(table: str, frame: pl.DataFrame | None, *names: str) -> list[str]:
    if frame is None:
        return []
    return [f"{table}: has no column '{name}'; segue.read makes one" for name in names if name not in frame.columns]


def _wrong_types(frame: pl.DataFrame) -> list[str]:
    ids = (pl.Int64(), pl.String())
    declared = {SESSION: ids, ITEM: ids, USER: ids, TIME: (TIME_DTYPE,), PART: (pl.String(),)}
    return [
        f"events, column '{name}': must be {' or '.join(map(str, allowed))}, got {frame.schema[name]}; "
        "segue.read converts it"
        for name, allowed in declared.items()
        if name in frame.columns and frame.schema[name] not in allowed
    ]
