"""What the journal of a service has of an experiment: who was in which arm, what was listed, and what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from segue.data.ingest.columns import quoted
from segue.errors import ArtifactError, ParameterError, UnknownNameError
from segue.strict_json import loads

_TIME = pl.Datetime("ms", "UTC")
_TEXTS = pl.List(pl.String)
_COLUMNS: dict[str, dict[str, Any]] = {
    "events": dict.fromkeys(("session", "item", "type", "recommendation_id", "context"), pl.String) | {"time": _TIME},
    "exposures": {
        **dict.fromkeys(("recommendation_id", "session", "fallback", "experiment", "plan", "arm"), pl.String),
        **{"unit": pl.String, "user": pl.String, "model": pl.String, "forced": pl.Boolean, "bot": pl.Boolean},
        **{"time": _TIME, "items": _TEXTS, "arms": _TEXTS},
    },
    "seen": {
        **dict.fromkeys(("recommendation_id", "session"), pl.String),
        **{"items": _TEXTS, "positions": pl.List(pl.Int64)},
    },
}
"""Columns of the journal that are read; files of a service without experiments lack some of them."""


@dataclass(frozen=True)
class Choice:
    """What is counted.

    Attributes:
        name: the experiment; None takes the one that ran last.
        conversions: types of events that are conversions.
        clicks: types of events that are clicks; none takes all but conversions.
        window: minutes after a list within which an event that names no list counts as a click on it.
        bot_rate: a unit with more events and lists than this within a minute is no person.
        every_list: whether lists count that the site has not reported as seen.
        columns: columns of the context of events by which units are divided.
    """

    name: str | None = None
    conversions: Sequence[str] = ("purchase",)
    clicks: Sequence[str] = ()
    window: float = 30.0
    bot_rate: int = 60
    every_list: bool = False
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Record:
    """An experiment as the journal has it.

    Attributes:
        name: its name.
        plan: unit, arms, models and shares, as they were last.
        exposures: its exposures that took part, the oldest first, without the items.
        clicks: recommendation_id, time and arm (of the item, where arms were interleaved) of each click on a list.
        events: all events, with the unit that they belong to, if there is one.
        seen: ids of the lists that were seen; empty if the site does not say.
        counts: what else was found, by name.
    """

    name: str
    plan: dict[str, Any]
    exposures: pl.DataFrame
    clicks: pl.DataFrame
    events: pl.DataFrame
    seen: pl.Series
    counts: dict[str, int] = field(default_factory=dict)


def read_record(folder: Path, choice: Choice) -> Record:
    """Read the journal in the state folder of a service.

    Raises:
        ArtifactError: it is no such folder, a file is damaged, or there is no experiment.
        UnknownNameError: there is no experiment of this name.
        ParameterError: no event has a column of the context that is asked for.
    """
    if not (folder / "exposures").is_dir():
        raise ArtifactError(
            f"{folder}: must be the state folder of a service that has written its journal, such as segue-state; it "
            "has no folder exposures (a file is written every --journal-seconds, and when the service stops)"
        )
    events = pl.concat([_columns("events"), *_parts(folder, "events")]).with_row_index("event")
    _check_columns(events, choice.columns)
    bought = pl.col("type").is_in(list(choice.conversions))
    clicks = events.filter(pl.col("type").is_in(list(choice.clicks)) if choice.clicks else ~bought)
    kept, found = [_columns("exposures").drop("items", "arms")], [_no_clicks()]
    for part in _parts(folder, "exposures"):
        kept.append(part.drop("items", "arms"))
        found += _clicks(part, clicks, choice.window)
    exposures = (
        pl.concat(kept).unique("recommendation_id", keep="first", maintain_order=True).sort("time", maintain_order=True)
    )
    name = _name(exposures, choice.name, folder)
    of_it = exposures.filter(pl.col("experiment") == name)
    part = of_it.filter(pl.col("unit").is_not_null())
    if part.is_empty():
        raise ArtifactError(
            f"{folder}: no request took part in {name}: it needs session_id (user_id, if users are divided), consent, "
            "and no model"
        )
    plan = loads(part["plan"][-1])
    pairs = pl.concat(found)
    # An event without the id of a list is a click on the last list before it that has its item.
    pairs = pairs.sort("listed", "recommendation_id").unique("event", keep="last", maintain_order=True)
    named = events.filter(pl.col("recommendation_id").is_not_null())
    joined = pairs.join(part.select("recommendation_id", "unit"), on="recommendation_id")
    units = part.filter(pl.col("session").is_not_null()).unique("session", keep="first").select("session", "unit")
    bots = exposures.filter(pl.col("experiment") == name, pl.col("bot")).height
    counts = {
        "lists": part.height,
        "forced": of_it.filter(pl.col("forced")).height,
        "outside": of_it.filter(pl.col("unit").is_null() & ~pl.col("forced")).height,
        "marked_as_bots": bots,
        "events_naming_a_list": named.height,
        "of_a_known_list": named.join(exposures, on="recommendation_id", how="semi").height,
        "clicks": joined.height,
    }
    seen = pl.concat([_columns("seen"), *_parts(folder, "seen")]).filter(
        (pl.col("items").list.len() > 0) | (pl.col("positions").list.len() > 0)
    )
    told = (
        seen.select("recommendation_id", reported="session")
        .unique()
        .join(part.select("recommendation_id", "session"), on="recommendation_id")
    )
    told = told.filter(pl.col("session").eq_missing(pl.col("reported")))
    return Record(
        name, plan, part, joined.drop("unit"), events.join(units, on="session", how="left"),
        told["recommendation_id"].unique(), counts,
    )  # fmt: skip


def _columns(kind: str) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(sorted(_COLUMNS[kind].items())))


def _parts(folder: Path, kind: str) -> Iterator[pl.DataFrame]:
    """Yield the files of a kind, in the order in which they were written."""
    columns = dict(sorted(_COLUMNS[kind].items()))
    for file in sorted((folder / kind).glob("*.parquet")):
        try:
            there = pl.read_parquet_schema(file)
            table = pl.read_parquet(file, columns=[name for name in columns if name in there], glob=False)
            missing = {name: pl.lit(None, kind) for name, kind in columns.items() if name not in there}
            yield table.with_columns(**missing).select(
                pl.col(name).cast(kind).alias(name) for name, kind in columns.items()
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise ArtifactError(f"{file}: is damaged ({error}); remove it") from error


def _no_clicks() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "event": pl.UInt32, "recommendation_id": pl.String, "time": _TIME, "listed": _TIME, "arm": pl.String,
        }
    )  # fmt: skip


def _clicks(part: pl.DataFrame, events: pl.DataFrame, window: float) -> list[pl.DataFrame]:
    """Return the events on items of the lists of a file: those that name the list, and those that name none."""
    lists = part.filter(pl.col("experiment").is_not_null()).select(
        "recommendation_id", "items", "arms", "time", "session"
    )
    lists = lists.rename({"time": "listed", "session": "of"})
    named = events.filter(pl.col("recommendation_id").is_not_null()).join(lists, on="recommendation_id")
    named = named.filter((pl.col("of") == pl.col("session")).fill_null(value=True))
    others = events.filter(pl.col("recommendation_id").is_null()).drop("recommendation_id")
    others = others.join(lists.filter(pl.col("of").is_not_null()), left_on="session", right_on="of")
    within = (pl.col("time") - pl.col("listed")).is_between(pl.duration(), pl.duration(minutes=window), closed="right")
    found = []
    for pairs in (named, others.filter(within)):
        hits = pairs.filter(pl.col("items").list.contains(pl.col("item")))
        rows = hits.select("event", "recommendation_id", "time", "listed", "item", "items", "arms")
        arms = [
            None if arms is None else arms[items.index(item)]
            for item, items, arms in rows.select("item", "items", "arms").iter_rows()
        ]
        found.append(
            rows.select("event", "recommendation_id", "time", "listed").with_columns(
                arm=pl.Series(arms, dtype=pl.String)
            )
        )
    return found


def _name(exposures: pl.DataFrame, name: str | None, folder: Path) -> str:
    names = exposures["experiment"].drop_nulls()
    if names.is_empty():
        raise ArtifactError(f"{folder}: has no exposure of an experiment; start the service with --experiment FILE")
    if name is not None and name not in names:
        raise UnknownNameError("experiment", name, set(names))
    return str(names[-1]) if name is None else name


def _check_columns(events: pl.DataFrame, columns: Sequence[str]) -> None:
    if not columns:
        return
    contexts = events["context"].drop_nulls().unique()
    known = sorted({name for text in contexts for name in loads(text)})
    for name in columns:
        if name not in known:
            keys = f"their keys are {quoted(known)}" if known else "no event has one"
            raise ParameterError(f"--slice: must be a key in the context of events ({keys}), got {name!r}")
