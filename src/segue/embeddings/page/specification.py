"""The pictures of the page in Vega-Lite. No text of a log stands in an expression but as a quoted literal."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from segue.embeddings.colours import GREY, Categories, Colours, Numbers
from segue.embeddings.maps import Map
from segue.embeddings.panels import ALARM, INK, PALE, look_of
from segue.embeddings.variance import Variance

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
_VEGA_SHAPES = {"o": "circle", "^": "triangle-up"}
_COLOURED = "#0072B2"

CONFIG = {
    "font": _FONT,
    "view": {"stroke": "#D0D0D0"},
    "axis": {
        "gridColor": "#F0F0F0",
        "labelColor": PALE,
        "labelFontSize": 11,
        "tickCount": 6,
        "titleColor": INK,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {
        "columnPadding": 18,
        "labelColor": INK,
        "labelFontSize": 12.5,
        "labelLimit": 180,
        "offset": 16,
        "rowPadding": 5,
        "titleColor": INK,
        "titleFontSize": 12.5,
        "titleFontWeight": "normal",
    },
    "title": {"color": INK, "fontWeight": "normal"},
}


def map_specification(drawn: Map, colours: Colours, columns: Sequence[str]) -> dict[str, Any]:
    """Return the picture of the items; the script of the page adds size, scales and data.

    Args:
        drawn: which axes there are.
        colours: what colours the items.
        columns: what is shown of the item that is pointed at; field ``c0``, ``c1``, ... of the data.
    """
    tooltip = [{"field": f"c{number}", "title": name, "type": "nominal"} for number, name in enumerate(columns)]
    zoom = {"name": "zoom", "select": {"type": "interval", "zoom": "wheel![!event.shiftKey]"}, "bind": "scales"}
    alone = {"name": "alone", "select": {"type": "point", "fields": ["value"]}, "bind": "legend"}
    points = {
        "data": {"name": "points"},
        "params": [zoom, alone] if isinstance(colours, Categories) else [zoom],
        "mark": {"type": "point", "filled": True, "cursor": "pointer"},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "axis": _axis(drawn.axes[0]), "scale": {"nice": False}},
            "y": {"field": "y", "type": "quantitative", "axis": _axis(drawn.axes[1]), "scale": {"nice": False}},
            "tooltip": [{"field": "name", "title": "item", "type": "nominal"}, *tooltip],
            **_painted(colours),
        },
    }
    return {
        "layer": [points, _rings("near", 130, 1.2), _rings("chosen", 320, 2.4)],
        "autosize": {"type": "pad"},
        "config": CONFIG,
    }


def _axis(title: str) -> dict[str, Any]:
    """Return an axis; that of t-SNE and UMAP has no numbers, for they mean nothing."""
    return {"title": title} if title else {"title": None, "labels": False, "ticks": False, "grid": False}


def _painted(colours: Colours) -> dict[str, Any]:
    """Return the channels that colour the items."""
    return _painted_numbers(colours) if isinstance(colours, Numbers) else _painted_categories(colours)


def _painted_numbers(colours: Numbers) -> dict[str, Any]:
    scale = {"type": "log" if colours.logarithmic else "linear", "scheme": {"name": "viridis", "extent": [0, 0.93]}}
    legend: dict[str, Any] = {"title": colours.title, "orient": "bottom", "gradientLength": 300, "format": "~g"}
    if colours.logarithmic:
        legend |= {"format": ",d", "values": _powers(colours)}
    color = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}
    known = {"test": "isValid(datum.value)", **color}
    return {"color": {"condition": known, "value": GREY}, "opacity": {"value": 0.85}}


def _painted_categories(colours: Categories) -> dict[str, Any]:
    present = sorted(set(colours.codes.tolist()))
    looks = [look_of(code, colours) for code in present]
    names = {str(code): name for code, name in zip(present, colours.legend, strict=True)}
    legend = {
        "title": colours.title,
        "orient": "bottom",
        "columns": 4,
        "symbolSize": 90,
        "symbolOpacity": 1,
        "labelExpr": f"{json.dumps(names)}[datum.value]",
    }
    field = {"field": "value", "type": "nominal", "legend": legend}
    shapes = [_VEGA_SHAPES[shape] for _, shape in looks]
    return {
        "color": {**field, "scale": {"domain": present, "range": [hue for hue, _ in looks]}},
        "shape": {**field, "scale": {"domain": present, "range": shapes}},
        "opacity": {"condition": {"param": "alone", "value": 0.85}, "value": 0.06},
    }


def _powers(colours: Numbers) -> list[int]:
    """Return the powers of ten among the values, or the ends of their range where there is no more than one."""
    low, high = float(np.nanmin(colours.values)), float(np.nanmax(colours.values))
    powers = [10**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return powers if len(powers) > 1 else sorted({round(low), *powers, round(high)})


def _rings(name: str, size: int, width: float) -> dict[str, Any]:
    return {
        "data": {"name": name, "values": []},
        "mark": {"type": "point", "filled": False, "size": size, "stroke": INK, "strokeWidth": width, "opacity": 1},
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
    }


def spectrum_specification(variance: Variance) -> dict[str, Any]:
    """Return the variance of each component, and of the first ones together."""
    rows = [
        {
            "component": component + 1,
            "share": float(variance.shares[component]),
            "cumulative": float(variance.cumulative[component]),
            "correlation": float(variance.correlations[component]),
            "flagged": component in variance.flagged,
        }
        for component in range(len(variance.shares))
    ]
    bars = _chart("Variance explained by each component (red: popularity)", "share")
    bars["mark"] = {"type": "bar", "width": max(1, round(380 / len(rows)))}
    bars["encoding"]["color"] = {"condition": {"test": "datum.flagged", "value": ALARM}, "value": _COLOURED}
    line = _chart("Variance explained, cumulative", "cumulative")
    line["mark"] = {"type": "line", "color": _COLOURED, "point": {"size": 24, "color": _COLOURED}}
    line["encoding"]["y"]["scale"] = {"domain": [0, 1]}
    return {"data": {"values": rows}, "hconcat": [bars, line], "config": CONFIG}


def _chart(title: str, field: str) -> dict[str, Any]:
    """Return a picture of one number per component, without its mark."""
    places = {"field": "component", "type": "quantitative", "axis": {"tickMinStep": 1}, "scale": {"zero": False}}
    tooltip = [
        {"field": "component", "type": "quantitative"},
        {"field": "share", "type": "quantitative", "format": ".1%"},
        {"field": "cumulative", "type": "quantitative", "format": ".1%"},
        {"field": "correlation", "type": "quantitative", "title": "rank correlation with popularity", "format": ".2f"},
    ]
    height = {"field": field, "type": "quantitative", "title": None, "axis": {"format": "%"}}
    return {
        "title": title,
        "width": 420,
        "height": 320,
        "encoding": {"x": places, "y": height, "tooltip": tooltip},
    }
