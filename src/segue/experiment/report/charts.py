"""Pictures of a report: Vega-Lite specifications, drawn as SVG that takes its colours from the page around it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from segue.experiment.results import ModelResult

Spec = dict[str, Any]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
"""Colours that the colour-blind can tell apart (Okabe and Ito 2008), on a light and on a dark page."""
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-left", "triangle-right")

_INK, _FAINT = "#012345", "#543210"
"""Stand for the colours of text and of lines in the page."""

_BASELINE = "#8A8A8A"
_WIDTH = 420


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        title: what it shows.
        svg: the picture, to be put into a page as it is.
        note: how to read it.
    """

    title: str
    svg: str
    note: str = ""


def leaderboard_charts(rows: Sequence[ModelResult], metrics: Sequence[str]) -> list[Chart]:
    """Draw each model's value with its interval, one picture per metric."""
    order = [row.label for row in rows]
    charts: list[Chart] = []
    for metric in metrics:
        values = [
            {
                "model": row.label,
                "value": row.metrics[metric],
                "low": row.interval(metric)[0],
                "high": row.interval(metric)[1],
                "kind": "baseline" if row.baseline else "model",
            }
            for row in rows
        ]
        colour = {"field": "kind", "scale": {"domain": ["model", "baseline"], "range": [PALETTE[0], _BASELINE]}}
        y = {"field": "model", "type": "nominal", "sort": order, "title": None}
        layers: list[Spec] = [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": _value("low", metric), "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
                "encoding": {"x": _value("value", "")},
            },
        ]
        encoding = {"y": y, "color": {**colour, "legend": None}}
        spec = {"data": {"values": values}, "encoding": encoding, "layer": layers, "height": {"step": 22}}
        charts.append(_drawn(f"board-{len(charts)}", metric, spec))
    return charts


def curve_charts(rows: Sequence[ModelResult]) -> list[Chart]:
    """Draw loss and validation over the epochs, where models learn in epochs."""
    learnt = [row for row in rows if len(row.curve) > 1]
    charts = []
    for name, title in (("loss", "Training loss"), ("validation", "Validation metric")):
        values = [
            {"model": row.label, "epoch": one.epoch, "value": value}
            for row in learnt
            for one in row.curve
            if (value := getattr(one, name)) is not None
        ]
        if values:
            encoding = {
                "x": {"field": "epoch", "type": "quantitative", "title": "epoch", "axis": {"tickMinStep": 1}},
                "y": _value("value", ""),
                "color": _by_model([row.label for row in learnt]),
                "shape": _shape_by_model([row.label for row in learnt]),
            }
            mark = {"type": "line", "point": {"size": 45}, "strokeWidth": 2}
            spec = {"data": {"values": values}, "mark": mark, "encoding": encoding, "height": 220}
            charts.append(_drawn(f"curve-{name}", title, spec))
    return charts


def slice_charts(rows: Sequence[ModelResult], metric: str) -> list[Chart]:
    """Draw each model's value on the parts of the test cases, one picture per way of telling them apart."""
    sliced = [row for row in rows if row.slices][: len(PALETTE)]
    labels = [row.label for row in sliced]
    dimensions = list(dict.fromkeys(part.dimension for row in sliced for part in row.slices))
    charts: list[Chart] = []
    for dimension in dimensions:
        parts = [(row.label, part) for row in sliced for part in row.slices if part.dimension == dimension]
        sizes = {part.label: part.cases for _, part in parts}
        values = [
            {
                "model": label,
                "part": part.label,
                "value": part.metrics[metric],
                "low": part.confidence.get(metric, (part.metrics[metric],) * 2)[0],
                "high": part.confidence.get(metric, (part.metrics[metric],) * 2)[1],
            }
            for label, part in parts
            if metric in part.metrics
        ]
        x = {"field": "part", "type": "nominal", "sort": list(sizes), "title": None, "axis": {"labelAngle": 0}}
        if sum(map(len, sizes)) > 45:
            x["axis"] = {"labelAngle": -40, "labelLimit": 110}
        encoding = {"x": x, "xOffset": {"field": "model", "sort": labels}, "color": _by_model(labels)}
        layers: list[Spec] = [
            {
                "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6},
                "encoding": {"y": _value("low", metric, zero=True), "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
                "encoding": {"y": _value("value", metric, zero=True), "shape": _shape_by_model(labels)},
            },
        ]
        spec = {"data": {"values": values}, "encoding": encoding, "layer": layers, "height": 220}
        note = "Cases: " + ", ".join(f"{label} {cases:,}" for label, cases in sizes.items()) + "."
        charts.append(_drawn(f"slice-{len(charts)}", dimension, spec, note))
    return charts


def latency_chart(rows: Sequence[ModelResult], metric: str) -> list[Chart]:
    """Draw what a model is worth against how long a visitor waits for it."""
    values = [
        {
            "model": row.label,
            "value": row.metrics[metric],
            "ms": row.latency_ms,
            "kind": "baseline" if row.baseline else "model",
        }
        for row in rows
        if row.latency_ms > 0
    ]
    if len(values) < 2:
        return []
    colour = {
        "field": "kind",
        "scale": {"domain": ["model", "baseline"], "range": [PALETTE[0], _BASELINE]},
        "legend": None,
    }
    x = {
        "field": "ms",
        "type": "quantitative",
        "title": "milliseconds per session",
        "scale": {"type": "log", "padding": 30},
    }
    layers: list[Spec] = [
        {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1}, "encoding": {"color": colour}},
        {
            "mark": {"type": "text", "dy": -11, "fontSize": 11, "fill": _INK},
            "encoding": {"text": {"field": "model"}},
        },
    ]
    spec = {
        "data": {"values": values},
        "encoding": {"x": x, "y": _value("value", metric)},
        "layer": layers,
        "height": 260,
    }
    note = "Median wait for the best 20 items, one session at a time. Up and to the left is better."
    return [_drawn("latency", "Quality against the wait", spec, note)]


def roc_chart(rows: Sequence[ModelResult]) -> list[Chart]:
    """Draw the receiver operating characteristic, where an AUC was asked for."""
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
        "mark": {"type": "line", "strokeDash": [3, 4], "stroke": _FAINT},
        "encoding": {"x": encoding["x"], "y": encoding["y"]},
    }
    curve = {"data": {"values": values}, "mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding}
    note = "The area under a curve is the metric; the dashed line is chance."
    return [_drawn("roc", "Receiver operating characteristic", {"layer": [chance, curve], "height": 260}, note)]


def _value(field: str, title: str, *, zero: bool = False) -> Spec:
    return {"field": field, "type": "quantitative", "title": title or None, "scale": {"zero": zero}}


def _by_model(labels: Sequence[str]) -> Spec:
    scale = {"domain": list(labels), "range": list(PALETTE[: len(labels)])}
    return {"field": "model", "type": "nominal", "scale": scale, "legend": {"title": None}}


def _shape_by_model(labels: Sequence[str]) -> Spec:
    scale = {"domain": list(labels), "range": list(_SHAPES[: len(labels)])}
    return {"field": "model", "type": "nominal", "scale": scale, "legend": {"title": None}}


def _drawn(name: str, title: str, spec: Mapping[str, Any], note: str = "") -> Chart:
    """Draw a specification."""
    import vl_convert  # noqa: PLC0415 (it takes time to load, and only reports need it)

    axis = {
        **{f"{part}Color": _INK for part in ("label", "title")},
        **{f"{part}Color": _FAINT for part in ("domain", "tick", "grid")},
        **{"gridOpacity": 0.35, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
        **{"labelLimit": 170, "titlePadding": 8},
    }
    legend = {"labelColor": _INK, "orient": "top", "direction": "horizontal", "labelFontSize": 11, "columns": 4}
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": _WIDTH,
        "background": None,
        "config": {"view": {"stroke": None}, "axis": axis, "legend": legend, "font": "sans-serif"},
        **spec,
    }
    svg = vl_convert.vegalite_to_svg(whole)
    return Chart(title, _of_the_page(svg, name, title), note)


def _of_the_page(svg: str, name: str, title: str) -> str:
    """Let a picture scale with the page, take its colours, and share no names with other pictures."""
    sizes = re.match(r'<svg [^>]*?viewBox="([^"]+)"', svg)
    assert sizes is not None
    body = svg[svg.index(">") + 1 :]
    body = body.replace(_INK, "currentColor").replace(_FAINT, "var(--line)")
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    width = float(sizes[1].split()[2])
    return f'<svg viewBox="{sizes[1]}" style="max-width:{width:.0f}px" role="img" aria-label="{escape(title)}">{body}'
