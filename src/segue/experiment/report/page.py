"""A run's results as one HTML page that needs nothing else: no network, no other file."""

import logging
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from segue.errors import ChartError, MissingExtraError
from segue.experiment.report import charts
from segue.experiment.report.factorisations import HEAD, training_note, training_rows
from segue.experiment.report.markdown import (
    by_severity,
    headed,
    number,
    part_sizes,
    sampled_candidates,
    search_head,
    search_rows,
    shortened,
    shown,
)
from segue.experiment.report.repeat import repeat
from segue.experiment.report.search import search_chart
from segue.experiment.results import ModelResult, Results
from segue.parameters import flatten, typed
from segue.printable import visible

if TYPE_CHECKING:
    from jinja2 import Template

logger = logging.getLogger(__name__)


def page(results: Results) -> str:
    """Return the page; equal results give equal pages.

    Whatever comes from a log (names of items, columns, labels) is escaped, and its control characters are visible.
    """
    return str(_template().render(_content(results)))


@cache
def _template() -> "Template":
    """Return the compiled template, which takes as long to compile as a small model to train."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 (only reports need it)

    environment = Environment(
        loader=PackageLoader("segue.experiment.report", ""),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # Not the charts, which are Markup.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _content(results: Results) -> dict[str, Any]:
    rows, headline = results.models, list(results.protocol["headline"])
    decimals = results.protocol.get("decimals", 4)
    shown_rows = [row for row in rows if not row.baseline] + [row for row in rows if row.baseline][:1]
    drawn, no_charts = _draw(results, shown_rows, headline)
    stages = [stage for stage in results.data["stages"] if stage["step"] != "encode" or stage["dropped"]]
    return {
        "results": results,
        "rows": rows,
        "headline": headline,
        "charts": drawn,
        "no_charts": no_charts,
        "stages": stages,
        "facts": [name for name in stages[0] if name not in ("step", "part", "why")],
        "search": results.search and search_rows(results.search, decimals),
        "search_head": results.search and search_head(results.search),
        "findings": by_severity(results.further_findings()),
        "sampled": sampled_candidates(results),
        "doubts": results.doubts(),
        "trained": training_rows(rows),
        "trained_head": HEAD,
        "trained_note": training_note(results.data),
        "slices": _slices(shown_rows, headline[0], decimals),
        "settings": [(row.label, flatten(row.config)) for row in rows if row.config],
        "protocol": flatten(results.protocol),
        "repeat": repeat(results),
        "number": lambda value: number(value, decimals),
        "signed": lambda value: f"{value:+.{decimals}f}",
        "shown": shown,
        "shortened": shortened,
        "headed": headed,
        "typed": typed,
    }


def _draw(
    results: Results, shown_rows: Sequence[ModelResult], headline: Sequence[str]
) -> tuple[dict[str, list[charts.Chart]], str]:
    """Return the charts by place, and why there are none where vl-convert is not installed."""
    rows = results.models
    try:
        return {
            "search": search_chart(results.search),
            "board": charts.leaderboard_charts(rows, headline),
            "curves": charts.curve_charts(rows),
            "slices": charts.slice_charts(shown_rows, headline[0]),
            "latency": charts.latency_chart(rows, headline[0]),
            "roc": charts.roc_chart(rows),
        }, ""
    except (ChartError, MissingExtraError) as error:
        if isinstance(error, ChartError):
            logger.warning("%s; the report has none, and segue report draws it again", error)
        return {name: [] for name in ("search", "board", "curves", "slices", "latency", "roc")}, f"No charts: {error}."


def _slices(rows: Sequence[ModelResult], metric: str, decimals: int) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return a table per dimension: its name, its head, its lines."""
    sliced = [row for row in rows if row.slices]
    cases = part_sizes(sliced)
    found = {(row.label, part.dimension, part.label): part.metrics.get(metric) for row in sliced for part in row.slices}
    tables = []
    for dimension in dict.fromkeys(dimension for dimension, _ in cases):
        lines = [
            [label, f"{size:,}", *(number(found.get((row.label, dimension, label)), decimals) for row in sliced)]
            for (other, label), size in cases.items()
            if other == dimension
        ]
        tables.append((dimension, ["part", "cases", *(row.label for row in sliced)], lines))
    return tables
