"""The interactive page: zoom, hover, search, neighbours; one file that needs no network.

What comes from a log (ids, names, metadata) is untrusted. It enters the page as JSON whose ``<``, ``>`` and ``&`` are
escaped, or as escaped text, and the script shows it as text nodes only; a policy in the page forbids all requests.
"""

import re
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from segue.charts import CONFIG, libraries
from segue.embeddings.colours import NumericColours
from segue.embeddings.panels import cumulative_chart, domains_of, interactive, map_layers, share_chart
from segue.embeddings.plot_data import PlotData
from segue.embeddings.vectors import K, nearest_neighbours
from segue.printable import visible, visible_all
from segue.storage import write_text
from segue.strict_json import dumps

_COLUMNS = 8
"""Columns of metadata that the page shows of an item."""
_HINT = (
    "Scroll to zoom, drag to move, double-click to see all; point at an item to see what it is, click on it to see its "
    "neighbours."
)
_LEGEND_HINT = " Click on a category of the legend to show only this category."


def write_page(plot: PlotData, path: Path) -> None:
    """Write the page atomically.

    Raises:
        MissingExtraError: vl-convert is not installed.
        StorageError: the write failed.
    """
    write_text(path, page(plot))


def page(plot: PlotData) -> str:
    """Return the page as HTML."""
    hint = _HINT + ("" if isinstance(plot.colours, NumericColours) else _LEGEND_HINT)
    parts = {
        "title": _escaped(f"{plot.model} · {plot.total:,} items"),
        "facts": _list_items(plot.summary()),
        "hint": _escaped(hint) if plot.projections else "",
        "caption": _escaped(plot.caption),
        "warnings": _list_items(plot.warnings),
        "notes": _list_items(plot.notes),
        "content": embedded(visible_all(_content(plot))),
        "libraries": _libraries(),
    }
    # In one pass, so that a name such as {{content}} stays a name.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template())


def template() -> str:
    """Return the page with its style and script, and ``{{name}}`` where a part belongs."""
    return files("segue.embeddings").joinpath("page.html").read_text(encoding="utf-8")


def embedded(content: Any) -> str:
    """Return JSON that ends no script element and opens none, whatever its texts are."""
    text = dumps(content, compact=True)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _content(plot: PlotData) -> dict[str, Any]:
    """Return the data for the script of the page."""
    if not plot.projections:
        charts = [{**chart(plot.components), "width": 420, "height": 320} for chart in (share_chart, cumulative_chart)]
        return {"maps": [], "items": None, "spec": {"hconcat": charts, "config": CONFIG}, "chosen": -1}
    items, colours = _items(plot), plot.colours
    panel = map_layers(plot.projections[0], colours, rings=(130, 1.2, 320, 2.4))
    return {
        "maps": [
            {
                "title": projection.title,
                "x": _rounded(projection.points[:, 0]),
                "y": _rounded(projection.points[:, 1]),
                "domains": domains_of(projection.points),
            }
            for projection in plot.projections
        ],
        "values": _rounded(colours.values) if isinstance(colours, NumericColours) else colours.codes.tolist(),
        "items": items,
        "similarity": plot.options.similarity,
        "chosen": _chosen(plot),
        "spec": interactive(panel, colours, [name for name, _ in items["columns"]]),
    }


def _items(plot: PlotData) -> dict[str, Any]:
    """Return the metadata of each item, and its neighbours among the plotted items."""
    points = plot.points
    nearest = nearest_neighbours(points, K, plot.options.similarity)
    others = [name for name in points.metadata if name != points.name_column]
    known = ("item", "support", *others[:_COLUMNS])
    return {
        "names": points.names,
        "ids": points.items["item"].cast(pl.String).to_list(),
        "columns": [["id" if name == "item" else name, _cells(points.items[name])] for name in known],
        "neighbours": nearest.rows.tolist(),
        "similarities": [_rounded(row, 3) for row in nearest.similarities],
    }


def _cells(column: pl.Series) -> list[Any]:
    """Return the cells of a column as JSON can hold them."""
    if isinstance(column.dtype, pl.List | pl.Array):
        cells = column.to_list()
        return [None if cell is None else ", ".join(map(str, cell)) for cell in cells]
    return column.to_list() if column.dtype.is_integer() else column.cast(pl.String).to_list()


def _chosen(plot: PlotData) -> int:
    """Return the row of the item whose neighbours are listed, -1 if there is none or it is not plotted."""
    if plot.neighbours is None:
        return -1
    rows = np.flatnonzero((plot.points.items["item"] == plot.neighbours["item"][0]).to_numpy())
    return int(rows[0]) if len(rows) else -1


def _rounded(values: Any, digits: int = 5) -> list[float | None]:
    """Return numbers with few significant digits, which is most of the page's size; None for those that are none."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values]


def _escaped(text: str) -> str:
    return escape(visible(text))


def _list_items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{_escaped(text)}</li>" for text in texts)


def _libraries() -> str:
    """Return the scripts of the page."""
    return re.sub(r"</(?=script)", r"<\\/", libraries(), flags=re.IGNORECASE)
