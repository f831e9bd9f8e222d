"""Visits that are numbered anew for each user.

A session id with several users is such a number if it is common; a few may be visitors that logged in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from segue.data.events import SESSION, USER

_MOST_SHARED = 0.1
"""Share of session ids with several users up to which the ids count as unique."""


@dataclass(frozen=True)
class Visits:
    """Counts of the sessions of a log.

    Attributes:
        sessions: distinct session ids.
        shared: those with several users.
        pairs: distinct pairs of session and user.
    """

    sessions: int
    shared: int
    pairs: int

    @property
    def are_numbered_anew(self) -> bool:
        """Whether a session is a user and a visit."""
        return self.shared > _MOST_SHARED * self.sessions

    def notes(self, columns: Mapping[str, str]) -> list[str]:
        """Say what a session is, if some ids have several users.

        Args:
            columns: column of the source by role.
        """
        if not self.shared:
            return []
        if not self.are_numbered_anew:
            found = f"{self.shared:,} of {self.sessions:,} have events of several users; they are one session each"
            return [f"sessions: {found}"]
        visit, user = f"'{columns[SESSION]}'", f"'{columns[USER]}'"
        return [
            f"sessions: {self.shared:,} of {self.sessions:,} values of {visit} occur with several users, so a session "
            f"is a {user} and a {visit}: {self.pairs:,} sessions"
        ]


def count_visits(frame: pl.DataFrame) -> Visits:
    """Count the sessions and users of a log, or of all its rows of some sessions."""
    pairs = distinct_pairs(frame)
    users = pairs.group_by(SESSION).len("users")
    return Visits(len(users), int((users["users"] > 1).sum()), len(pairs))


def distinct_pairs(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct pairs of session and user."""
    return frame.select(SESSION, USER).drop_nulls().unique()


def add_visits(counts: Sequence[Visits]) -> Visits:
    """Add the counts of rows that share no session."""
    return Visits(*(sum(getattr(one, name) for one in counts) for name in ("sessions", "shared", "pairs")))


def qualify_visits(frame: pl.DataFrame) -> pl.DataFrame:
    """Make a session of a user and a visit."""
    qualified = pl.format("{}/{}", USER, SESSION).alias(SESSION)
    no_user = pl.col(USER).is_null()
    return frame.with_columns(pl.when(no_user).then(pl.col(SESSION).cast(pl.String)).otherwise(qualified))
