"""Tables on a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich import box
from rich.table import Column, Table
from rich.text import Text

from segue.cli.terminal import VisibleTable
from segue.parameters import describe, typed
from segue.printable import one_line
from segue.spaces import spaces_of

if TYPE_CHECKING:
    import polars as pl

    from segue.data.vocabulary import Vocabulary
    from segue.embeddings.components import PrincipalComponents
    from segue.evaluation.result import Evaluation
    from segue.experiment.results import ModelResult
    from segue.models.base import Model
    from segue.models.recommendation import Recommendation
    from segue.models.session_attention import SessionAttention
    from segue.models.summary import LayerSummary
    from segue.protocols.summary import PartSize, ShareSize
    from segue.tuning.result import TrialRecord

_SIZES = ("events", "sessions", "items", "length_mean")
_STAGE_WIDTH, _BAR_WIDTH = 10, 20
"""Characters of a column of statistics (up to 99,999,999, or a date above its hour), and of an interval bar."""

_COMMON = 0.1
"""Share of the events with the time of the event before, above which baskets are shown."""

_COMPONENTS, _METADATA = 5, 6
"""Components, and columns of an item, that are shown."""


def plain_table(*columns: Column | str) -> Table:
    """Return an empty table in the one style of the command line."""
    return VisibleTable(*columns, header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _right(*names: str) -> list[Column]:
    return [Column(name, justify="right") for name in names]


def title(log: str, cases: int, protocol: Mapping[str, Any]) -> str:
    """Name the log, the number of test cases and the protocol with its hash, and mark sampled metrics."""
    candidates = protocol["ranking"]["candidates"]
    sampled = "" if candidates in ("full", "labeled") else f"  ·  SAMPLED: {candidates}, not all items"
    return f"{log}  ·  {cases:,} cases  ·  {protocol['name']}  ·  protocol {protocol['hash']}{sampled}"


def leaderboard(rows: "Sequence[ModelResult]", metrics: Sequence[str], decimals: int = 4) -> Table:
    """Show the models, best first, with a bar of the 95% interval of the first metric.

    Args:
        rows: the models.
        metrics: the metrics to show; an arrow marks lower-is-better metrics.
        decimals: decimal places of their values.
    """
    low, high = _span(rows, metrics[0])
    bar = f"{low:.3f} ─●─ {high:.3f}".center(_BAR_WIDTH)
    first, *others = map(headed, metrics)
    table = plain_table(
        Column("model", no_wrap=True),
        *_right(first),
        Column(bar, no_wrap=True, min_width=_BAR_WIDTH),
        *_right(*others, "fit s"),
    )
    for row in rows:
        name = Text(one_line(row.label), style="dim" if row.baseline else "bold")
        bar = interval_bar(row.metrics[metrics[0]], row.interval(metrics[0]), low, high)
        values = [f"{row.metrics[metric]:.{decimals}f}" for metric in metrics]
        table.add_row(name, values[0], bar, *values[1:], f"{row.fit_seconds:.1f}")
    return table


def metric_tables(rows: "Sequence[ModelResult]", metrics: Sequence[str], width: int, decimals: int = 4) -> list[Table]:
    """Show all metrics of the models, one column per model.

    Args:
        rows: the models, best first.
        metrics: the metrics, in this order.
        width: characters per line; models that do not fit go into further tables.
        decimals: decimal places of the values.
    """
    heads = [headed(metric) for metric in metrics]
    left, tables = max(map(len, heads)), []
    parts: list[list[ModelResult]] = [[]]
    for row in rows:
        taken = sum(max(len(one.label), decimals + 2) + 2 for one in (*parts[-1], row))
        if parts[-1] and left + taken + 2 > width:
            parts.append([])
        parts[-1].append(row)
    for part in parts:
        table = plain_table(Column("metric", no_wrap=True), *_right(*(row.label for row in part)))
        for head, metric in zip(heads, metrics, strict=True):
            table.add_row(head, *(f"{row.metrics[metric]:.{decimals}f}" for row in part))
        tables.append(table)
    return tables


def headed(metric: str) -> str:
    """Return a metric as the head of a column, with an arrow if lower values are better."""
    from segue.metrics import lower_is_better

    return f"{metric} ↓" if lower_is_better(metric) else metric


def interval_bar(value: float, interval: tuple[float, float], low: float, high: float) -> str:
    """Draw a value and its interval on a scale from ``low`` to ``high``; empty if one is not finite."""
    if not all(map(math.isfinite, (value, *interval))):
        return ""

    def column(number: float) -> int:
        return round((number - low) / (high - low) * (_BAR_WIDTH - 1))

    first, middle, last = column(interval[0]), column(value), column(interval[1])
    line = ["─" if first <= position <= last else " " for position in range(_BAR_WIDTH)]
    line[middle] = "●"
    return "".join(line)


def _span(rows: "Sequence[ModelResult]", metric: str) -> tuple[float, float]:
    low = min((bound for row in rows if math.isfinite(bound := row.interval(metric)[0])), default=0.0)
    high = max((bound for row in rows if math.isfinite(bound := row.interval(metric)[1])), default=0.0)
    if high > low:
        return low, high
    return (0.0, 1.0) if 0 <= low <= 1 else (low - 0.5, high + 0.5)


def statistics_tables(stages: Sequence[Mapping[str, Any]], width: int) -> list[Table]:
    """Show the statistics of a log before and after each step, one column per step and part.

    Those of baskets are left out where few events have the time of the one before, and those that no step has.

    Args:
        stages: the steps, from ``Dataset.statistics``; an encoding that dropped nothing is left out.
        width: characters per line; columns that do not fit go into further tables.
    """
    stages = [stage for stage in stages if stage["step"] != "encode" or stage["dropped"]]
    hidden = ["step", "part", "why"]
    if not any((stage["equal_times"] or 0) > _COMMON * stage["events"] for stage in stages):
        hidden += [name for name in stages[0] if name.startswith("basket")]
    names = [name for name in stages[0] if name not in hidden and any(stage[name] is not None for stage in stages)]
    fitting = max(1, (width - max(map(len, names)) - 2) // (_STAGE_WIDTH + 2))
    return [_statistics_table(stages[at : at + fitting], names) for at in range(0, len(stages), fitting)]


def _statistics_table(stages: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Table:
    heads = (f"{stage['step'].replace('-', ' ')}, {stage['part']}" for stage in stages)  # Heads break at spaces.
    table = plain_table(
        Column("", no_wrap=True), *(Column(head, justify="right", width=_STAGE_WIDTH) for head in heads)
    )
    for name in names:
        cells = (_minute(stage[name]) if name.endswith("_time") else shown(stage[name]) for stage in stages)
        table.add_row(name.replace("_", " "), *cells)
    return table


def size_table(stages: Sequence[Mapping[str, Any]]) -> Table:
    """Show the sizes of the parts of a prepared log."""
    final = {stage["part"]: stage for stage in stages}
    table = plain_table("part", *_right(*(name.replace("_", " ") for name in _SIZES)), "from", "to")
    for part in ("train", "valid", "test"):
        if part in final:
            cells = (shown(final[part][name]) for name in _SIZES)
            table.add_row(part, *cells, _minute(final[part]["first_time"]), _minute(final[part]["last_time"]))
    return table


def part_table(parts: "Mapping[str, PartSize]") -> Table:
    """Show the sizes of the parts of a log."""
    table = plain_table("", *_right("sessions", "clicks", "items"))
    for name, size in parts.items():
        table.add_row(name, shown(size.sessions), shown(size.clicks), shown(size.items))
    return table


def share_table(shares: "Sequence[ShareSize]") -> Table:
    """Show the sizes of the most recent shares of a training part."""
    table = plain_table("share", *_right("train clicks", "test clicks", "total clicks", "item indices", "items"))
    for size in shares:
        clicks = map(shown, (size.train_clicks, size.test_clicks, size.total_clicks))
        first, last = map(shown, size.item_indices)
        table.add_row(size.share, *clicks, f"{first} to {last}", shown(size.items))
    return table


def evaluation_table(evaluation: "Evaluation", decimals: int = 4) -> Table:
    """Show every metric with its 95% interval."""
    table = plain_table("metric", *_right("value"), "95% interval")
    for name, value in evaluation.metrics.items():
        interval = evaluation.confidence.get(name)
        bounds = [f"{bound:.{decimals}f}" for bound in interval or ()]
        table.add_row(name, f"{value:.{decimals}f}", " to ".join(bounds) or "-")
    return table


def model_table(models: "Sequence[type[Model]]") -> Table:
    """List the models."""
    table = plain_table("model", "what it does", "source")
    for model in models:
        table.add_row(Text(model.name, style="bold"), model.description(), model.paper)
    return table


def parameter_table(config: type[BaseModel]) -> Table:
    """List the parameters of a configuration with default, meaning, rule and search space."""
    spaces = spaces_of(config.model_construct())
    table = plain_table(Column("parameter", no_wrap=True), Column("default", no_wrap=True), "meaning")
    for parameter in describe(config):
        space = f"\ntuned in {spaces[parameter.name]}" if parameter.name in spaces else ""
        meaning = Text.assemble(parameter.description, "\n", (parameter.rule + space, "dim"))
        table.add_row(parameter.name, typed(parameter.default), meaning)
    return table


def trial_table(trials: "Sequence[TrialRecord]", metric: str) -> Table:
    """Show trials of a search, one column each, with their parameters."""
    table = plain_table(Column("trial", no_wrap=True), *_right(*(str(trial.number) for trial in trials)))
    table.add_row(metric, *(Text(shown(trial.value), style="bold") for trial in trials))
    for name in trials[0].parameters:
        values = (trial.parameters.get(name) for trial in trials)
        table.add_row(name, *(f"{value:.4g}" if isinstance(value, float) else typed(value) for value in values))
    return table


def layer_table(layers: "Sequence[LayerSummary]") -> Table:
    """Show the layers of a network with their output shapes."""
    numbers = (Column(name, justify="right", no_wrap=True) for name in ("output", "calls", "parameters"))
    table = plain_table("layer", "kind", *numbers)
    for layer in layers:
        shape = " x ".join(map(shown, layer.shape)) or "-"
        table.add_row(layer.name, layer.kind, shape, shown(layer.calls), shown(layer.parameters))
    return table


def recommendation_table(answer: "Recommendation", vocabulary: "Vocabulary") -> Table:
    """Show recommended items with their metadata."""
    columns = vocabulary.metadata[:3]
    listed = vocabulary.table.filter(vocabulary.ids.is_in(answer.items))
    rows = {row["item"]: row for row in listed.iter_rows(named=True)}
    table = plain_table(*_right("#"), "item", *columns, *_right("score"))
    for rank, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), start=1):
        table.add_row(str(rank), str(item), *(typed(rows[item][name]) for name in columns), f"{score:.4g}")
    return table


def component_table(components: "PrincipalComponents") -> Table:
    """Show the variance of the first components, and their correlation with popularity."""
    table = plain_table(*_right("component", "variance", "cumulative", "with popularity"))
    for number in range(min(_COMPONENTS, len(components.shares))):
        correlation = f"{components.correlations[number]:+.2f}{' !' if number in components.flagged else '  '}"
        table.add_row(
            str(number + 1), f"{components.shares[number]:.1%}", f"{components.cumulative[number]:.1%}", correlation
        )
    return table


def item_table(items: "pl.DataFrame") -> Table:
    """Show an item, its nearest neighbours, and their metadata."""
    items = items[:, :_METADATA]
    numeric = {name for name in items.columns if name != "item" and items[name].dtype.is_numeric()}
    table = plain_table(*(Column(name, justify="right" if name in numeric else "left") for name in items.columns))
    for place, row in enumerate(items.iter_rows()):
        cells = [shown(cell) if isinstance(cell, float) else typed(cell) if cell is not None else "-" for cell in row]
        table.add_row(*cells, style="bold" if place == 0 else "")
    return table


def attention_tables(attention: "SessionAttention") -> list[Table]:
    """Show the gates, attention weights and clusters of the events of a session, and the weights of its clusters."""
    tables = []
    for frame in (attention.events, attention.clusters):
        if frame is not None:
            left = {"item", "name"} & set(frame.columns)
            heads = ((name.replace("_", " "), "left" if name in left else "right") for name in frame.columns)
            table = plain_table(*(Column(head, justify=side) for head, side in heads))  # type: ignore[arg-type]
            for row in frame.iter_rows():
                table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
            tables.append(table)
    return tables


def _minute(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ")


def shown(value: float | str | None) -> str:
    """Format a number for a table; None is ``-``."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value
