"""Descriptive statistics of a log."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int

from segue.data.events import TIME_DTYPE, SessionBounds, basket_numbers, is_first_event


@dataclass(frozen=True)
class Statistics:
    """Statistics of a log, or of one part of it.

    Attributes:
        events: rows; the other statistics exclude events without a session.
        sessions: distinct sessions, or users if a session is a user's history.
        users: distinct users, if the log has both sessions and users.
        items: distinct items.
        length_min: events of the shortest session; ``length_median``, ``_mean`` and ``_max`` likewise.
        length_p95: 95th percentile of the session lengths.
        support_median: median of the events per item.
        support_max: events of the most popular item.
        top_1_percent: share of the events on the most popular 1% of the items.
        top_10_percent: the same for 10%.
        gini: Gini coefficient of the events per item: 0 if all items are equally popular, near 1 if a few have all.
        consecutive_repeats: events with the same item as the previous event of the session.
        equal_times: events with the same time as the previous event of the session, None without times.
        baskets: baskets, the events of a session in one second; None without times.
        basket_mean: mean number of events of a basket.
        basket_alone: share of the sessions of two or more events that are a single basket.
        first_time: time of the first event (ISO 8601, UTC), None without times.
        last_time: time of the last event.
        item_min: smallest item id, None for text ids.
        item_max: largest item id.
        unknown: share of the events on items that are not in the training part; None for the training part.
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
    consecutive_repeats: int
    equal_times: int | None
    baskets: int | None
    basket_mean: float | None
    basket_alone: float | None
    first_time: str | None
    last_time: str | None
    item_min: int | None
    item_max: int | None
    unknown: float | None

    def describe(self) -> dict[str, Any]:
        """Return the statistics as a dictionary of JSON values."""
        return asdict(self)


DENSITY_CLASSES = ((0.01, "dense"), (0.0001, "sparse"), (0.0, "very sparse"))
"""Classes of density, by the least value of each."""


def density(events: int, users: int, items: int) -> float:
    """Return the events per pair of a user (or session) and an item, which may exceed 1 where pairs repeat."""
    return events / (users * items) if users and items else 0.0


def density_class(value: float) -> str:
    """Return the class of a density: dense from 1%, sparse from 0.01%, else very sparse."""
    return next(name for least, name in DENSITY_CLASSES if value >= least)


def count_items(log: pl.DataFrame) -> pl.DataFrame:
    """Return the distinct items (column ``item``) and the number of complete events of each (column ``events``)."""
    counts = log.drop_nulls(["session", "item"])["item"].value_counts(name="events")
    return counts.with_columns(pl.col("events").cast(pl.Int64))


def statistics(
    log: pl.DataFrame, *, counts: pl.DataFrame | None = None, training_items: pl.Series | None = None
) -> Statistics:
    """Compute the statistics of a sorted log.

    Args:
        log: the sorted log; it may be empty or hold incomplete events.
        counts: the result of ``count_items(log)``, if already computed.
        training_items: the items of the training part, if ``log`` is another part.
    """
    counts = count_items(log) if counts is None else counts
    return combine_statistics([tally(log)], counts=counts, training_items=training_items)


def tally(log: pl.DataFrame) -> dict[str, Any]:
    """Count what ``combine_statistics`` adds up: of a sorted log, or of whole sessions of it.

    Returns:
        Numbers, and the tables ``lengths`` (events per session, and the number of such sessions) and ``users``
        (distinct users), the latter only if the log has users.
    """
    events = log.height
    log = log.drop_nulls("session") if log["session"].null_count() else log
    first = is_first_event(log)
    bounds = SessionBounds.at(first)
    lengths, sessions = np.unique(bounds.lengths, return_counts=True)
    found: dict[str, Any] = {"events": events, "lengths": pl.DataFrame({"length": lengths, "sessions": sessions})}
    if "user" in log.columns:
        found["users"] = log.select(pl.col("user").unique())
    return found | _neighbours(log, ~first) | _baskets(log, bounds, first) | _range(log)


def combine_statistics(
    tallies: Sequence[Mapping[str, Any]], *, counts: pl.DataFrame, training_items: pl.Series | None = None
) -> Statistics:
    """Compute the statistics of a log from those of its partitions.

    Args:
        tallies: results of ``tally``, whose tables are frames.
        counts: the items of all partitions (column ``item``) with the number of their events (column ``events``).
        training_items: see ``statistics``.
    """
    return Statistics(
        events=sum(one["events"] for one in tallies),
        users=_distinct([one["users"] for one in tallies]) if "users" in tallies[0] else None,
        **_lengths(pl.concat([one["lengths"] for one in tallies]).group_by("length").sum().sort("length")),
        **_popularity(np.sort(counts["events"].to_numpy())[::-1]),
        consecutive_repeats=sum(one["consecutive_repeats"] for one in tallies),
        equal_times=_sum(tallies, "equal_times"),
        **_combine_baskets(tallies),
        first_time=_moment(min, tallies, "first_time"),
        last_time=_moment(max, tallies, "last_time"),
        **_ids(counts["item"]),
        unknown=None if training_items is None else _unknown(counts, training_items),
    )


def _distinct(tables: Sequence[pl.DataFrame]) -> int:
    return tables[0].height if len(tables) == 1 else pl.concat(tables).n_unique()


def _sum(tallies: Sequence[Mapping[str, Any]], name: str) -> int | None:
    return None if tallies[0][name] is None else sum(one[name] for one in tallies)


def _lengths(table: pl.DataFrame) -> dict[str, Any]:
    lengths, sessions = table["length"].to_numpy(), table["sessions"].to_numpy()
    total = int(sessions.sum())
    if not total:
        return (
            {"sessions": 0}
            | dict.fromkeys(("length_min", "length_max"), 0)
            | dict.fromkeys(("length_median", "length_mean", "length_p95"), 0.0)
        )
    places = np.maximum(np.ceil(total * np.array([0.5, 0.95]) - 1), 0)
    median, p95 = lengths[np.searchsorted(np.cumsum(sessions), places, side="right")]
    return {
        "sessions": total,
        "length_min": int(lengths[0]),
        "length_median": float(median),
        "length_mean": float((lengths * sessions).sum() / total),
        "length_p95": float(p95),
        "length_max": int(lengths[-1]),
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


def _neighbours(log: pl.DataFrame, inside: pl.Series) -> dict[str, Any]:
    repeats = (log["item"] == log["item"].shift(1)) & inside
    if "time" not in log.columns:
        return {"consecutive_repeats": int(repeats.sum()), "equal_times": None}
    equal = (log["time"] == log["time"].shift(1)) & inside
    return {"consecutive_repeats": int(repeats.sum()), "equal_times": int(equal.sum())}


def _baskets(log: pl.DataFrame, bounds: SessionBounds, first: pl.Series) -> dict[str, Any]:
    if "time" not in log.columns:
        return {"baskets": None}
    numbers = basket_numbers(log, first)
    several = bounds.lengths > 1
    alone = numbers[bounds.starts[several]] == numbers[bounds.ends[several] - 1]
    count = int(numbers[-1]) if len(numbers) else 0
    return {"baskets": count, "complete": len(numbers), "several": len(alone), "alone": int(alone.sum())}


def _combine_baskets(tallies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if tallies[0]["baskets"] is None:
        return dict.fromkeys(("baskets", "basket_mean", "basket_alone"))
    count, events, several, alone = (
        sum(one[name] for one in tallies) for name in ("baskets", "complete", "several", "alone")
    )
    return {
        "baskets": count,
        "basket_mean": events / count if count else 0.0,
        "basket_alone": alone / several if several else 0.0,
    }


def _range(log: pl.DataFrame) -> dict[str, Any]:
    """Return the first and last time in microseconds since 1970."""
    if "time" not in log.columns:
        return {"first_time": None, "last_time": None}
    first, last = log.select(first=pl.col("time").to_physical().min(), last=pl.col("time").to_physical().max()).row(0)
    return {"first_time": first, "last_time": last}


def _moment(choose: Callable[[list[int]], int], tallies: Sequence[Mapping[str, Any]], name: str) -> str | None:
    moments = [one[name] for one in tallies if one[name] is not None]
    return pl.Series([choose(moments)]).cast(TIME_DTYPE)[0].isoformat() if moments else None


def _ids(items: pl.Series) -> dict[str, Any]:
    if not items.dtype.is_integer():
        return {"item_min": None, "item_max": None}
    return {"item_min": items.min(), "item_max": items.max()}


def _unknown(counts: pl.DataFrame, known: pl.Series) -> float:
    total = int(counts["events"].sum())
    unknown = int(counts.filter(~pl.col("item").is_in(known.implode()))["events"].sum())
    return unknown / total if total else 0.0
