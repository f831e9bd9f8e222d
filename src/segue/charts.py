"""Charts: Vega-Lite specifications, one palette, ticks; vl-convert renders them as files."""

import zlib
from collections.abc import Sequence
from math import ceil, floor, log10
from pathlib import Path
from struct import pack, unpack
from typing import Any

from segue.chart_process import draw
from segue.errors import ParameterError
from segue.printable import visible_all
from segue.storage import replacing_file

Spec = dict[str, Any]
"""A Vega-Lite specification, or a part of one."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
"""Colours that the colour-blind can tell apart (Okabe and Ito 2008), on a light and on a dark page."""
BLUE, VERMILION, _, _, ORANGE, _, _, GREY = PALETTE
INK, PALE, LINE, ALARM = "#222222", "#767676", "#D0D0D0", "#B03A00"
"""Colours of text, of secondary text, of frames, and of warnings; all texts are readable on white."""
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-left", "triangle-right")

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
_SMALL = 11
_PNG_SCALE = 1.5

CONFIG: Spec = {
    "font": _FONT,
    "view": {"stroke": LINE},
    "axis": {
        **{"domainColor": "#B0B0B0", "tickColor": "#B0B0B0", "gridColor": "#F0F0F0", "labelColor": PALE},
        **{"titleColor": INK, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8},
        **{"labelFontSize": _SMALL, "tickCount": 6},
    },
    "legend": {
        **{"columnPadding": 18, "labelColor": INK, "labelFontSize": 12.5, "labelLimit": 180, "offset": 16},
        **{
            "gradientOpacity": 1,
            "rowPadding": 5,
            "titleColor": INK,
            "titleFontSize": 12.5,
            "titleFontWeight": "normal",
        },
    },
    "title": {"color": INK, "fontWeight": "normal"},
}
"""How charts look on a white page."""


def libraries() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which takes seconds to bundle.

    Raises:
        MissingExtraError: vl-convert is not installed.
        ChartError: it cannot be made.
    """
    return draw("libraries").decode()


def render_svg(spec: Spec) -> str:
    """Return a chart as SVG; equal specifications give equal texts.

    Raises:
        MissingExtraError: vl-convert is not installed.
        ChartError: it cannot be drawn.
    """
    return draw("svg", _printable(spec)).decode()


def render_png(spec: Spec, scale: float) -> bytes:
    """Return a chart as PNG; equal specifications give equal bytes.

    Args:
        spec: the chart.
        scale: pixels of the image per pixel of the chart.

    Raises:
        MissingExtraError: vl-convert is not installed.
        ChartError: it cannot be drawn.
    """
    return _compressed(draw("png", _printable(spec), scale))


def _printable(spec: Spec) -> Spec:
    r"""Return a chart whose texts are visible, without labels of ARIA, in which Vega reads ``\x1b`` as an escape."""
    return visible_all({**spec, "config": {**spec.get("config", {}), "aria": False}})  # type: ignore[no-any-return]


def checked_picture(path: Path) -> Path:
    """Return the path of a picture.

    Raises:
        ParameterError: its name does not end in .png or .svg.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise ParameterError(f"out: must end in .png or .svg, got '{path}'")
    return path


def write_chart(spec: Spec, path: Path) -> None:
    """Write a chart atomically, as PNG or SVG by the suffix of the path; equal specifications give equal files.

    Raises:
        MissingExtraError: vl-convert is not installed.
        StorageError: the write failed.
    """
    content = render_svg(spec).encode() if path.suffix.lower() == ".svg" else render_png(spec, _PNG_SCALE)
    with replacing_file(path) as scratch:
        scratch.write_bytes(content)


def _compressed(png: bytes) -> bytes:
    """Compress a PNG again, which vl-convert does fast but badly: to less than half."""
    header, body, at = png[:8], b"", 8
    chunks: list[tuple[bytes, bytes]] = []
    while at < len(png):
        length, kind = unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IDAT":
            body += data
        else:
            chunks.append((kind, data))
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(body))))
    return header + b"".join(
        pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def text_lines(lines: Sequence[tuple[str, str]], width: int) -> Spec:
    """Return a view of left-aligned text, to stand below charts.

    Args:
        lines: text and colour of each line.
        width: pixels.
    """
    rows = [{"top": 16 * number, "text": text, "color": color} for number, (text, color) in enumerate(lines)]
    return {
        "data": {"values": rows},
        "width": width,
        "height": 16 * len(rows),
        "view": {"stroke": None},
        "mark": {"type": "text", "align": "left", "baseline": "top", "fontSize": 12},
        "encoding": {
            "x": {"value": 0},
            "y": {"field": "top", "type": "quantitative", "scale": None, "axis": None},
            "text": {"field": "text"},
            "color": {"field": "color", "type": "nominal", "scale": None},
        },
    }


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, from clearly below the lowest value to clearly above the highest."""
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    first = max(tick for tick in ticks if tick <= 0.8 * low)
    last = min(tick for tick in ticks if tick >= 1.25 * high)
    return [tick for tick in ticks if first <= tick <= last]


def padded_domain(values: Sequence[float]) -> tuple[float, float]:
    """Return a domain with some room around the values."""
    low, high = min(values), max(values)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def whole_ticks(low: int, high: int) -> list[int]:
    """Return at most eleven ticks at equal distances from the lowest whole number on, as for epochs."""
    return list(range(low, high + 1, max(1, ceil((high - low) / 10))))
