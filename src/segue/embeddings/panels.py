"""Vega-Lite panels of item plots: a map of the items, and charts of the principal components.

No text from a log stands in an expression except as a quoted literal.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segue.charts import ALARM, BLUE, CONFIG, INK, PALE, Spec, whole_ticks
from segue.embeddings.colours import UNKNOWN_GREY, CategoricalColours, Colours, NumericColours
from segue.embeddings.components import POPULARITY_CORRELATION, PrincipalComponents
from segue.embeddings.projections import Projection

SMALL_WIDTH = 270
"""Pixels of a chart beside a map."""
_DETAILED = 20
"""Number of components that are plotted individually."""


def domains_of(points: Any) -> list[list[float]]:
    """Return domains of x and y of one length, so that distances are to scale on a square."""
    low, high = points.min(0), points.max(0)
    half = 0.53 * float((high - low).max()) or 1.0
    return [[float(middle) - half, float(middle) + half] for middle in (low + high) / 2]


def map_layers(
    projection: Projection, colours: Colours, *, rings: tuple[int, float, int, float], legend_columns: int = 4
) -> Spec:
    """Return the layers of a map of items: the items, rings around neighbours, a ring around the chosen item.

    The data of the items have fields ``x``, ``y`` and ``value``, a number or the code of a category.

    Args:
        projection: which axes there are.
        colours: of the items.
        rings: size and line width of the rings around neighbours, and of the ring around the chosen item.
        legend_columns: columns of a legend of categories; 0 means no legend.
    """
    marks = {
        "mark": {"type": "point", "filled": True},
        "encoding": {
            "x": _position("x", projection.axes[0]),
            "y": _position("y", projection.axes[1]),
            **_colour_channels(colours, legend_columns),
        },
    }
    return {"layer": [marks, _ring_layer("near", *rings[:2]), _ring_layer("chosen", *rings[2:])]}


def interactive(panel: Spec, colours: Colours, columns: Sequence[str]) -> Spec:
    """Let a map zoom, show what it points at, and single out a category; a script adds size, domains and data.

    Args:
        panel: what ``map_layers`` returned.
        colours: of the items.
        columns: what is shown of an item; fields ``c0``, ``c1``, ... of the data.
    """
    marks = panel["layer"][0]
    tooltip = [{"field": f"c{number}", "title": name, "type": "nominal"} for number, name in enumerate(columns)]
    zoom = {"name": "zoom", "select": {"type": "interval", "zoom": "wheel![!event.shiftKey]"}, "bind": "scales"}
    alone = {"name": "alone", "select": {"type": "point", "fields": ["value"]}, "bind": "legend"}
    marks["data"] = {"name": "points"}
    marks["mark"]["cursor"] = "pointer"
    marks["encoding"]["tooltip"] = [{"field": "name", "title": "item", "type": "nominal"}, *tooltip]
    marks["params"] = [zoom]
    if isinstance(colours, CategoricalColours):
        marks["params"] = [zoom, alone]
        marks["encoding"]["opacity"] = {"condition": {"param": "alone", "value": 0.85}, "value": 0.06}
    return {**panel, "autosize": {"type": "pad"}, "config": CONFIG}


def _position(field: str, title: str) -> Spec:
    """Return a channel of position; axes of t-SNE and UMAP have no numbers, which would mean nothing."""
    axis: Spec = {"title": title, "grid": False} if title else {"title": None, "labels": False, "ticks": False}
    axis |= {"grid": False, "domain": False}
    return {"field": field, "type": "quantitative", "axis": axis, "scale": {"nice": False}}


def _colour_channels(colours: Colours, columns: int) -> Spec:
    if isinstance(colours, NumericColours):
        return _numeric_channels(colours, with_legend=columns > 0)
    present = sorted(set(colours.codes.tolist()))
    marks = [colours.mark(code) for code in present]
    names = {str(code): name for code, name in zip(present, colours.legend, strict=True)}
    legend = {
        **{"title": colours.title, "orient": "bottom", "columns": columns, "symbolSize": 90, "symbolOpacity": 1},
        "labelExpr": f"{json.dumps(names)}[datum.value]",
    }
    field = {"field": "value", "type": "nominal", "legend": legend if columns else None}
    return {
        "color": {**field, "scale": {"domain": present, "range": [hue for hue, _ in marks]}},
        "shape": {**field, "scale": {"domain": present, "range": [shape for _, shape in marks]}},
        "opacity": {"value": 0.85},
    }


def _numeric_channels(colours: NumericColours, *, with_legend: bool) -> Spec:
    # The end of viridis is too pale on white.
    scale = {"type": "log" if colours.logarithmic else "linear", "scheme": {"name": "viridis", "extent": [0, 0.93]}}
    legend: Spec = {"title": colours.title, "orient": "bottom", "gradientLength": 300, "format": "~f"}
    if colours.logarithmic:
        legend |= {"format": ",d", "values": _powers(colours)}
    color = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend if with_legend else None}
    known = {"test": "isValid(datum.value)", **color}
    return {"color": {"condition": known, "value": UNKNOWN_GREY}, "opacity": {"value": 0.85}}


def _powers(colours: NumericColours) -> list[int]:
    """Return the powers of ten among the values, or the ends of their range where there is no more than one."""
    low, high = float(np.nanmin(colours.values)), float(np.nanmax(colours.values))
    powers = [10**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return powers if len(powers) > 1 else sorted({round(low), *powers, round(high)})


def _ring_layer(name: str, size: int, width: float) -> Spec:
    return {
        "data": {"name": name, "values": []},
        "mark": {"type": "point", "filled": False, "size": size, "stroke": INK, "strokeWidth": width, "opacity": 1},
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
    }


def share_chart(components: PrincipalComponents) -> Spec:
    """Return how much of the variance each component explains; those that follow popularity are red."""
    title = "Variance explained by each component" + (" (red: popularity)" if components.flagged else "")
    return _component_chart(components, title, [_bars(components, "share")])


def cumulative_chart(components: PrincipalComponents) -> Spec:
    """Return how much of the variance the first components explain together, and how many explain half."""
    half = components.components_for(0.5)
    at_half = {"component": half, "cumulative": float(components.cumulative[half - 1]), "label": f"half with {half}"}
    channels = _channels(len(components.shares), "cumulative", [0, 1.02])
    x, y = channels["x"], channels["y"]
    dotted = {"type": "rule", "strokeDash": [2, 2], "color": PALE}
    text = {"type": "text", "align": "left", "baseline": "top", "dx": 8, "dy": 3, "color": INK, "fontSize": 11.5}
    marked: list[Spec] = [
        {"mark": dotted, "encoding": {"x": x, "y": y, "y2": {"datum": 0}}},
        {"mark": dotted, "encoding": {"x": x, "x2": {"datum": 0}, "y": y}},
        {
            "mark": {"type": "point", "filled": True, "size": 50, "color": BLUE, "opacity": 1},
            "encoding": {"x": x, "y": y},
        },
        {"mark": text, "encoding": {"x": x, "y": y, "text": {"field": "label"}}},
    ]
    line = {"mark": {"type": "line", "color": BLUE, "point": {"size": 12, "color": BLUE}}, "encoding": channels}
    layers = [line, *({"data": {"values": [at_half]}, **layer} for layer in marked)]
    return _component_chart(components, "Variance explained, cumulative", layers)


def correlation_chart(components: PrincipalComponents) -> Spec:
    """Return how the first components correlate with popularity."""
    bars = _bars(components, "correlation", [-1, 1], _DETAILED)
    rules = [
        {"data": {"values": [{"bound": bound}]}, "mark": {"type": "rule", **look}, "encoding": {"y": _y("bound")}}
        for bound, look in (
            (0, {"color": PALE}),
            (POPULARITY_CORRELATION, {"color": ALARM, "strokeDash": [5, 3]}),
            (-POPULARITY_CORRELATION, {"color": ALARM, "strokeDash": [5, 3]}),
        )
    ]
    return _component_chart(components, "Rank correlation with popularity", [bars, *rules])


def _bars(components: PrincipalComponents, field: str, domain: Sequence[float] = (), limit: int | None = None) -> Spec:
    count = min(len(components.shares), limit or len(components.shares))
    color = {"condition": {"test": "datum.flagged", "value": ALARM}, "value": BLUE}
    return {
        "transform": [{"filter": f"datum.component <= {count}"}],
        "mark": {"type": "bar", "width": max(1, round(0.8 * SMALL_WIDTH / count))},
        "encoding": {**_channels(count, field, domain), "color": color},
    }


def _channels(count: int, field: str, domain: Sequence[float] = ()) -> Spec:
    """Return the channels of a chart with so many components along x."""
    axis = {"values": whole_ticks(1, count), "format": "d", "grid": False}
    scale = {"domain": [0.3, count + 0.7], "nice": False}
    tooltip = [
        {"field": "component", "type": "quantitative"},
        {"field": "share", "type": "quantitative", "format": ".1%"},
        {"field": "cumulative", "type": "quantitative", "format": ".1%"},
        {"field": "correlation", "type": "quantitative", "title": "rank correlation with popularity", "format": ".2f"},
    ]
    return {
        "x": {"field": "component", "type": "quantitative", "title": "component", "axis": axis, "scale": scale},
        "y": _y(field, domain),
        "tooltip": tooltip,
    }


def _y(field: str, domain: Sequence[float] = ()) -> Spec:
    axis = {"format": "~g" if field in ("correlation", "bound") else "~%", "grid": False, "title": None}
    y = {"field": field, "type": "quantitative", "title": None, "axis": axis}
    return {**y, "scale": {"domain": list(domain), "nice": False}} if domain else y


def _component_chart(components: PrincipalComponents, title: str, layers: Sequence[Spec]) -> Spec:
    rows = [
        {
            "component": component + 1,
            "share": float(components.shares[component]),
            "cumulative": float(components.cumulative[component]),
            "correlation": float(components.correlations[component]),
            "flagged": component in components.flagged,
        }
        for component in range(len(components.shares))
    ]
    return {
        "title": {"text": title, "anchor": "start", "fontSize": 12.5},
        "data": {"values": rows},
        "layer": list(layers),
        "view": {"stroke": None},
    }
