"""An explanation as a picture or a page: a heat map of the effects of the events, and one of the attention."""

from collections.abc import Mapping, Sequence
from math import floor, log10
from pathlib import Path

from segue.charts import BLUE, CONFIG, INK, LINE, PALETTE, VERMILION, Spec, render_svg, write_chart
from segue.errors import ParameterError
from segue.models.why.answer import Why
from segue.models.why.words import NameOf, because, named, part_lines
from segue.printable import visible
from segue.storage import write_text

_WIDTH, _HEIGHT = 60, 26
"""Pixels of a cell."""
_GREEN = PALETTE[2]
_SUFFIXES = (".png", ".svg", ".html")
_DARK = 0.75
"""Share of the largest effect above which a blue cell has white text."""


def checked_output(path: Path) -> Path:
    """Return the path of a picture or a page.

    Raises:
        ParameterError: its name does not end in .png, .svg or .html.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ParameterError(f"out: must end in .png, .svg or .html, got '{path}'")
    return path


def write_why(why: Why, path: Path, *, title: str, name_of: NameOf) -> None:
    """Write a picture or a page atomically, by the suffix of the path.

    Args:
        why: the explanation.
        path: see ``checked_output``.
        title: title of a page.
        name_of: names the items of parts.

    Raises:
        ParameterError: there is no event to show.
        MissingExtraError: vl-convert is not installed.
        StorageError: the write failed.
    """
    if not why.events:
        raise ParameterError("out: needs a session with an event that the model knows; there is no effect to draw")
    if path.suffix.lower() == ".html":
        write_text(path, page(why, title=title, name_of=name_of))
    else:
        write_chart(chart(why), path)


def chart(why: Why) -> Spec:
    """Return a Vega-Lite chart: rows are events, columns are items, and attention heads beside them."""
    events = [f"{why.older + number}  {named(event)}" for number, event in enumerate(why.events, start=1)]
    effects = {f"{named(item)}  ·  {item.score:.3g}": item.without for item in why.items}
    largest = _largest(effects)
    digits = max(0, 2 - floor(log10(largest)))
    panels = [
        _heat_map(
            "Effect on the score",
            events,
            effects,
            number=f"+.{digits}f",
            domain=[-largest, 0.0, largest],
            colours=[VERMILION, "#FFFFFF", BLUE],
        )
    ]
    if why.attention is not None:
        weights = {row.name: row.weights for row in why.attention}
        largest = _largest(weights)
        signed = any(value < 0 for column in weights.values() for value in column)  # As in NARM, STAMP and HSTU.
        domain, colours = [0.0, largest], ["#FFFFFF", _GREEN]
        if signed:
            domain, colours = [-largest, *domain], [VERMILION, *colours]
        panel = _heat_map("Attention", events, weights, number=".2f", domain=domain, colours=colours)
        panel["encoding"]["y"]["axis"] = None
        panels.append(panel)
    return {"hconcat": panels, "spacing": 28, "padding": 20, "background": "white", "config": CONFIG}


def _largest(columns: Mapping[str, Sequence[float]]) -> float:
    return max((abs(value) for column in columns.values() for value in column), default=0.0) or 1.0


def _heat_map(
    title: str,
    rows: Sequence[str],
    columns: Mapping[str, Sequence[float]],
    *,
    number: str,
    domain: Sequence[float],
    colours: Sequence[str],
) -> Spec:
    cells = [
        {"event": row, "column": name, "value": value}
        for name, values in columns.items()
        for row, value in zip(rows, values, strict=True)
    ]
    plain: Spec = {"title": None, "ticks": False, "domain": False, "grid": False, "labelColor": INK}
    down = {**plain, "labelLimit": 260, "labelPadding": 8}
    across = {**plain, "orient": "top", "labelAngle": -40, "labelAlign": "left", "labelLimit": 220, "labelPadding": 6}
    white = f"datum.value > {_DARK * domain[-1]}" if colours[-1] == BLUE else "false"  # The others are lighter.
    encoding: Spec = {
        "y": {"field": "event", "type": "nominal", "sort": None, "axis": down},
        "x": {"field": "column", "type": "nominal", "sort": None, "axis": across},
    }
    return {
        "title": {"text": title, "anchor": "start", "orient": "bottom", "fontSize": 13, "offset": 10},
        "data": {"values": cells},
        "width": {"step": _WIDTH},
        "height": {"step": _HEIGHT},
        "view": {"stroke": LINE},
        "encoding": encoding,
        "layer": [
            {
                "mark": {"type": "rect", "stroke": "#FFFFFF", "strokeWidth": 1.5},
                "encoding": {
                    "color": {
                        "field": "value",
                        "type": "quantitative",
                        "scale": {"domain": list(domain), "range": list(colours), "interpolate": "rgb"},
                        "legend": None,
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {
                    "text": {"field": "value", "type": "quantitative", "format": number},
                    "color": {"condition": {"test": white, "value": "white"}, "value": INK},
                },
            },
        ],
        "resolve": {"scale": {"color": "independent"}},
    }


def page(why: Why, *, title: str, name_of: NameOf) -> str:
    """Return a page that needs no network; whatever comes from a log is escaped, and its control characters visible.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 (only pages need it)
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("segue.models.why", ""),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # Not the chart, which is Markup.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    items = [
        {
            "name": named(item),
            "score": f"{item.score:.4g}",
            "because": because(why, item),
            "parts": [(f"{value:+.3g}", words) for value, words in part_lines(why, item, name_of)],
        }
        for item in why.items
    ]
    picture = Markup(render_svg(chart(why)))  # noqa: S704 (drawn by Vega, which escapes texts)
    content = {"title": title, "session": [named(event) for event in why.events], "items": items, "chart": picture}
    return environment.get_template("page.html").render(content)
