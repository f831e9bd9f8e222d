"""What is in a log, in numbers."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int

from segue.data.order import Runs, begins


@dataclass(frozen=True)
class Statistics:
    """The numbers of one log, or of one part of it.

    Attributes:
        events: rows; the other numbers leave out events without a session.
        sessions: distinct sessions, or users where a session is a user's history.
        users: distinct users, where the log tells them apart from sessions.
        items: distinct items.
        length_min: events of the shortest session; the other ``length_`` numbers follow suit.
        length_p95: 95 of 100 sessions are at most this long.
        support_median: events of the item in the middle.
        support_max: events of the most popular item.
        top_1_percent: share of the events that the most popular 1% of the items have.
        top_10_percent: the same for 10%.
        gini: inequality of the items' events: 0 if all are equally popular, towards 1 if few have all.
        repeats: events on the item of the event before.
        equal_times: events at the time of the event before in the session, None without times.
        first_time: time of the first event (ISO 8601, UTC), None without times.
        last_time: time of the last event.
        item_min: smallest item id, None for ids that are text; a gap to ``items`` tells of ids not in use.
        item_max: largest item id.
        unknown: share of the events that are on items which training does not hold; None for training itself.
    """

    events: int
    sessions: int
    users: int | None
    items: int
    length_min: int
    length_median: float
    length_mean: float
    length_p95: float
    length_max: int
    support_median: float
    support_max: int
    top_1_percent: float
    top_10_percent: float
    gini: float
    repeats: int
    equal_times: int | None
    first_time: str | None
    last_time: str | None
    item_min: int | None
    item_max: int | None
    unknown: float | None

    def describe(self) -> dict[str, Any]:
        """Return the numbers by name, ready for JSON."""
        return asdict(self)


def popularity(log: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct items (column ``item``) and their number of complete events (column ``events``)."""
    counts = log.drop_nulls(["session", "item"])["item"].value_counts(name="events")
    return counts.with_columns(pl.col("events").cast(pl.Int64))


def statistics(
    log: pl.DataFrame, *, counts: pl.DataFrame | None = None, training_items: pl.Series | None = None
) -> Statistics:
    """Count what is in an ordered log.

    Args:
        log: the ordered log; it may be empty or hold incomplete events.
        counts: ``popularity(log)``, if it is known already.
        training_items: the items of the training part, if ``log`` is another part.
    """
    events = log.height
    log = log.drop_nulls("session")
    counts = popularity(log) if counts is None else counts
    return Statistics(
        events=events,
        users=log["user"].n_unique() if "user" in log.columns else None,
        **_lengths(Runs.of(log).lengths),
        **_popularity(np.sort(counts["events"].to_numpy())[::-1]),
        **_neighbours(log),
        **_range(log),
        **_ids(counts["item"]),
        unknown=None if training_items is None else _unknown(counts, training_items),
    )


def _lengths(lengths: Int[np.ndarray, "s"]) -> dict[str, Any]:
    if not len(lengths):
        return (
            {"sessions": 0}
            | dict.fromkeys(("length_min", "length_max"), 0)
            | dict.fromkeys(("length_median", "length_mean", "length_p95"), 0.0)
        )
    median, p95 = np.quantile(lengths, (0.5, 0.95), method="inverted_cdf")
    return {
        "sessions": len(lengths),
        "length_min": int(lengths.min()),
        "length_median": float(median),
        "length_mean": float(lengths.mean()),
        "length_p95": float(p95),
        "length_max": int(lengths.max()),
    }


def _popularity(descending: Int[np.ndarray, "N"]) -> dict[str, Any]:
    n, total = len(descending), int(descending.sum())
    if not n:
        return {"items": 0, "support_median": 0.0, "support_max": 0} | dict.fromkeys(
            ("top_1_percent", "top_10_percent", "gini"), 0.0
        )
    ranks = np.arange(1, n + 1)
    return {
        "items": n,
        "support_median": float(np.median(descending)),
        "support_max": int(descending[0]),
        "top_1_percent": float(descending[: -(-n // 100)].sum() / total),
        "top_10_percent": float(descending[: -(-n // 10)].sum() / total),
        "gini": float(((n + 1 - 2 * ranks) * descending).sum() / (n * total)),
    }


def _neighbours(log: pl.DataFrame) -> dict[str, Any]:
    inside = ~begins(log)
    repeats = (log["item"] == log["item"].shift(1)) & inside
    if "time" not in log.columns:
        return {"repeats": int(repeats.sum()), "equal_times": None}
    equal = (log["time"] == log["time"].shift(1)) & inside
    return {"repeats": int(repeats.sum()), "equal_times": int(equal.sum())}


def _range(log: pl.DataFrame) -> dict[str, Any]:
    if "time" not in log.columns or log["time"].null_count() == log.height:
        return {"first_time": None, "last_time": None}
    first, last = log.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
    return {"first_time": first.isoformat(), "last_time": last.isoformat()}


def _ids(items: pl.Series) -> dict[str, Any]:
    if not items.dtype.is_integer():
        return {"item_min": None, "item_max": None}
    return {"item_min": items.min(), "item_max": items.max()}


def _unknown(counts: pl.DataFrame, known: pl.Series) -> float:
    total = int(counts["events"].sum())
    strange = int(counts.filter(~pl.col("item").is_in(known.implode()))["events"].sum())
    return strange / total if total else 0.0
