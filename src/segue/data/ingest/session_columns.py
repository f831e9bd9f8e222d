"""Columns that look like the id of a session, in a log whose sessions are the histories of users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from segue.data.events import SESSION, USER
from segue.data.ingest.columns import how_to_use, may_be_session, may_count_sessions
from segue.data.ingest.visits import Visits, count_visits

_MISSING = 0.05
"""Share of the events without a value that an id of sessions may have."""
_LEAST_EVENTS = 1.1
"""Mean number of events of a session below which a value identifies an event."""
_DENSE = 0.5
"""Least share of the numbers between the first and the last value of a user that a count of sessions has."""
_TEXT = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class SessionColumn:
    """Counts of a column that may be the id of a session.

    Attributes:
        visits: its values as sessions.
        users: distinct users of the events with a value.
        span: numbers from the least to the largest value of a user, added over the users; 0 if values are text.
        events: events with a value and a user.
    """

    visits: Visits
    users: int
    span: float
    events: int

    def notes(self, name: str, user: str, rows: int) -> list[str]:
        """Say that the column is the id of a session, if its values divide the histories of users.

        Args:
            name: the column.
            user: the column of users.
            rows: events of the log.
        """
        values, shared, pairs = self.visits.sessions, self.visits.shared, self.visits.pairs
        is_complete = self.events >= (1 - _MISSING) * rows
        if not is_complete or pairs <= self.users or self.events < _LEAST_EVENTS * pairs:
            return []
        if not self.visits.are_numbered_anew:
            all_or_most = f"{values - shared:,}" if shared else "each"
            found = f"{all_or_most} of its {values:,} values belong{'' if shared else 's'} to one '{user}'"
        elif may_count_sessions(name) and 0 < self.span <= pairs / _DENSE:
            found = f"it numbers the sessions of each '{user}' anew"
        else:
            return []
        return [
            f"column '{name}' looks like the id of a session but is not used: {found}, and a session is the whole "
            f"history of a '{user}'; {how_to_use(SESSION, name)}"
        ]


def likely_sessions(features: Sequence[str], schema: Mapping[str, Any]) -> list[str]:
    """Return the features that are called like the id of a session, and have numbers or text."""
    return [name for name in features if may_be_session(name) and (schema[name].is_numeric() or schema[name] in _TEXT)]


def unused_sessions(frame: pl.DataFrame, features: Sequence[str], user: str) -> list[str]:
    """Return notes on features that are the id of a session, in a log whose sessions are users.

    Args:
        frame: the log.
        features: its columns without a role.
        user: the name of the column of users in the source.
    """
    notes = []
    for name in likely_sessions(features, frame.schema):
        pairs = count_pairs(frame, name)
        found = SessionColumn(count_visits(pairs), *count_users(pairs), events=int(pairs["events"].sum()))
        notes += found.notes(name, user, frame.height)
    return notes


def count_pairs(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the distinct values of a column (as ``session``) of each user, with the number of their events."""
    value = pl.col(name)
    if frame[name].dtype.is_numeric():
        whole = value.cast(pl.Int64, strict=False)
        value = pl.when(whole == value).then(whole)
    else:
        value = value.cast(pl.String)
    pairs = frame.select(value.alias(SESSION), pl.col(SESSION).alias(USER)).drop_nulls()
    return pairs.group_by(SESSION, USER).agg(events=pl.len())


def count_users(pairs: pl.DataFrame) -> tuple[int, float]:
    """Return ``SessionColumn.users`` and ``SessionColumn.span`` of pairs, or of all those of some users."""
    if pairs[SESSION].dtype == pl.String:
        return pairs[USER].n_unique(), 0.0
    value = pl.col(SESSION).cast(pl.Float64)
    spans = pairs.group_by(USER).agg(span=value.max() - value.min() + 1)["span"]
    return len(spans), float(spans.sum())
