"""Pictures for files: PNG and SVG by matplotlib, without a display and without its global state."""

import math
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segue.embeddings.colours import Categories, Colours, Numbers
from segue.embeddings.extra import library
from segue.embeddings.look import Look
from segue.embeddings.panels import (
    ALARM,
    INK,
    PALE,
    correlations_panel,
    cumulative_panel,
    items_panel,
    look_of,
    mark,
    shares_panel,
)
from segue.storage import replacing_file

_MARGIN, _LINE = 0.38, 0.18
"""Inches around everything, and of a line of small text."""
_CHARACTERS = 135
"""Characters of text per inch, times its size."""
_TEXT, _SMALL = 9.0, 8.5
"""Sizes of text, in points."""
_DPI = 130

_TITLES = {"pca": "principal components", "tsne": "t-SNE", "umap": "UMAP", "spectrum": "variance of the components"}

_SIDES = {1: 6.2, 2: 4.7, 3: 3.6, 4: 3.0}
"""Inches of each panel beside so many."""
_GAP = 0.2


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, in inches from its left and upper edge."""

    left: float
    top: float
    width: float
    height: float


def _boxes(kind: str, panels: int) -> tuple[list[Box], float]:
    """Return where the panels are below the heading, and the height of what stands below them on an axis."""
    if kind == "spectrum":
        return [Box(0.4, 0.25, 4.2, 3.1), Box(5.4, 0.25, 4.2, 3.1)], 0.5
    if kind == "pca":
        return [Box(0.5, 0, 5.4, 5.4), Box(6.75, 0.25, 3.0, 2.0), Box(6.75, 3.15, 3.0, 2.25)], 0.5
    side = _SIDES[panels]
    top = 0.25 if kind == "tsne" else 0.0
    return [Box(number * (side + _GAP), top, side, side) for number in range(panels)], 0.0


def write_picture(insight: Look, path: Path) -> None:
    """Write the picture, whole or not at all; the same insight gives the same file.

    Raises:
        MissingExtraError: matplotlib is not installed.
        StorageError: the write failed.
    """
    figure = draw(insight)
    with replacing_file(path) as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # A name in a script that the font does not have.
        if path.suffix.lower() == ".svg":
            _save_svg(figure, scratch)
        else:
            _save_png(figure, scratch)


def _save_svg(figure: Any, path: Path) -> None:
    """Save a figure with nothing in it that depends on the moment."""
    with library("matplotlib").rc_context({"svg.hashsalt": "segue"}):
        figure.savefig(path, format="svg", dpi=_DPI, metadata={"Date": None})


def _save_png(figure: Any, path: Path) -> None:
    """Save a figure with a palette of 256 colours, which nobody sees and which takes a third of the space."""
    image = library("PIL.Image")
    figure.set_dpi(_DPI)
    figure.canvas.draw()
    pixels = image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    palette = pixels.quantize(256, method=image.Quantize.MEDIANCUT, kmeans=2, dither=image.Dither.NONE)
    palette.save(path, format="PNG", optimize=True, dpi=(_DPI, _DPI))


def draw(insight: Look) -> Any:
    """Return the figure: heading, panels, key to the colours, what may be read, warnings."""
    boxes, below = _boxes(insight.options.kind, len(insight.maps))
    width = max(box.left + box.width for box in boxes) + 2 * _MARGIN
    panels = max(box.top + box.height for box in boxes) + below
    head, (foot, warned) = _wrapped(insight.facts(), width, _TEXT), _foot(insight, width)
    top = _MARGIN + 0.3 + _LINE * len(head) + 0.15
    columns, rows = _legend_grid(insight.colours, width)
    key = _key_height(insight, rows)
    height = top + panels + key + _LINE * len(foot + warned) + _MARGIN
    figure = library("matplotlib.figure").Figure(figsize=(width, height), facecolor="white")
    library("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    _write(figure, [_title(insight)], 0.3, size=12.5, weight="bold")
    _write(figure, head, 0.62, size=_TEXT)
    painted = _draw_panels(figure, insight, [_axes(figure, box, top) for box in boxes])
    if insight.maps:
        _draw_key(figure, insight, painted, top + panels + 0.12, columns)
    _write(figure, foot, top + panels + key, size=_SMALL, color=PALE)
    _write(figure, warned, top + panels + key + _LINE * len(foot), size=_SMALL, color=ALARM)
    return figure


def _title(insight: Look) -> str:
    drawn = "" if len(insight.cloud) == insight.total else f" ({len(insight.cloud):,} drawn)"
    return f"{insight.model}  ·  {insight.total:,} items{drawn}  ·  {_TITLES[insight.options.kind]}"


def _foot(insight: Look, width: float) -> tuple[list[str], list[str]]:
    warned = [f"! {warning}" for warning in insight.warnings]
    return _wrapped([insight.caption], width, _SMALL), _wrapped(warned, width, _SMALL)


def _write(figure: Any, lines: list[str], top: float, *, size: float, color: str = INK, weight: str = "normal") -> None:
    """Write lines from the left margin, the first one so many inches below the upper edge."""
    width, height = figure.get_size_inches()
    for number, line in enumerate(lines):
        at = _MARGIN / width, 1 - (top + _LINE * number) / height
        figure.text(*at, line, fontsize=size, fontweight=weight, color=color, va="top", parse_math=False)


def _axes(figure: Any, box: Box, top: float) -> Any:
    width, height = figure.get_size_inches()
    bottom = height - top - box.top - box.height
    return figure.add_axes(((_MARGIN + box.left) / width, bottom / height, box.width / width, box.height / height))


def _draw_panels(figure: Any, insight: Look, axes: list[Any]) -> Any:
    """Draw the panels; return what a colour bar is made of."""
    if insight.options.kind == "spectrum":
        shares_panel(axes[0], insight.variance)
        cumulative_panel(axes[1], insight.variance)
    if insight.options.kind == "pca":
        cumulative_panel(axes[1], insight.variance)
        correlations_panel(axes[2], insight.variance)
    painted = None
    for panel, drawn in zip(axes, insight.maps, strict=False):
        painted = items_panel(panel, drawn, insight.colours)
        if insight.asked is not None:
            mark(panel, drawn, insight.cloud, insight.asked)
    return painted


def _legend_grid(colours: Colours, width: float) -> tuple[int, int]:
    """Return columns and rows of a legend, as even as they can be; none of a colour bar."""
    if isinstance(colours, Numbers):
        return 0, 0
    entries = len(colours.legend)
    rows = math.ceil(entries / max(1, int((width - 2 * _MARGIN) / 1.6)))
    return math.ceil(entries / max(1, rows)), rows


def _key_height(insight: Look, rows: int) -> float:
    if not insight.maps:
        return 0.1
    if isinstance(insight.colours, Numbers):
        return 0.85
    return 0.55 + 0.2 * rows


def _draw_key(figure: Any, insight: Look, painted: Any, top: float, columns: int) -> None:
    """Draw a colour bar or a legend from the left margin."""
    if isinstance(insight.colours, Numbers):
        _draw_bar(_axes(figure, Box(0, 0.22, 3.6, 0.11), top), insight.colours, painted)
        return
    width, height = figure.get_size_inches()
    legend = figure.legend(
        handles=[_entry(code, name, insight.colours) for code, name in enumerate(insight.colours.legend)],
        title=insight.colours.title,
        loc="upper left",
        bbox_to_anchor=(_MARGIN / width, 1 - top / height),
        borderaxespad=0,
        borderpad=0,
        ncols=columns,
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        alignment="left",
        handletextpad=0.2,
        columnspacing=1.2,
    )
    for text in (legend.get_title(), *legend.get_texts()):
        text.set_parse_math(False)
        text.set_color(INK)


def _draw_bar(axes: Any, colours: Numbers, painted: Any) -> None:
    ticker = library("matplotlib.ticker")
    axes.figure.colorbar(painted, cax=axes, orientation="horizontal")
    axes.set_title(colours.title, fontsize=9, color=INK, loc="left", pad=3, parse_math=False)
    axes.tick_params(labelsize=8, colors=INK)
    if colours.logarithmic:
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def _entry(code: int, name: str, colours: Categories) -> Any:
    hue, shape = look_of(code, colours)
    line = library("matplotlib.lines").Line2D
    label = name if len(name) <= 24 else name[:23] + "…"
    return line([], [], marker=shape, color=hue, linestyle="none", markersize=7, label=label)


def _wrapped(texts: list[str], width: float, size: float) -> list[str]:
    characters = int((width - 2 * _MARGIN) * _CHARACTERS / size)
    return [line for text in texts if text for line in textwrap.wrap(text, characters)]
