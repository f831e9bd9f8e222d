"""Charts of a report as SVG that takes its colours from the page around it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, nan
from typing import Any

from segue.charts import (
    PALETTE,
    SHAPES,
    Spec,
    render_svg,
    whole_ticks,
)
from segue.experiment.report.factorisations import band_layers
from segue.experiment.report.labels import label_layers, place_labels
from segue.experiment.report.markdown import headed
from segue.experiment.results import ModelResult
from segue.experiment.trainings import trainings
from segue.metrics import lower_is_better
from segue.printable import visible

INK, FAINT = "#012345", "#543210"
"""Stand for the colours of text and of lines in the page."""

_BY_KIND: Spec = {
    "field": "kind",
    "scale": {"domain": ["model", "baseline"], "range": [PALETTE[0], "#8A8A8A"]},
    "legend": None,
}
WIDTH = 420
"""Pixels of a whole chart: little more than a phone is wide, so that its letters stay legible there."""


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        title: what it shows.
        svg: the element, for a page to hold as it is.
        note: how to read it.
    """

    title: str
    svg: str
    note: str = ""


def leaderboard_charts(rows: Sequence[ModelResult], metrics: Sequence[str]) -> list[Chart]:
    """Draw each model's value with its interval, one chart per metric."""
    order = [row.label for row in rows]
    axis = {"ticks": False, "domain": False, "labelPadding": 6}
    y = {"field": "model", "type": "nominal", "sort": order, "title": None, "axis": axis}
    charts: list[Chart] = []
    for metric in metrics:
        values = [
            {"model": row.label, "value": row.metrics[metric], "low": low, "high": high, "kind": _kind(row)}
            for row in rows
            for low, high in [row.interval(metric)]
            if isfinite(row.metrics[metric])
        ]
        layers: list[Spec] = [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": value_of("low", ""), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": value_of("value", "")},
            },
        ]
        encoding = {"y": y, "color": _BY_KIND}
        spec = {"data": {"values": values}, "encoding": encoding, "layer": layers, "height": {"step": 22}}
        charts.append(chart_of(f"board-{len(charts)}", headed(metric), spec))
    return charts


def curve_charts(rows: Sequence[ModelResult]) -> list[Chart]:
    """Draw loss and validation over the epochs, and train_auc of factorisations, where models learn in epochs.

    The loss of a factorisation is on a scale of its own and is left out.
    """
    learnt = [one for one in trainings(rows) if len(one.epochs) > 1][: len(PALETTE)]
    networks = [one for one in learnt if not one.factorises]
    charts = []
    for name, title, drawn in (
        ("loss", "Training loss", networks),
        ("validation", "Validation metric", learnt),
        ("train_auc", "train_auc of factorisations", learnt),
    ):
        values = [
            {"model": one.label, "epoch": epoch.epoch, "value": value, "stage": epoch.stage}
            for one in drawn
            for epoch in one.epochs
            if (value := getattr(epoch, name)) is not None and isfinite(value)
        ]
        if values:
            charts.append(_curve_chart(f"curve-{name}", title, values, [one.label for one in learnt]))
    return charts


def _curve_chart(name: str, title: str, values: Sequence[Spec], labels: Sequence[str]) -> Chart:
    """Draw values by epoch; those of train_auc before its bands."""
    present = [label for label in labels if any(value["model"] == label for value in values)]
    last = max(value["epoch"] for value in values)
    encoding: Spec = {
        "x": {
            "field": "epoch",
            "type": "quantitative",
            "title": "epoch",
            "axis": {"values": whole_ticks(1, last), "format": "d"},
        },
        "y": value_of("value", ""),
        "detail": {"field": "stage"},
        "color": _by_model(present, labels),
        "shape": _shape_by_model(present, labels),
    }
    layers: list[Spec] = []
    if name == "curve-train_auc":
        layers, scale = band_layers(values, INK)
        encoding["y"] = {**encoding["y"], "scale": scale, "axis": {"format": ".0%", "tickCount": 6}}
    mark = {"type": "line", "point": {"size": 45 if last <= 30 else 15}, "strokeWidth": 2}
    line = {"data": {"values": values}, "mark": mark, "encoding": encoding}
    return chart_of(name, title, {**({"layer": [*layers, line]} if layers else line), "height": 220})


def slice_charts(rows: Sequence[ModelResult], metric: str) -> list[Chart]:
    """Draw each model's value on the parts of the test cases, one chart per dimension."""
    sliced = [row for row in rows if row.slices][: len(PALETTE)]
    labels = [row.label for row in sliced]
    dimensions = list(dict.fromkeys(part.dimension for row in sliced for part in row.slices))
    return [
        _slice_chart(f"slice-{number}", dimension, _slice_values(sliced, dimension, metric), labels, metric)
        for number, dimension in enumerate(dimensions)
    ]


def _slice_values(rows: Sequence[ModelResult], dimension: str, metric: str) -> list[Spec]:
    parts = [(row.label, part) for row in rows for part in row.slices if part.dimension == dimension]
    sizes = {part.label: part.cases for _, part in parts}
    values = []
    for label, part in parts:
        if isfinite(value := part.metrics.get(metric, nan)):
            low, high = part.confidence.get(metric, (value, value))
            name = f"{part.label} ({sizes[part.label]:,})"
            values.append({"model": label, "part": name, "value": value, "low": low, "high": high})
    return values


def _slice_chart(name: str, title: str, values: Sequence[Spec], labels: Sequence[str], metric: str) -> Chart:
    parts = list(dict.fromkeys(value["part"] for value in values))
    axis = {"labelPadding": 6, "ticks": False, "domain": False, "labelLimit": 150}
    encoding = {
        "y": {"field": "part", "type": "nominal", "sort": parts, "title": None, "axis": axis},
        "yOffset": {"field": "model", "sort": list(labels), "scale": {"paddingOuter": 0.4}},
        "color": _by_model(labels),
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"x": value_of("low", "", zero=True), "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
            "encoding": {"x": value_of("value", "", zero=True), "shape": _shape_by_model(labels)},
        },
    ]
    height = {"step": 11, "for": "offset"}
    return chart_of(name, title, {"data": {"values": values}, "encoding": encoding, "layer": layers, "height": height})


def latency_chart(rows: Sequence[ModelResult], metric: str) -> list[Chart]:
    """Draw the first metric against the latency, each point with its label."""
    timed = [row for row in rows if row.latency_ms > 0 and isfinite(row.metrics[metric])]
    if len(timed) < 2:
        return []
    latencies, qualities = [row.latency_ms for row in timed], [row.metrics[metric] for row in timed]
    labels = [row.label for row in timed]
    placer, ticks, places = place_labels(latencies, qualities, labels, width=WIDTH - 60, height=240)
    values = [
        {"model": row.label, "ms": row.latency_ms, "value": row.metrics[metric], "kind": _kind(row), **place}
        for row, place in zip(timed, places, strict=True)
    ]
    axis = {"values": ticks[:: max(1, len(ticks) // 6)], "format": "~g"}
    scale = {"type": "log", "domain": list(placer.x), "nice": False}
    x = {"field": "ms", "type": "quantitative", "title": "milliseconds per session", "scale": scale, "axis": axis}
    y = {**value_of("value", metric), "scale": {"domain": list(placer.y), "nice": False}}
    leader, *texts = label_layers(x, y, "model", ink=INK, line=FAINT)
    layers: list[Spec] = [
        leader,
        {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": {"color": _BY_KIND}},
        *texts,
    ]
    spec = {"data": {"values": values}, "encoding": {"x": x, "y": y}, "layer": layers, "height": placer.height}
    better = "Down" if lower_is_better(metric) else "Up"
    note = f"Median wait for the best 20 items, one session at a time. {better} and to the left is better."
    return [chart_of("latency", "Quality against the wait", spec, note)]


def roc_chart(rows: Sequence[ModelResult]) -> list[Chart]:
    """Draw the receiver operating characteristic, where an AUC is among the metrics."""
    drawn = [row for row in rows if row.roc][: len(PALETTE)]
    if not drawn:
        return []
    values = [{"model": row.label, "false": false, "true": true} for row in drawn for false, true in row.roc]
    encoding = {
        "x": {"field": "false", "type": "quantitative", "title": "other items before it (false positive rate)"},
        "y": {"field": "true", "type": "quantitative", "title": "wanted items (true positive rate)"},
        "color": _by_model([row.label for row in drawn]),
        "order": {"field": "false"},
    }
    chance = {
        "data": {"values": [{"false": 0, "true": 0}, {"false": 1, "true": 1}]},
        "mark": {"type": "line", "strokeDash": [3, 4], "stroke": FAINT},
        "encoding": {"x": encoding["x"], "y": encoding["y"]},
    }
    curve = {"data": {"values": values}, "mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding}
    note = "The area under a curve is the metric; the dashed line is chance."
    return [chart_of("roc", "Receiver operating characteristic", {"layer": [chance, curve], "height": 260}, note)]


def _kind(row: ModelResult) -> str:
    return "baseline" if row.baseline else "model"


def value_of(field: str, title: str, *, zero: bool = False) -> Spec:
    """Return an axis of values, which begins with the least of them unless ``zero``."""
    axis = {"tickCount": 6}
    return {"field": field, "type": "quantitative", "title": title or None, "scale": {"zero": zero}, "axis": axis}


def _by_model(labels: Sequence[str], among: Sequence[str] = ()) -> Spec:
    return _channel(labels, among or labels, PALETTE)


def _shape_by_model(labels: Sequence[str], among: Sequence[str] = ()) -> Spec:
    return _channel(labels, among or labels, SHAPES)


def _channel(labels: Sequence[str], among: Sequence[str], looks: Sequence[str]) -> Spec:
    """Return a channel that gives each model its look ``among`` all that are drawn on the page."""
    look = dict(zip(among, looks, strict=False))
    scale = {"domain": list(labels), "range": [look[label] for label in labels if label in look]}
    return {"field": "model", "type": "nominal", "scale": scale, "legend": _legend(labels)}


def _legend(labels: Sequence[str]) -> Spec:
    """Put as many names side by side as there is room for."""
    widths, room = [7 * min(len(label), 20) + 28 for label in labels], WIDTH - 80
    columns = len(labels) if sum(widths) <= room else max(1, room // max(widths))
    return {"title": None, "columns": columns}


def chart_of(name: str, title: str, spec: Mapping[str, Any], note: str = "") -> Chart:
    """Draw a specification."""
    axis = {
        **{f"{part}Color": INK for part in ("label", "title")},
        **{f"{part}Color": FAINT for part in ("domain", "tick", "grid")},
        **{"gridOpacity": 0.45, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        **{"labelLimit": 150, "titlePadding": 8, "labelFlush": False},
    }
    legend = {"labelColor": INK, "orient": "top", "direction": "horizontal", "labelFontSize": 12, "labelLimit": 150}
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "config": {"view": {"stroke": None}, "axis": axis, "legend": legend, "font": "sans-serif"},
        **spec,
    }
    return Chart(title, _inlined(render_svg(whole), name, title), note)


def _inlined(svg: str, name: str, title: str) -> str:
    """Let a chart scale with the page, take its colours, and share no ids with other charts."""
    sizes = re.match(r'<svg [^>]*?viewBox="([^"]+)"', svg)
    assert sizes is not None
    body = svg[svg.index(">") + 1 :]
    body = body.replace(INK, "currentColor").replace(FAINT, "var(--line)")
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    width = 1.1 * float(sizes[1].split()[2])
    label = escape(visible(title))
    return f'<svg viewBox="{sizes[1]}" style="max-width:{width:.0f}px" role="img" aria-label="{label}">{body}'
