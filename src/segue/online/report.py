"""The report of an experiment: verdicts in words, tables, JSON, and a chart."""

from math import isfinite
from typing import Any

from segue import markdown
from segue.charts import CONFIG, GREY, LINE, PALETTE, Spec
from segue.online.analysis import CONVERSION, PREFERENCE, Analysis, Row
from segue.online.statistics import FEWEST, Difference, Estimate

_WIDTH, _HEIGHT = 420, 160


def verdicts(found: Analysis) -> list[str]:
    """Return what the experiment has shown, in sentences; a broken split says that nothing else may be read."""
    if found.is_broken:
        place = max(range(len(found.arms)), key=lambda one: abs(found.units[one] - found.planned[one]))
        total = sum(found.units)
        unit = found.record.plan["unit"]
        return [
            f"the split is broken: {found.units[place] / total:.1%} of {unit}s are in {found.arms[place]} where "
            f"{found.planned[place] / total:.1%} were planned (p = {found.p_value:.2g}); do not read the rates, and "
            "look for answers that are lost in one arm, such as errors, time-outs or bots"
        ]
    return [_verdict(row, found.arms[0]) for row in found.totals]


def _verdict(row: Row, control: str) -> str:
    one = row.difference
    if not one.enough:
        least = f"each arm needs {FEWEST} {'clicked' if row.metric != CONVERSION else 'converted'} units or more"
        return f"too little data on the {row.metric} of {row.arm} and {control}: {least}; go on"
    low, high = (100 * bound for bound in one.interval)
    numbers = f"{100 * one.value:+.2f} points {row.metric}, 95% interval {low:+.2f} to {high:+.2f}"
    if one.decided:
        verb = "is better" if one.value > 0 else "is worse"
        return f"{row.arm} {verb} than {control}: {numbers}; safe to stop"
    more = "; this interval is for one planned look, and it is too early to stop" if low * high > 0 else ""
    return f"no difference yet between {row.arm} and {control}: {numbers}{more}; go on"


_SHOWN_TYPES = 5
"""Types of events that a warning lists."""


def warnings(found: Analysis) -> list[str]:
    """Return what makes the rates questionable."""
    counts, lines = found.counts, []
    for metric, arm, by in found.reversed:
        lines.append(
            f"{by} and total disagree on the {metric} of {arm}: within the slices the difference has the other sign "
            "(Simpson's paradox); trust the slices, and find what mixes them differently in the arms"
        )
    if counts["moved"]:
        lines.append(
            f"{counts['moved']:,} units changed their arm when weights changed; they count for their first arm"
        )
    if counts["substituted"]:
        lines.append(
            f"{counts['substituted']:,} lists were answered by the default model, because the model of the arm was not "
            "loaded; their units count for the arm"
        )
    if counts["events_naming_a_list"] > counts["of_a_known_list"]:
        missing = counts["events_naming_a_list"] - counts["of_a_known_list"]
        lines.append(
            f"{missing:,} of {counts['events_naming_a_list']:,} events name a list that is not in the journal: it is "
            "older than --retention-days, was deleted, or its id is wrong"
        )
    if not counts["conversions"] and not found.record.plan["interleave"]:
        kinds = found.record.events["type"].drop_nulls().value_counts(sort=True)["type"].head(_SHOWN_TYPES).to_list()
        lines.append(
            "there is no conversion: name the types of events that are conversions with --conversion; the most "
            f"frequent types of the journal are {', '.join(kinds) or 'none'}"
        )
    return lines


def left_out(found: Analysis) -> list[str]:
    """Return what does not count."""
    counts = found.counts
    texts = {
        "forced": "lists of requests that named a model (forced)",
        "outside": f"lists of requests without {'a session' if found.record.plan['unit'] == 'session' else 'user_id'}",
        "bots": f"{found.record.plan['unit']}s that are bots: marked, or too fast (--bot-rate)",
        "unseen_lists": "lists that the site did not report as seen (--every-list counts them)",
    }
    return [f"{counts[name]:,} {text}" for name, text in texts.items() if counts[name]]


def as_dict(found: Analysis) -> dict[str, Any]:
    """Return the report for JSON."""
    return {
        "experiment": found.record.name,
        "unit": found.record.plan["unit"],
        "interleave": found.record.plan["interleave"],
        "verdicts": verdicts(found),
        "warnings": warnings(found),
        "left_out": left_out(found),
        "arms": [
            {
                "name": arm,
                "model": found.record.plan["arms"][arm]["model"],
                "units": found.units[place],
                "planned": round(found.planned[place], 1),
                "lists": found.lists[place],
                **{metric: _estimate(of[place]) for metric, of in found.rates.items()},
            }
            for place, arm in enumerate(found.arms)
        ],
        "sample_ratio": {"p_value": found.p_value, "broken": found.is_broken},
        "differences": list(map(_row, found.totals)),
        "days": list(map(_row, found.days)),
        "slices": list(map(_row, found.slices)),
        "counts": found.counts,
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _estimate(one: Estimate) -> dict[str, Any]:
    return {"value": _number(one.value), "interval": list(map(_number, one.interval))}


def _row(row: Row) -> dict[str, Any]:
    return {
        **{"metric": row.metric, "arm": row.arm, "slice": row.slice, "value": row.value, "units": row.units},
        "difference": _estimate(row.difference),
        "sequence": list(map(_number, row.difference.sequence)),
        "decided": row.difference.decided,
    }


def arm_cells(found: Analysis) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of arms."""
    several = not found.record.plan["interleave"]
    head = ["arm", "model", *[f"{found.record.plan['unit']}s", "planned", "lists"] * several]
    head += [f"{metric} (95% interval)" for metric in found.rates]
    rows = []
    for place, arm in enumerate(found.arms):
        sizes = [f"{found.units[place]:,}", f"{found.planned[place]:,.0f}", f"{found.lists[place]:,}"]
        rates = [_percent(of[place]) for of in found.rates.values()]
        rows.append([arm, found.record.plan["arms"][arm]["model"], *sizes * several, *rates])
    return head, rows


def difference_cells(rows: list[Row], *, first: str = "") -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table of differences.

    Args:
        rows: the differences.
        first: head of a column with their days or slices; empty for those in total.
    """
    named, always = bool(first), first != "slice"  # The tests of many slices do not hold all together.
    head = [*[first] * named, "metric", "arm", "units", "difference", "95% interval", *["at any time"] * always]
    cells = [
        [
            *[f"{row.slice} {row.value}"] * named,
            row.metric,
            row.arm,
            f"{row.units:,}",
            _points(row.difference.value),
            _between(row.difference.interval),
            *[_between(row.difference.sequence)] * always,
        ]
        for row in rows
    ]
    return head, cells


def _percent(one: Estimate) -> str:
    if not isfinite(one.value):
        return "-"
    low, high = one.interval
    inside = f" ({max(0.0, low):.2%} to {min(1.0, high):.2%})" if isfinite(one.error) else ""
    return f"{one.value:.2%}{inside}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}" if isfinite(value) else "-"


def _between(bounds: tuple[float, float]) -> str:
    return f"[{_points(bounds[0])}, {_points(bounds[1])}]" if all(map(isfinite, bounds)) else "-"


ABOUT = (
    "Differences are in percentage points from the first arm. The 95% interval is valid for one look at a time fixed "
    "in advance; the interval 'at any time' is valid whenever you look, and for all arms and metrics together."
)


def as_markdown(found: Analysis) -> str:
    """Return the report as Markdown."""
    name = markdown.escaped(found.record.name)
    lines = [f"# Experiment {name}\n", *(f"- {markdown.escaped(line)}" for line in verdicts(found)), ""]
    lines += markdown.section("Warnings", map(markdown.escaped, warnings(found)))
    if not found.is_broken:
        lines += markdown.section("Arms", markdown.table(*arm_cells(found)))
        for title, first, rows in (
            ("Differences", "", found.totals),
            ("Day by day", "day", found.days),
            ("Slices", "slice", found.slices),
        ):
            if rows:
                lines += markdown.section(title, markdown.table(*difference_cells(rows, first=first)))
        lines += [ABOUT, ""]
    lines += markdown.section("Left out", map(markdown.escaped, left_out(found)))
    return "\n".join(lines) + "\n"


def chart(found: Analysis) -> Spec:
    """Return the rates of the arms with their intervals, and the differences as they were at the end of each day."""
    colors = {"domain": found.arms, "range": [GREY, *PALETTE[:7]][: len(found.arms)]}
    metrics = list(found.rates)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "config": CONFIG,
        "background": "white",
        "vconcat": [
            {"hconcat": [_rate_chart(found, metric, colors) for metric in metrics]},
            {"hconcat": [_day_chart(found, metric, colors) for metric in metrics]},
        ],
    }


def _rate_chart(found: Analysis, metric: str, colors: Spec) -> Spec:
    values = [
        {"arm": arm, "rate": 100 * one.value, "low": 100 * one.interval[0], "high": 100 * one.interval[1]}
        for arm, one in zip(found.arms, found.rates[metric], strict=True)
        if isfinite(one.error)
    ]
    y = {"field": "arm", "type": "nominal", "sort": found.arms, "title": None}
    color = {"field": "arm", "type": "nominal", "scale": colors, "legend": None}
    x = {"type": "quantitative", "title": f"{metric}, %, with 95% interval", "scale": {"zero": False}}
    return {
        "width": _WIDTH,
        "height": 40 * len(found.arms),
        "data": {"values": values},
        "layer": [
            {"mark": "rule", "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": color}},
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"y": y, "x": {**x, "field": "rate"}, "color": color},
            },
        ],
    }


def _day_chart(found: Analysis, metric: str, colors: Spec) -> Spec:
    values = [
        {
            **{"day": row.value, "arm": row.arm, "difference": 100 * row.difference.value},
            **_bounds(row.difference),
        }
        for row in found.days
        if row.metric == metric and row.difference.enough
    ]
    title = f"difference from {found.arms[0]}, points" if metric != PREFERENCE else "difference of shares, points"
    x = {"field": "day", "type": "ordinal", "title": "until the end of"}
    color = {"field": "arm", "type": "nominal", "scale": colors, "title": None}
    y = {"type": "quantitative", "title": title}
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": values},
        "title": f"{metric}, with the interval that is valid at any time",
        "layer": [
            {
                "data": {"values": [{}]},
                "mark": {"type": "rule", "color": LINE},
                "encoding": {"y": {"datum": 0}},
            },
            {
                "mark": {"type": "errorbar", "ticks": True},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": color},
            },
            {
                "mark": {"type": "line", "point": True},
                "encoding": {"x": x, "y": {**y, "field": "difference"}, "color": color},
            },
        ],
    }


def _bounds(one: Difference) -> dict[str, float]:
    low, high = one.sequence
    return {"low": 100 * low, "high": 100 * high}
