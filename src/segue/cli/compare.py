"""`segue compare`: compare the models of several runs, with tests of significance."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

import segue
from segue.cli import options
from segue.cli.terminal import VisibleTable, echo, echo_json, terminal

if TYPE_CHECKING:
    from segue.experiment.comparison.compare import ComparisonRow

_ABOUT = (
    "To best: paired difference from the best model with its 95% bootstrap interval; p of a paired permutation test "
    "over sessions, corrected (Holm) for all pairs of models that could have been compared; sig.: p < .05."
)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, or of models in them.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Metrics, separated by commas; default: the headline metrics.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also show runs of different protocols, without tests across them.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Markdown file to write the table to.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare the models of one or several runs in one table, with tests of significance.

    Runs that differ only in their seed are one row.

    Examples:
    segue compare runs/clicks-1
    segue compare runs/a/gru4rec runs/b/gru4rec runs/c --metric mrr@20
    """
    from segue.storage import check_file, write_text

    if out is not None:
        check_file(out)
    found = segue.compare(*runs, metrics=options.split_names(metric or []), force=force)
    if out is not None:
        write_text(out, _markdown(found))
    if as_json:
        echo_json(found.model_dump(mode="json"))
        return
    show_comparison(found)
    if out is not None:
        echo()
        echo(f"Wrote {out}.")


def show_comparison(found: "segue.Comparison") -> None:
    """Print the table, and the significant differences in words."""
    echo(_title(found))
    terminal().print(_table(found))
    echo()
    for line in found.lines:
        echo(line)
    echo()
    terminal().print(Text(_ABOUT, style="dim"))


def _title(found: "segue.Comparison") -> str:
    from segue.cli.tables import title

    hashes = found.hashes
    if len(hashes) == 1:
        return title(found.log, found.cases, found.protocol)
    return f"! {len(hashes)} protocols or logs: metrics with different hashes are not comparable"


def _table(found: "segue.Comparison") -> Table:
    """Show one part per metric and hash, the best first."""
    head, parts = _cells(found)
    table = VisibleTable(header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=place == 0)
    for name, rows in parts:
        table.add_row(Text(name, style="bold"))
        for row in rows:
            table.add_row(*row)
        table.add_section()
    return table


def _markdown(found: "segue.Comparison") -> str:
    from segue import markdown

    head, parts = _cells(found)
    lines = [f"# {markdown.escaped(_title(found))}\n"]
    for name, rows in parts:
        cells = [[markdown.escaped(label), *values] for label, *values in rows]
        lines += markdown.section(markdown.escaped(name), markdown.table(head, cells))
    lines += [*(f"- {markdown.escaped(line)}" for line in found.lines), "", _ABOUT]
    return "\n".join(lines) + "\n"


def _cells(found: "segue.Comparison") -> tuple[list[str], list[tuple[str, list[list[str]]]]]:
    """Return the head, and the rows of each metric and hash below their name."""
    from segue.cli.tables import headed

    several, decimals = len(found.hashes) > 1, int(found.protocol.get("decimals", 4))
    seeded = any(len(row.seeds) > 1 for row in found.rows)
    head = ["model", *["seeds"] * seeded, *["hash"] * several, "value", "95% interval", "to best", "95% interval"]
    parts: dict[str, list[list[str]]] = {}
    for row in found.rows:
        metric = headed(row.metric)
        name = f"{metric}, protocol {row.hash}" if several else metric
        labels = [row.label, *[str(len(row.seeds))] * seeded, *[row.hash] * several]
        parts.setdefault(name, []).append([*labels, *_values(row, decimals)])
    return [*head, "p", "sig."], list(parts.items())


def _values(row: "ComparisonRow", decimals: int) -> Iterator[str]:
    spread = "" if row.deviation is None else f" ±{row.deviation:.{decimals}f}"
    yield f"{row.value:.{decimals}f}{spread}"
    yield "-" if row.interval is None else _between(*row.interval, f".{decimals}f")
    behind = row.to_best
    if behind is None:
        yield from "----"
        return
    # Seen from the model of the row: how far it is from the best one.
    low, high = behind.interval
    yield f"{0.0 - behind.difference:+.{decimals}f}"
    yield _between(0.0 - high, 0.0 - low, f"+.{decimals}f")
    yield "<0.001" if behind.adjusted < 0.001 else f"{behind.adjusted:.3f}"
    yield "yes" if behind.significant else "no"


def _between(low: float, high: float, form: str) -> str:
    return f"[{low:{form}}, {high:{form}}]"
