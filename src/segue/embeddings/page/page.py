"""The interactive page: zoom, hover, search, neighbours; one file that asks nothing of the network.

What comes from a log (ids, names, metadata) is untrusted. It enters the page as JSON whose ``<``, ``>`` and ``&`` are
escaped, or as escaped text, and the script shows it as text nodes only; a policy in the page forbids all requests.
"""

import re
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from segue.embeddings.colours import Numbers
from segue.embeddings.look import Look
from segue.embeddings.neighbours import K, neighbours_of
from segue.embeddings.page.specification import map_specification, spectrum_specification
from segue.storage import write_text
from segue.strict_json import dumps

_COLUMNS = 8
"""Columns of metadata that the page tells of an item."""
_HINT = (
    "Scroll to zoom, drag to move, double-click to see all; point at an item to see what it is, click on it to see its "
    "neighbours."
)
_ON_LEGEND = " Click on a category of the legend to see it alone."


def write_page(insight: Look, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        StorageError: the write failed.
    """
    write_text(path, page(insight))


def page(insight: Look) -> str:
    """Return the page as HTML."""
    title = f"{insight.model} · {insight.total:,} items"
    hint = _HINT + ("" if isinstance(insight.colours, Numbers) else _ON_LEGEND)
    parts = {
        "title": escape(title),
        "style": _file("page.css"),
        "facts": _lines(insight.facts()),
        "hint": escape(hint) if insight.maps else "",
        "caption": escape(insight.caption),
        "warnings": _lines(insight.warnings),
        "notes": _lines(insight.notes),
        "content": embedded(_content(insight)),
        "libraries": _libraries(),
        "script": _file("page.js"),
    }
    # In one go, so that a name such as {{script}} stays a name.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("page.html"))


def embedded(content: Any) -> str:
    """Return JSON that ends no script element and opens none, whatever its texts are."""
    text = dumps(content, compact=True)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _content(insight: Look) -> dict[str, Any]:
    """Return what the script of the page reads."""
    if not insight.maps:
        return {"maps": [], "items": None, "spec": spectrum_specification(insight.variance), "chosen": -1}
    items = _items(insight)
    return {
        "maps": [
            {"title": drawn.title, "x": _rounded(drawn.points[:, 0]), "y": _rounded(drawn.points[:, 1])}
            for drawn in insight.maps
        ],
        "values": _values(insight),
        "items": items,
        "similarity": insight.options.similarity,
        "chosen": _chosen(insight),
        "spec": map_specification(insight.maps[0], insight.colours, [name for name, _ in items["columns"]]),
    }


def _items(insight: Look) -> dict[str, Any]:
    """Return what is known of each item, and its neighbours among those that are drawn."""
    cloud = insight.cloud
    found = neighbours_of(cloud, K, insight.options.similarity)
    others = [name for name in cloud.metadata if name != cloud.name_column]
    known = ("item", "support", *others[:_COLUMNS])
    return {
        "names": cloud.names,
        "ids": cloud.items["item"].cast(pl.String).to_list(),
        "columns": [["id" if name == "item" else name, _texts(cloud.items[name])] for name in known],
        "neighbours": found.rows.tolist(),
        "similarities": [_rounded(row, 3) for row in found.similarities],
    }


def _texts(column: pl.Series) -> list[Any]:
    """Return the cells of a column as JSON can hold them."""
    if isinstance(column.dtype, pl.List | pl.Array):
        cells = column.to_list()
        return [None if cell is None else ", ".join(map(str, cell)) for cell in cells]
    return column.to_list() if column.dtype.is_integer() else column.cast(pl.String).to_list()


def _values(insight: Look) -> list[float | None]:
    """Return what colours each item: a number, or the number of its category."""
    if isinstance(insight.colours, Numbers):
        return _rounded(insight.colours.values)
    codes: list[float | None] = insight.colours.codes.tolist()
    return codes


def _chosen(insight: Look) -> int:
    """Return the row of the item whose neighbours were asked for, -1 if none were or it is not drawn."""
    if insight.asked is None:
        return -1
    rows = np.flatnonzero((insight.cloud.items["item"] == insight.asked["item"][0]).to_numpy())
    return int(rows[0]) if len(rows) else -1


def _rounded(values: Any, digits: int = 5) -> list[float | None]:
    """Return numbers with few significant digits, which is most of the page's size; None for those that are none."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values]


def _lines(texts: Any) -> str:
    return "".join(f"<li>{escape(text)}</li>" for text in texts)


def _libraries() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which takes seconds to bundle."""
    import vl_convert  # noqa: PLC0415 (slow to import)

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return re.sub(r"</(?=script)", r"<\\/", bundle, flags=re.IGNORECASE)


def _file(name: str) -> str:
    return files("segue.embeddings.page").joinpath(name).read_text(encoding="utf-8")
