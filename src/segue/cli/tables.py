"""Tables on a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich import box
from rich.table import Table
from rich.text import Text

from segue.parameters import describe, typed
from segue.spaces import spaces_of

if TYPE_CHECKING:
    import polars as pl

    from segue.data.vocabulary import Vocabulary
    from segue.embeddings.variance import Variance
    from segue.evaluation.outcome import Evaluation
    from segue.experiment.results import ModelResult
    from segue.models.base import Model
    from segue.models.recommendation import Recommendation
    from segue.models.summary import Step
    from segue.tuning.outcome import TrialRow

_SIZES = ("events", "sessions", "items", "length_mean")

_STAGE = 10
"""Characters of a column of statistics: a number up to 99,999,999, or a date above its hour."""

_COMPONENTS, _KNOWN = 5, 6
"""Components, and columns of what is known of an item, that are shown."""

_BAR = 20
"""Characters of the interval picture."""


def _table() -> Table:
    return Table(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def title(log: str, cases: int, protocol: Mapping[str, Any]) -> str:
    """Name what figures belong to: the log, the test cases, the protocol and its hash; and whether they are sampled."""
    candidates = protocol["ranking"]["candidates"]
    sampled = "" if candidates in ("full", "labeled") else f"  ·  SAMPLED: {candidates}, not all items"
    return f"{log}  ·  {cases:,} cases  ·  {protocol['name']}  ·  protocol {protocol['hash']}{sampled}"


def leaderboard(rows: "Sequence[ModelResult]", metrics: Sequence[str], decimals: int = 4) -> Table:
    """Show the models, best first, with the 95% interval of the first metric drawn beside its value.

    Args:
        rows: the models.
        metrics: the metrics to show; the first is drawn, and an arrow marks those of which lower is better.
        decimals: places of their values.
    """
    table = _table()
    table.add_column("model", no_wrap=True)
    table.add_column(headed(metrics[0]), justify="right")
    low, high = _span(rows, metrics[0])
    table.add_column(f"{low:.3f} ─●─ {high:.3f}".center(_BAR), no_wrap=True, min_width=_BAR)
    for metric in metrics[1:]:
        table.add_column(headed(metric), justify="right")
    table.add_column("fit s", justify="right")
    for row in rows:
        name = Text(row.label, style="dim" if row.baseline else "bold")
        picture = interval_picture(row.metrics[metrics[0]], row.interval(metrics[0]), low, high)
        values = [f"{row.metrics[metric]:.{decimals}f}" for metric in metrics]
        table.add_row(name, values[0], picture, *values[1:], f"{row.fit_seconds:.1f}")
    return table


def headed(metric: str) -> str:
    """Mark a metric of which lower values are better."""
    from segue.metrics import lower_is_better

    return f"{metric} ↓" if lower_is_better(metric) else metric


def interval_picture(value: float, interval: tuple[float, float], low: float, high: float) -> str:
    """Draw a value and its interval on a scale from ``low`` to ``high``; nothing of what is no number."""
    if not all(map(math.isfinite, (value, *interval))):
        return ""

    def column(number: float) -> int:
        return round((number - low) / (high - low) * (_BAR - 1))

    first, middle, last = column(interval[0]), column(value), column(interval[1])
    line = ["─" if first <= position <= last else " " for position in range(_BAR)]
    line[middle] = "●"
    return "".join(line)


def _span(rows: "Sequence[ModelResult]", metric: str) -> tuple[float, float]:
    low = min((bound for row in rows if math.isfinite(bound := row.interval(metric)[0])), default=0.0)
    high = max((bound for row in rows if math.isfinite(bound := row.interval(metric)[1])), default=0.0)
    if high > low:
        return low, high
    return (0.0, 1.0) if 0 <= low <= 1 else (low - 0.5, high + 0.5)


def statistics_tables(stages: Sequence[Mapping[str, Any]], width: int) -> list[Table]:
    """Show what is in a log before and after each step, one column per step and part.

    Args:
        stages: the steps, as ``Dataset.statistics`` lists them. An encoding that dropped nothing gets no column: it
            would repeat the one before.
        width: characters per line; columns that do not fit go into further tables.
    """
    stages = [stage for stage in stages if stage["step"] != "encode" or stage["dropped"]]
    names = [name for name in stages[0] if name not in ("step", "part", "why")]
    fitting = max(1, (width - max(map(len, names)) - 2) // (_STAGE + 2))
    return [_statistics_table(stages[at : at + fitting], names) for at in range(0, len(stages), fitting)]


def _statistics_table(stages: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    table = _table()
    table.add_column("", no_wrap=True)
    for stage in stages:
        # Spaces let the head of a column break.
        table.add_column(f"{stage['step'].replace('-', ' ')}, {stage['part']}", justify="right", width=_STAGE)
    for name in names:
        cells = (_minute(stage[name]) if name.endswith("_time") else shown(stage[name]) for stage in stages)
        table.add_row(name.replace("_", " "), *cells)
    return table


def size_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    """Show how large the parts of a prepared log are."""
    final = {stage["part"]: stage for stage in stages}
    table = _table()
    table.add_column("part")
    for name in _SIZES:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("from")
    table.add_column("to")
    for part in ("train", "valid", "test"):
        if part in final:
            cells = (shown(final[part][name]) for name in _SIZES)
            table.add_row(part, *cells, _minute(final[part]["first_time"]), _minute(final[part]["last_time"]))
    return table


def evaluation_table(evaluation: "Evaluation", decimals: int = 4) -> Table:
    """Show every metric with its 95% interval."""
    table = _table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95% interval")
    for name, value in evaluation.metrics.items():
        interval = evaluation.confidence.get(name)
        bounds = [f"{bound:.{decimals}f}" for bound in interval or ()]
        table.add_row(name, f"{value:.{decimals}f}", " to ".join(bounds) or "-")
    return table


def model_table(models: "Sequence[type[Model]]") -> Table:
    """List the models."""
    table = _table()
    for column in ("model", "what it does", "source"):
        table.add_column(column)
    for model in models:
        table.add_row(Text(model.name, style="bold"), model.summary(), model.paper)
    return table


def parameter_table(config: type[BaseModel]) -> Table:
    """List every parameter of a configuration; below its meaning its rule, and where ``segue tune`` searches it."""
    table, spaces = _table(), spaces_of(config.model_construct())
    for column in ("parameter", "default", "meaning"):
        table.add_column(column, no_wrap=column != "meaning")
    for parameter in describe(config):
        space = f"\ntuned in {spaces[parameter.name]}" if parameter.name in spaces else ""
        meaning = Text.assemble(parameter.meaning, "\n", (parameter.rule + space, "dim"))
        table.add_row(parameter.name, typed(parameter.default), meaning)
    return table


def trial_table(trials: "Sequence[TrialRow]", metric: str) -> Table:
    """Show trials of a search, one column each, with what was tried."""
    table = _table()
    table.add_column("trial", no_wrap=True)
    for trial in trials:
        table.add_column(str(trial.number), justify="right")
    table.add_row(metric, *(Text(shown(trial.value), style="bold") for trial in trials))
    for name in trials[0].parameters:
        table.add_row(name, *(_found(trial.parameters.get(name)) for trial in trials))
    return table


def _found(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else typed(value)


def step_table(steps: "Sequence[Step]") -> Table:
    """Show the parts of a network with the shape of what each hands on."""
    table = _table()
    table.add_column("step")
    table.add_column("kind")
    for name in ("output", "calls", "parameters"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        shape = " x ".join(map(shown, step.shape)) or "-"
        table.add_row(step.name, step.kind, shape, shown(step.calls), shown(step.parameters))
    return table


def recommendation_table(answer: "Recommendation", vocabulary: "Vocabulary") -> Table:
    """Show recommended items with what is known of them."""
    known = vocabulary.metadata[:3]
    listed = vocabulary.table.filter(vocabulary.ids.is_in(answer.items))
    rows = {row["item"]: row for row in listed.iter_rows(named=True)}
    table = _table()
    table.add_column("#", justify="right")
    table.add_column("item")
    for name in known:
        table.add_column(name)
    table.add_column("score", justify="right")
    for place, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), start=1):
        table.add_row(str(place), str(item), *(typed(rows[item][name]) for name in known), f"{score:.4g}")
    return table


def component_table(variance: "Variance") -> Table:
    """Show the first components: what they hold of the variance, and whether they are popularity."""
    table = _table()
    for name in ("component", "variance", "cumulative", "with popularity"):
        table.add_column(name, justify="right")
    for number in range(min(_COMPONENTS, len(variance.shares))):
        correlation = f"{variance.correlations[number]:+.2f}{' !' if number in variance.flagged else '  '}"
        table.add_row(
            str(number + 1), f"{variance.shares[number]:.1%}", f"{variance.cumulative[number]:.1%}", correlation
        )
    return table


def item_table(items: "pl.DataFrame") -> Table:
    """Show an item and its nearest ones, with what is known of them."""
    table = _table()
    shown_columns = items.columns[:_KNOWN]
    for name in shown_columns:
        table.add_column(name, justify="right" if items[name].dtype.is_numeric() and name != "item" else "left")
    for place, row in enumerate(items.select(shown_columns).iter_rows()):
        cells = [shown(cell) if isinstance(cell, float) else typed(cell) if cell is not None else "-" for cell in row]
        table.add_row(*cells, style="bold" if place == 0 else "")
    return table


def _minute(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ")


def shown(value: float | str | None) -> str:
    """Return a number as a reader wants to see it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value
