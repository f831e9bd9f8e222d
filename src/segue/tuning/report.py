"""The files of a search: trials.csv, best.yaml, report.md, and charts."""

import logging
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from segue import strict_yaml
from segue.charts import BLUE, CONFIG, GREY, INK, ORANGE, VERMILION, Spec, padded_domain, whole_ticks, write_chart
from segue.errors import ChartError
from segue.experiment.run_folder import REPORT
from segue.markdown import escaped, section, table
from segue.parameters import typed
from segue.printable import one_line
from segue.storage import replacing_file, write_text
from segue.tuning.objective import Objective
from segue.tuning.result import TrialRecord, TuningResult
from segue.tuning.study import BEST, HISTORY, IMPORTANCE, TRIALS

logger = logging.getLogger(__name__)

_SHOWN = 10
"""Trials in the report; trials.csv has all."""
_SHOWN_PARAMETERS = 15
"""Parameters in the chart, the most important ones."""


def write_result(objective: Objective, result: TuningResult) -> None:
    """Write trials.csv, best.yaml, report.md and the charts.

    Raises:
        StorageError: the write failed.
    """
    with replacing_file(result.folder / TRIALS) as scratch:
        trial_table(result).write_csv(scratch)
    write_text(result.folder / BEST, best_yaml(result))
    write_text(result.folder / REPORT, markdown(objective, result))
    try:
        write_charts(result)
    except ChartError as error:
        logger.warning("%s; the other files are written", error)


def trial_table(result: TuningResult) -> pl.DataFrame:
    """Return the trials with a column per parameter, values as they are typed."""
    names = dict.fromkeys(name for row in result.trials for name in row.parameters)
    rows = [
        {
            "trial": row.number,
            "state": row.state,
            result.metric: row.value,
            "epochs": row.epochs,
            "seconds": row.seconds,
            **{name: typed(row.parameters[name]) if name in row.parameters else None for name in names},
            "reason": row.reason,
        }
        for row in result.trials
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def best_yaml(result: TuningResult) -> str:
    """Return the run configuration of the best trial as ``segue run LOG --config best.yaml`` reads it."""
    content = result.run_config.model_dump(mode="json", exclude_defaults=True, exclude={"log", "baselines", "track"})
    return (
        f"# Trial {result.best.number} of {len(result.trials)}: {result.metric} {result.best.value:.4f} on the "
        f"validation part.\n# segue run LOG --config {BEST}\n" + strict_yaml.dumps(content)
    )


def markdown(objective: Objective, result: TuningResult) -> str:
    """Return the report as Markdown."""
    data, run_config = objective.data, objective.run_config
    name = run_config.models[0]
    failed = [row for row in result.trials if row.state == "failed"]
    parts = [
        f"# {name} tuned on {escaped(run_config.log_name)}\n",
        f"{result.counts()}. Best: trial {result.best.number}, {result.metric} {result.best.value:.4f} on the "
        f"{len(data.valid or ()):,} validation cases. Protocol `{data.protocol.name}`, hash `{data.hash}`, seed "
        f"{run_config.seed}.\n",
        "The best of many trials looks better on the validation part than it is. The test part has not been used. For "
        "test results to report, run:\n",
        f"```\nsegue run LOG --config {one_line(str(result.folder / BEST))}\n```\n",
        f"## Best trials\n\nTrial 0 has the initial values of {name}.\n",
        _trials(result),
        f"\n![Value of each trial, and the best so far]({HISTORY}.svg)\n",
        *_importance(result),
        "## Search space\n",
        table(["parameter", "space"], [[f"`{one}`", str(space)] for one, space in objective.spaces.items()]),
        "",
        *section("Failed trials", [f"trial {row.number}: {escaped(row.reason or '')}" for row in failed]),
    ]
    return "\n".join(parts)


def _trials(result: TuningResult) -> str:
    shown = result.ranked()[:_SHOWN]
    if all(row.number for row in shown):
        shown += [row for row in result.ranked() if row.number == 0]
    names = list(result.best.parameters)
    return table(["trial", result.metric, "epochs", *names], [_cells(row, names) for row in shown])


def _cells(row: TrialRecord, names: list[str]) -> list[str]:
    return [str(row.number), f"{row.value:.4f}", str(row.epochs or "-"), *(shown(row.parameters[one]) for one in names)]


def shown(value: Any) -> str:
    """Return a value of a parameter with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else typed(value)


def _importance(result: TuningResult) -> list[str]:
    if not result.importance:
        return ["Too few trials have finished to estimate importances.\n"]
    return [
        "## Importance\n",
        f"![Importance of each parameter]({IMPORTANCE}.svg)\n",
        "Importance of each parameter for good trials (PED-ANOVA, Watanabe et al. 2023).\n",
    ]


def write_charts(result: TuningResult) -> list[Path]:
    """Write the charts as PNG and SVG into the folder of a search; return the files.

    Raises:
        StorageError: the write failed.
    """
    charts = {HISTORY: history_chart(result)}
    if result.importance:
        charts[IMPORTANCE] = importance_chart(result)
    paths = []
    for name, chart in charts.items():
        for suffix in (".svg", ".png"):
            write_chart(chart, path := result.folder / f"{name}{suffix}")
            paths.append(path)
    return paths


_MARKS = {
    "best so far": (ORANGE, "stroke"),
    "finished": (BLUE, "circle"),
    "pruned": (GREY, "cross"),
    "failed": (VERMILION, "triangle-up"),
}
"""Colour and shape of each entry of the legend."""


def history_chart(result: TuningResult) -> Spec:
    """Return the value of each trial, and the best one so far."""
    finished = [row for row in result.trials if row.state == "finished"]
    valued = [row for row in result.trials if row.state in ("finished", "pruned") and row.value is not None]
    steps = list(accumulate((row.value or 0.0 for row in finished), max))
    line: list[Spec] = [{"trial": row.number, "value": best} for row, best in zip(finished, steps, strict=True)]
    line.append({"trial": result.trials[-1].number, "value": steps[-1]})
    points: list[Spec] = [{"trial": row.number, "value": row.value, "state": row.state} for row in valued]
    failed: list[Spec] = [{"trial": row.number, "state": row.state} for row in result.trials if row.state == "failed"]
    present = ["best so far", *(name for name in _MARKS if any(one["state"] == name for one in [*points, *failed]))]
    legend = {"title": None, "orient": "bottom", "direction": "horizontal", "symbolSize": 80}
    color, shape = (
        {"scale": {"domain": present, "range": [_MARKS[name][at] for name in present]}, "legend": legend}
        for at in (0, 1)
    )
    domain = list(padded_domain([row.value or 0.0 for row in valued]))
    x = {
        **{"field": "trial", "type": "quantitative", "title": "trial"},
        **{
            "axis": {"values": whole_ticks(0, len(result.trials) - 1), "format": "d", "grid": False},
            "scale": {"nice": False, "padding": 12},
        },
    }
    y = {
        **{"field": "value", "type": "quantitative", "title": f"{result.metric}, validation"},
        "scale": {"domain": domain, "nice": False},
    }
    state = {"field": "state", "type": "nominal"}
    marks = {"type": "point", "filled": True, "size": 55, "opacity": 1}
    best = {"trial": result.best.number, "value": result.best.value, "label": f"{result.best.value:.4f}"}
    layers: list[Spec] = [
        {
            "data": {"values": line},
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": {"datum": "best so far", "type": "nominal", **color}},
        },
        {
            "data": {"values": points},
            "mark": marks,
            "encoding": {"x": x, "y": y, "color": {**state, **color}, "shape": {**state, **shape}},
        },
        {
            "data": {"values": failed},
            "mark": marks,
            "encoding": {"x": x, "y": {"value": "height"}, "color": {**state, **color}, "shape": {**state, **shape}},
        },
        {
            "data": {"values": [best]},
            "mark": {"type": "text", "dy": -12, "color": INK, "fontSize": 12},
            "encoding": {"x": x, "y": y, "text": {"field": "label"}},
        },
    ]
    return _framed(f"{result.run_config.models[0]}: trials", {"layer": layers, "height": 330})


def importance_chart(result: TuningResult) -> Spec:
    """Return the importance of each parameter."""
    shown = list(result.importance.items())[:_SHOWN_PARAMETERS]
    values = [{"parameter": name, "share": share, "label": f"{share:.0%}"} for name, share in shown]
    axis = {"format": "%", "grid": False}
    scale = {"domain": [0, 1.12 * max(share for _, share in shown)], "nice": False}
    x = {"field": "share", "type": "quantitative", "title": "importance (PED-ANOVA)", "axis": axis, "scale": scale}
    y = {"field": "parameter", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 300}}
    layers: list[Spec] = [
        {"mark": {"type": "bar", "color": BLUE}},
        {"mark": {"type": "text", "align": "left", "dx": 4, "color": INK}, "encoding": {"text": {"field": "label"}}},
    ]
    chart = {"data": {"values": values}, "encoding": {"x": x, "y": y}, "layer": layers, "height": {"step": 28}}
    return _framed(f"{result.run_config.models[0]}: importance for {result.metric}", chart)


def _framed(title: str, chart: Spec) -> Spec:
    config = {**CONFIG, "view": {"stroke": None}}
    heading = {"text": title, "fontSize": 15, "offset": 12}
    return {"title": heading, "width": 640, "padding": 16, "background": "white", "config": config, **chart}
