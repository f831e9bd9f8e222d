"""The order of a log: sessions in one piece, their events in time order, equal times in file order.

Every step after reading works on an *ordered* log: what ``ordered`` returned, or rows kept of it. There a session
is a run of rows, so that its length, its end and its neighbours are array arithmetic, not a search.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int64, Shaped

ROW = "__row__"
"""Column that ``ordered`` adds: the place of an event in the file."""


def ordered(log: pl.DataFrame) -> pl.DataFrame:
    """Sort by session and time; events of a session with equal times, or of a log without times, keep file order."""
    # A log whose rows are in time order already needs one key, which takes half the time.
    by_session_only = "time" not in log.columns or log["time"].is_sorted()
    keys = ["session"] if by_session_only else ["session", "time"]
    return log.with_row_index(ROW).sort(keys, maintain_order=True)


@dataclass(frozen=True, eq=False)
class Runs:
    """Where each session of an ordered log lies.

    Attributes:
        starts: first row of each session.
        ends: one past its last row.
    """

    starts: Int64[np.ndarray, "s"]
    ends: Int64[np.ndarray, "s"]

    @classmethod
    def of(cls, log: pl.DataFrame) -> "Runs":
        """Find the sessions of an ordered log."""
        starts = np.flatnonzero(begins(log).to_numpy())
        return cls(starts, np.append(starts[1:], log.height) if len(starts) else starts)

    @property
    def lengths(self) -> Int64[np.ndarray, "s"]:
        """Events per session."""
        lengths: np.ndarray = self.ends - self.starts
        return lengths

    def spread(self, values: Shaped[np.ndarray, "s"]) -> Shaped[np.ndarray, "n"]:
        """Repeat one value per session on each of its rows."""
        return values.repeat(self.lengths)


def begins(log: pl.DataFrame) -> pl.Series:
    """Return True on the first row of each session of an ordered log."""
    session = log["session"]
    new = session.ne_missing(session.shift(1))
    if len(new):
        new[0] = True
    return new


def end_times(log: pl.DataFrame, runs: Runs) -> Int64[np.ndarray, "s"]:
    """Return the time of each session's last event: microseconds since 1970, or its row where there are no times."""
    clock = log["time"].to_physical() if "time" in log.columns else log[ROW]
    return clock.gather(runs.ends - 1).cast(pl.Int64).to_numpy()


def by_end(log: pl.DataFrame, runs: Runs) -> Int64[np.ndarray, "s"]:
    """Return the sessions' positions, the one that ended first in front; equal ends keep file order."""
    ends = pl.DataFrame({"time": end_times(log, runs), "row": log[ROW].gather(runs.ends - 1)})
    return ends.select(pl.arg_sort_by("time", "row").cast(pl.Int64)).to_series().to_numpy()
