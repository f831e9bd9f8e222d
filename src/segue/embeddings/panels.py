"""One panel of a picture each: items, the key to their colours, and principal components."""

from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from segue.embeddings.cloud import Cloud
from segue.embeddings.colours import GREY, HUES, Categories, Colours, Numbers
from segue.embeddings.extra import library
from segue.embeddings.maps import Map
from segue.embeddings.variance import POPULARITY, Variance

INK, PALE, ALARM = "#222222", "#767676", "#B03A00"
"""Colours of text, of what is beside the point, and of what is to be noticed; all readable on white."""

SHAPES = ("o", "^")
_COLOURED = "#0072B2"
_FEW = 20
"""Components that are drawn one by one."""
_DARK_ENOUGH = 0.93
"""Share of viridis that can be seen on white."""
_RASTER = 5_000
"""Items above which an SVG holds them as one picture instead of a shape each."""


def items_panel(axes: Any, drawn: Map, colours: Colours) -> Any:
    """Draw the items; return what a colour bar is made of, None for categories."""
    size = float(np.clip(14_000 / len(drawn.points), 1.5, 26))
    style = {"s": size, "linewidths": 0, "rasterized": len(drawn.points) > _RASTER}
    painted = None
    if isinstance(colours, Numbers):
        painted = _paint_numbers(axes, drawn, colours, style)
    else:
        _paint_categories(axes, drawn, colours, style)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(drawn.title, fontsize=10, color=INK)
    axes.set_xlabel(drawn.axes[0], fontsize=9, color=INK)
    axes.set_ylabel(drawn.axes[1], fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=PALE)
    if not any(drawn.axes):  # The coordinates of t-SNE and UMAP mean nothing.
        axes.set_xticks([])
        axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#D0D0D0")
    return painted


def _paint_numbers(axes: Any, drawn: Map, colours: Numbers, style: dict[str, Any]) -> Any:
    norms = library("matplotlib.colors")
    known = np.isfinite(colours.values)
    axes.scatter(*drawn.points[~known].T, color=GREY, **style)
    values = colours.values[known]
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1
    norm = norms.LogNorm(low, high) if colours.logarithmic else norms.Normalize(low, high)
    order = np.argsort(values, kind="stable")  # The high ones on top.
    return axes.scatter(*drawn.points[known][order].T, c=values[order], norm=norm, cmap=_viridis(), alpha=0.9, **style)


def _viridis() -> Any:
    """Return viridis without its end, which is too pale on white."""
    colours = library("matplotlib").colormaps["viridis"](np.linspace(0, _DARK_ENOUGH, 256))
    return library("matplotlib.colors").ListedColormap(colours)


def _paint_categories(axes: Any, drawn: Map, colours: Categories, style: dict[str, Any]) -> None:
    codes = colours.codes
    for code in range(len(colours.shown) + 1, -1, -1):  # The grey ones below, the most frequent category on top.
        hue, shape = look_of(code, colours)
        axes.scatter(*drawn.points[codes == code].T, color=hue, marker=shape, alpha=0.85, **style)


def look_of(code: int, colours: Categories) -> tuple[str, str]:
    """Return hue and shape of a category; the other ones and those not known are grey."""
    if code >= len(colours.shown):
        return GREY, SHAPES[0]
    return HUES[code % len(HUES)], SHAPES[code // len(HUES)]


def mark(axes: Any, drawn: Map, cloud: Cloud, asked: pl.DataFrame) -> None:
    """Put a ring around an item and smaller ones around its neighbours, if they are drawn."""
    rows = _rows(cloud, asked["item"])
    for chosen, size, width in ((rows[1:], 55, 0.8), (rows[:1], 150, 1.8)):
        points = drawn.points[chosen[chosen >= 0]]
        axes.scatter(*points.T, s=size, facecolors="none", edgecolors=INK, linewidths=width)


def _rows(cloud: Cloud, items: pl.Series) -> Int64[np.ndarray, "n"]:
    """Return where items are in the cloud, -1 for those that are not drawn."""
    numbered = cloud.items.select("item").with_row_index("row")
    found = pl.DataFrame({"item": items}).join(numbered, on="item", how="left", maintain_order="left")
    return found["row"].cast(pl.Int64).fill_null(-1).to_numpy()


def cumulative_panel(axes: Any, variance: Variance) -> None:
    """Draw how much of the variance the first components hold together."""
    half, places = variance.components_for(0.5), np.arange(1, len(variance.shares) + 1)
    axes.plot(places, variance.cumulative, color=_COLOURED, linewidth=1.8)
    axes.plot([0, half, half], [variance.cumulative[half - 1]] * 2 + [0], color=PALE, linewidth=0.9, linestyle=":")
    axes.plot(half, variance.cumulative[half - 1], "o", color=_COLOURED, markersize=5)
    axes.annotate(
        f"half with {half}", (half, variance.cumulative[half - 1]), xytext=(8, -4), textcoords="offset points",
        fontsize=8.5, color=INK, va="top",
    )  # fmt: skip
    axes.set(xlim=(0, len(places) + 0.5), ylim=(0, 1.02))
    _finish(axes, "Variance explained, cumulative", percent=True)


def shares_panel(axes: Any, variance: Variance) -> None:
    """Draw how much of the variance each component holds; those that are popularity in another colour."""
    places = np.arange(1, len(variance.shares) + 1)
    hues = [ALARM if component in variance.flagged else _COLOURED for component in range(len(places))]
    axes.bar(places, variance.shares, color=hues, width=0.85)
    axes.set_xlim(0.3, len(places) + 0.7)
    title = "Variance explained by each component"
    _finish(axes, f"{title} (red: popularity)" if variance.flagged else title, percent=True)


def correlations_panel(axes: Any, variance: Variance) -> None:
    """Draw how much the first components go with popularity."""
    values = variance.correlations[:_FEW]
    hues = [ALARM if abs(value) > POPULARITY else _COLOURED for value in values]
    axes.bar(np.arange(1, len(values) + 1), values, color=hues, width=0.75)
    axes.axhline(0, color=PALE, linewidth=0.8)
    for bound in (-POPULARITY, POPULARITY):
        axes.axhline(bound, color=ALARM, linewidth=0.9, linestyle="--")
    axes.set(ylim=(-1, 1), xlim=(0.3, len(values) + 0.7))
    _finish(axes, "Rank correlation with popularity", percent=False)


def _finish(axes: Any, title: str, *, percent: bool) -> None:
    ticker = library("matplotlib.ticker")
    axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    axes.set_xlabel("component", fontsize=9, color=INK)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
    if percent:
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=None))
    axes.tick_params(labelsize=8, colors=PALE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#B0B0B0")
