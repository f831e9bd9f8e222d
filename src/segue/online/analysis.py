"""An experiment, analysed: rates of the arms and their differences, in total, day by day and in slices.

A unit (session or user) counts for the arm that first answered it, whatever answered later (intention to treat).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segue.online.outcomes import Choice, Record
from segue.online.statistics import SPLIT_ALPHA, Difference, Estimate, Rates, rates, reverses, split_p_value
from segue.strict_json import loads

HIT, CONVERSION, PREFERENCE = "hit rate", "conversion rate", "share of clicks"
_MAX_SLICES = 20


@dataclass(frozen=True)
class Row:
    """A difference, in total, up to a day, or in a slice.

    Attributes:
        metric: hit rate, conversion rate, or share of clicks.
        arm: the arm that is compared with the first one.
        slice: by what units are divided; empty in total.
        value: value of the slice.
        units: units in the two arms.
        difference: the difference.
    """

    metric: str
    arm: str
    slice: str
    value: str
    units: int
    difference: Difference


@dataclass(frozen=True)
class Analysis:
    """What an experiment has shown.

    Attributes:
        record: what the journal has.
        arms: names of the arms, the first one is what the others are compared with.
        units: units in each arm.
        planned: units that the shares would have given each arm.
        lists: lists that count in each arm.
        rates: the rates of the arms by metric.
        totals: the differences over all units.
        days: those up to each day.
        slices: those in each slice.
        p_value: of the sample-ratio check; None where arms are interleaved.
        reversed: metric, arm and slice in which slices and total disagree.
        counts: what was left out, and why.
    """

    record: Record
    arms: list[str]
    units: list[int]
    planned: list[float]
    lists: list[int]
    rates: dict[str, list[Estimate]]
    totals: list[Row]
    days: list[Row]
    slices: list[Row]
    p_value: float | None
    reversed: list[tuple[str, str, str]]
    counts: dict[str, int]

    @property
    def is_broken(self) -> bool:
        """Whether the numbers of units contradict the plan."""
        return self.p_value is not None and self.p_value < SPLIT_ALPHA


def analyse(record: Record, choice: Choice) -> Analysis:
    """Analyse an experiment.

    Args:
        record: what the journal has of it.
        choice: what is counted.
    """
    arms = list(record.plan["arms"])
    interleaved = bool(record.plan["interleave"])
    bots = _bots(record, choice.bot_rate)
    units = _units(record, arms, interleaved).join(bots, on="unit", how="anti")
    lists, left_out = _lists(record, units, choice.every_list)
    conversions = _conversions(record, units, choice.conversions)
    table = _Table(units, lists, conversions, arms, interleaved)
    counts = {**record.counts, "bots": bots.height, "unseen_lists": left_out, "conversions": conversions.height}
    crossed = record.exposures.join(units, on="unit", how="semi").group_by("unit").agg(pl.col("arm").n_unique())
    counts["substituted"] = _substituted(record.exposures)
    counts["moved"] = 0 if interleaved else crossed.filter(pl.col("arm") > 1).height
    totals, of_arms = list[Row](), dict[str, list[Estimate]]()
    for metric, found in table.measure(units):
        of_arms[metric] = found.arms
        totals += _rows(metric, found, arms, "", "", units)
    days = sorted(units["day"].unique().to_list() + lists["day"].unique().to_list())
    by_day = [
        row
        for day in dict.fromkeys(days)
        for metric, found in table.measure(units.filter(pl.col("day") <= day), until=day)
        for row in _rows(metric, found, arms, "until", str(day), units.filter(pl.col("day") <= day))
    ]
    slices = list(_slices(record, table, units, arms, choice.columns))
    present = [units.filter(pl.col("arm") == place).height for place in range(len(arms))]
    # Where an arm was taken out of the file, its units are left out, and those of its time divide among the others.
    of_arms_left = pl.sum_horizontal(f"share-{place}" for place in range(len(arms)))
    planned = [
        float(units.select((pl.col(f"share-{place}") / of_arms_left).sum()).item()) for place in range(len(arms))
    ]
    p_value = None if interleaved else split_p_value(np.array(present), np.array(planned))
    shown = lists.join(units.select("unit", "arm"), on="unit")
    return Analysis(
        record,
        arms,
        present,
        planned,
        [shown.filter(pl.col("arm") == place).height for place in range(len(arms))],
        of_arms,
        totals,
        by_day,
        slices,
        p_value,
        _reversals(totals, slices),
        counts,
    )


def _substituted(exposures: pl.DataFrame) -> int:
    """Return the number of lists that another model than that of the arm has answered, because it was not loaded."""
    kinds = exposures.drop_nulls("arm").group_by("plan", "arm", "model").len()
    return sum(
        count
        for plan, arm, model, count in kinds.iter_rows()
        if loads(plan)["arms"].get(arm, {}).get("model", model) != model
    )


def _bots(record: Record, rate: int) -> pl.DataFrame:
    """Return the units that are no persons: marked in a request, or faster than a person."""
    marked = record.exposures.filter(pl.col("bot")).select("unit")
    moments = [record.exposures.select("unit", "time"), record.events.drop_nulls("unit").select("unit", "time")]
    fast = pl.concat(moments).group_by("unit", pl.col("time").dt.truncate("1m")).len().filter(pl.col("len") > rate)
    return pl.concat([marked, fast.select("unit")]).unique()


def _units(record: Record, arms: Sequence[str], interleaved: bool) -> pl.DataFrame:
    """Return a row per unit: its arm, its weight, when it came, and the shares of the arms at that time."""
    first = record.exposures.unique("unit", keep="first", maintain_order=True)
    if not interleaved:
        first = first.filter(pl.col("arm").is_in(list(arms)))
    plans = {text: loads(text)["arms"] for text in first["plan"].unique()}
    shares = [
        pl.col("plan").replace_strict(
            {text: float(plan.get(arm, {}).get("share", 0.0)) for text, plan in plans.items()}, return_dtype=pl.Float64
        ).alias(f"share-{place}")
        for place, arm in enumerate(arms)
    ]  # fmt: skip
    numbers = {arm: place for place, arm in enumerate(arms)}
    units = first.select(
        "unit",
        pl.coalesce("user", "unit").alias("cluster"),
        pl.col("time").alias("since"),
        pl.col("time").dt.date().alias("day"),
        pl.col("fallback").fill_null("none"),
        pl.col("arm").replace_strict(numbers, default=0, return_dtype=pl.Int64),
        *shares,
    )
    own = pl.lit(1.0)
    for place in range(len(arms)):
        own = pl.when(pl.col("arm") == place).then(pl.col(f"share-{place}")).otherwise(own)
    return units.with_columns(weight=pl.lit(1.0) if interleaved else 1 / own)


def _lists(record: Record, units: pl.DataFrame, every: bool) -> tuple[pl.DataFrame, int]:
    """Return the lists that count, with the day of their first click, and how many others there are."""
    hits = record.clicks.group_by("recommendation_id").agg(
        clicked=pl.col("time").min().dt.date(), credit=pl.col("arm").drop_nulls()
    )
    lists = (
        record.exposures.join(units.select("unit"), on="unit", how="semi")
        .select("unit", "recommendation_id", day=pl.col("time").dt.date())
        .join(hits, on="recommendation_id", how="left")
    )
    if every or record.seen.is_empty():
        return lists, 0
    counted = lists.filter(pl.col("recommendation_id").is_in(record.seen.implode()) | pl.col("clicked").is_not_null())
    return counted, lists.height - counted.height


def _conversions(record: Record, units: pl.DataFrame, types: Sequence[str]) -> pl.DataFrame:
    """Return the units that converted after they were first answered, and the day."""
    found = record.events.filter(pl.col("type").is_in(list(types))).join(units.select("unit", "since"), on="unit")
    return found.filter(pl.col("time") > pl.col("since")).group_by("unit").agg(converted=pl.col("time").min().dt.date())


@dataclass(frozen=True)
class _Table:
    units: pl.DataFrame
    lists: pl.DataFrame
    conversions: pl.DataFrame
    arms: Sequence[str]
    interleaved: bool

    def measure(self, units: pl.DataFrame, until: Any = None) -> Iterator[tuple[str, Rates]]:
        """Yield each metric of some units, as it was at the end of a day."""
        lists = self.lists if until is None else self.lists.filter(pl.col("day") <= until)
        clicked = (
            pl.col("clicked").is_not_null() if until is None else (pl.col("clicked") <= until).fill_null(value=False)
        )
        if self.interleaved:
            yield PREFERENCE, self._preference(units, lists.filter(clicked))
            return
        sums = lists.group_by("unit").agg(hits=clicked.sum(), lists=pl.len())
        there = self.conversions if until is None else self.conversions.filter(pl.col("converted") <= until)
        table = (
            units.join(sums, on="unit", how="left")
            .join(there, on="unit", how="left")
            .with_columns(pl.col("hits", "lists").fill_null(0), bought=pl.col("converted").is_not_null())
        )
        numbers = table["cluster"].rank("dense").to_numpy().astype(np.int64)
        weights, arm, count = table["weight"].to_numpy(), table["arm"].to_numpy(), len(self.arms)
        hits, shown, bought = (table[name].cast(pl.Float64).to_numpy() for name in ("hits", "lists", "bought"))
        for metric, successes, of in ((HIT, hits, shown), (CONVERSION, bought, np.ones(len(arm)))):
            yield metric, rates(arm, successes, of, count=count, clusters=numbers, weights=weights, metrics=2)

    def _preference(self, units: pl.DataFrame, clicked: pl.DataFrame) -> Rates:
        """Compare the arms by the lists on which their items were clicked; a list with both counts half for each."""
        of_arm = pl.col("credit").list.contains(self.arms[1])
        both = of_arm & pl.col("credit").list.contains(self.arms[0])
        credit = pl.when(both).then(0.5).when(of_arm).then(1.0).otherwise(0.0)
        sums = clicked.group_by("unit").agg(credit=credit.sum(), lists=pl.len())
        table = units.join(sums, on="unit")
        size = table.height
        credit_of, shown = (table[name].cast(pl.Float64).to_numpy() for name in ("credit", "lists"))
        clusters = table["cluster"].rank("dense").to_numpy().astype(np.int64)
        # Each unit counts for both arms, so the shares of the two arms add up to 1.
        return rates(
            np.repeat(np.array([0, 1]), size),
            np.concatenate([shown - credit_of, credit_of]),
            np.concatenate([shown, shown]),
            count=2,
            clusters=np.concatenate([clusters, clusters]),
        )


def _rows(metric: str, found: Rates, arms: Sequence[str], by: str, value: str, units: pl.DataFrame) -> Iterator[Row]:
    for place, difference in enumerate(found.differences, start=1):
        size = units.height if metric == PREFERENCE else units.filter(pl.col("arm").is_in([0, place])).height
        yield Row(metric, arms[place], by, value, size, difference)


def _slices(
    record: Record, table: _Table, units: pl.DataFrame, arms: Sequence[str], columns: Sequence[str]
) -> Iterator[Row]:
    """Yield the differences by the day on which units came, the fallback of their first list, and columns of events.

    A column divides units by the first value that their events have.
    """
    divided = {"day": units.select("unit", value=pl.col("day").cast(pl.String)),
               "fallback": units.select("unit", value="fallback")}  # fmt: skip
    for name in columns:
        given = record.events.drop_nulls(["unit", "context"]).sort("time", maintain_order=True)
        values = [loads(text).get(name) for text in given["context"]]
        column = pl.Series("value", [None if one is None else str(one) for one in values], dtype=pl.String)
        divided[name] = given.select("unit").with_columns(column).drop_nulls().unique("unit", keep="first")
    for by, values_of in divided.items():
        within = units.join(values_of, on="unit")
        sizes = within.group_by("value").len().sort("len", "value", descending=[True, False])
        if sizes.height < 2:
            continue
        for value in sorted(sizes["value"].head(_MAX_SLICES).to_list()):
            some = within.filter(pl.col("value") == value)
            for metric, found in table.measure(some):
                yield from _rows(metric, found, arms, by, value, some)


def _reversals(totals: Sequence[Row], slices: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Return where the differences within slices have the other sign than in total."""
    found = []
    for total in totals:
        for by in dict.fromkeys(row.slice for row in slices):
            parts = [row for row in slices if (row.metric, row.arm, row.slice) == (total.metric, total.arm, by)]
            parts = [row for row in parts if np.isfinite(row.difference.error)]
            if len(parts) > 1 and reverses(
                total.difference, [row.difference for row in parts], [row.units for row in parts]
            ):
                found.append((total.metric, total.arm, by))
    return found
