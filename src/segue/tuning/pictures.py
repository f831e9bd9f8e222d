"""Pictures of a search: how it went, and which parameters matter. The colours are told apart without green and red."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segue.storage import replacing_file
from segue.tuning.folder import HISTORY, IMPORTANCE
from segue.tuning.outcome import TrialRow, Tuned

_BLUE, _ORANGE, _GREY, _VERMILION = "#0072B2", "#E69F00", "#7F7F7F", "#D55E00"
"""Okabe and Ito's."""

_SHOWN = 15
"""Parameters in the picture, the most important ones."""


def draw(tuned: Tuned) -> list[Path]:
    """Write the pictures as PNG and SVG into the folder of a search; return the files.

    Raises:
        StorageError: the write failed.
    """
    figures = {HISTORY: history(tuned)}
    if tuned.importance:
        figures[IMPORTANCE] = importance(tuned)
    return [_written(figure, tuned.folder / name) for name, figure in figures.items()]


def history(tuned: Tuned) -> Figure:
    """Draw the value of each trial, and the best one so far."""
    figure, axes = _figure(4.5)
    finished = [row for row in tuned.trials if row.state == "finished"]
    best, step = float("-inf"), []
    for row in finished:
        best = max(best, row.value or 0.0)
        step.append(best)
    numbers = [*(row.number for row in finished), tuned.trials[-1].number]
    axes.step(numbers, [*step, best], where="post", color=_ORANGE, linewidth=2, label="best so far")
    _dots(axes, finished, "o", _BLUE, "finished")
    _dots(axes, [row for row in tuned.trials if row.state == "pruned" and row.value is not None], "x", _GREY, "pruned")
    failed = [row.number for row in tuned.trials if row.state == "failed"]
    if failed:
        low = axes.get_ylim()[0]
        axes.scatter(failed, [low] * len(failed), marker="^", color=_VERMILION, label="failed", clip_on=False, zorder=3)
    axes.annotate(
        f"{tuned.best.value:.4f}", (tuned.best.number, tuned.best.value or 0.0), (0, 6), textcoords="offset points"
    )
    axes.set(xlabel="trial", ylabel=f"{tuned.metric}, validation", title=f"{tuned.config.models[0]}: trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False)
    return figure


def importance(tuned: Tuned) -> Figure:
    """Draw the share of each parameter in what sets good trials apart."""
    shown = list(tuned.importance.items())[:_SHOWN]
    figure, axes = _figure(1.3 + 0.36 * len(shown))
    bars = axes.barh([name for name, _ in shown], [share for _, share in shown], color=_BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in shown], padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, max(share for _, share in shown) * 1.12)
    axes.set(xlabel="importance (PED-ANOVA)", title=f"{tuned.config.models[0]}: what {tuned.metric} depends on")
    axes.xaxis.set_major_formatter("{x:.0%}")
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _dots(axes: Axes, rows: list[TrialRow], marker: str, color: str, label: str) -> None:
    if rows:
        axes.scatter(
            [row.number for row in rows], [row.value or 0.0 for row in rows], marker=marker, color=color, label=label
        )


def _written(figure: Figure, path: Path) -> Path:
    for kind in ("svg", "png"):
        with replacing_file(path.with_name(f"{path.name}.{kind}")) as scratch:
            figure.savefig(scratch, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return path.with_name(f"{path.name}.png")
