"""Tables on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich.table import Table

from segue.data.vocabulary import Vocabulary
from segue.experiment.results import ModelResult
from segue.parameters import describe

if TYPE_CHECKING:
    from segue.evaluation.measure import Evaluation
    from segue.models.base import Model, Recommendation

_BAR = 32
"""Characters of the interval picture."""


def leaderboard(rows: Sequence[ModelResult], metrics: Sequence[str], title: str) -> Table:
    """Show the models, best first, with the 95% interval of the first metric drawn beside its value.

    Args:
        rows: the models.
        metrics: the metrics to show; the first is drawn.
        title: line above the table.
    """
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("model")
    table.add_column(metrics[0], justify="right")
    low, high = _span(rows, metrics[0])
    table.add_column(f"95% interval, {low:.3f} to {high:.3f}", no_wrap=True, min_width=_BAR)
    for metric in metrics[1:]:
        table.add_column(metric, justify="right")
    table.add_column("fit s", justify="right")
    table.add_column("eval s", justify="right")
    for row in rows:
        name = f"[dim]{row.label}[/dim]" if row.baseline else f"[bold]{row.label}[/bold]"
        picture = interval_picture(row.metrics[metrics[0]], row.confidence[metrics[0]], low, high)
        values = [f"{row.metrics[metric]:.4f}" for metric in metrics]
        table.add_row(name, values[0], picture, *values[1:], f"{row.fit_seconds:.1f}", f"{row.evaluate_seconds:.1f}")
    return table


def interval_picture(value: float, interval: tuple[float, float], low: float, high: float) -> str:
    """Draw a value and its interval on a scale from ``low`` to ``high``."""

    def column(number: float) -> int:
        return round((number - low) / (high - low) * (_BAR - 1))

    first, middle, last = column(interval[0]), column(value), column(interval[1])
    line = ["─" if first <= position <= last else " " for position in range(_BAR)]
    line[middle] = "●"
    return "".join(line)


def _span(rows: Sequence[ModelResult], metric: str) -> tuple[float, float]:
    low = min(row.confidence[metric][0] for row in rows)
    high = max(row.confidence[metric][1] for row in rows)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def statistics_table(steps: Sequence[Mapping[str, Any]]) -> Table:
    """Show the statistics of a log, one column per step."""
    table = Table(header_style="bold")
    table.add_column("")
    for step in steps:
        table.add_column(step["step"], justify="right")
    for name in steps[0]:
        if name != "step":
            table.add_row(name.replace("_", " "), *(_shown(step.get(name)) for step in steps))
    return table


def evaluation_table(evaluation: "Evaluation", title: str) -> Table:
    """Show every metric with its 95% interval."""
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95% interval")
    for name, value in evaluation.metrics.items():
        interval = evaluation.confidence.get(name)
        table.add_row(name, f"{value:.4f}", f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "-")
    return table


def model_table(models: "Sequence[type[Model]]") -> Table:
    """List the models."""
    table = Table(header_style="bold")
    for column in ("model", "what it does", "source"):
        table.add_column(column)
    for model in models:
        table.add_row(f"[bold]{model.name}[/bold]", model.summary(), model.paper)
    return table


def parameter_table(config: type[BaseModel], owner: str) -> Table:
    """List every parameter of a configuration."""
    table = Table(header_style="bold")
    for column in ("parameter", "default", "rule", "meaning"):
        table.add_column(column)
    for parameter in describe(config):
        table.add_row(f"{owner}.{parameter.name}", _shown(parameter.default), parameter.rule, parameter.meaning)
    return table


def recommendation_table(answer: "Recommendation", vocabulary: Vocabulary, title: str | None = None) -> Table:
    """Show recommended items with what is known of them."""
    known = [name for name in vocabulary.table.columns if name not in ("item", "support")][:3]
    rows = {row["item"]: row for row in vocabulary.table.iter_rows(named=True)} if known else {}
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("item")
    for name in known:
        table.add_column(name)
    table.add_column("score", justify="right")
    for place, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), start=1):
        table.add_row(str(place), str(item), *(_shown(rows[item][name]) for name in known), f"{score:.4g}")
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
