"""`segue experiment`: what an experiment on live traffic has shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli import options
from segue.cli.terminal import echo, echo_json, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.online.analysis import Analysis

_KINDS = (".md", ".json", ".png", ".svg")


def experiment(
    state: Annotated[Path, typer.Argument(metavar="DIR", help="State folder of the service.")],
    name: Annotated[str | None, typer.Option(help="Name of the experiment; by default the last one.")] = None,
    conversion: Annotated[
        list[str] | None, typer.Option(help="Type of events that are conversions; repeat for more.")
    ] = None,
    click: Annotated[
        list[str] | None,
        typer.Option(help="Type of events that are clicks; repeat for more. By default all but conversions."),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--slice", help="Column of the context of events to slice by; repeat for more.")
    ] = None,
    window: Annotated[
        float, typer.Option(help="Minutes after a list in which an event without recommendation_id can be its click.")
    ] = 30.0,
    bot_rate: Annotated[
        int, typer.Option(help="Events and lists within a minute above which a session is a bot.", min=1)
    ] = 60,
    every_list: Annotated[
        bool, typer.Option("--every-list", help="Also count lists that the site did not report as seen.")
    ] = False,
    out: Annotated[
        list[Path] | None, typer.Option(help="File to write: .md, .json, .png or .svg; repeat for more.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Report hit and conversion rates of the arms of an experiment on live traffic.

    The intervals "at any time" are valid whenever you look. The service writes its journal every
    --journal-seconds and when it stops.

    Examples:
    segue experiment segue-state
    segue experiment segue-state --conversion purchase --slice device --out report.md --out report.png
    """
    from segue.charts import write_chart
    from segue.online.analysis import analyse
    from segue.online.outcomes import Choice, read_record
    from segue.online.report import as_dict, as_markdown, chart
    from segue.storage import check_file, write_text
    from segue.strict_json import dumps

    for file in out or ():
        if file.suffix.lower() not in _KINDS:
            raise ParameterError(f"--out: must end in {', '.join(_KINDS)}, got '{file}'")
        check_file(file)
    if window <= 0:
        raise ParameterError(f"--window: must be greater than 0, got {window:g}")
    types = tuple(options.split_names(conversion or [])) or ("purchase",)
    clicks, slices = (tuple(options.split_names(one or [])) for one in (click, columns))
    choice = Choice(name, types, clicks, window, bot_rate, every_list, slices)
    found = analyse(read_record(state, choice), choice)
    for file in out or ():
        if file.suffix.lower() in (".png", ".svg"):
            write_chart(chart(found), file)
        else:
            write_text(file, as_markdown(found) if file.suffix.lower() == ".md" else dumps(as_dict(found)) + "\n")
    if as_json:
        echo_json(as_dict(found))
        return
    _show(found)
    for file in out or ():
        echo(f"Wrote {file}.")


def _show(found: "Analysis") -> None:
    """Print verdicts and warnings, the arms, the differences, and what was left out."""
    from rich.table import Column

    from segue.cli.tables import plain_table
    from segue.online import report

    for line in report.verdicts(found):
        echo(line)
    for line in report.warnings(found):
        echo(f"! {line}")
    echo()
    if not found.is_broken:
        parts = [report.arm_cells(found), report.difference_cells(found.totals)]
        parts += [report.difference_cells(found.slices, first="slice")] if found.slices else []
        for head, rows in parts:
            first, *others = head
            table = plain_table(Column(first, no_wrap=True), *(Column(one, justify="right") for one in others))
            for row in rows:
                table.add_row(*row)
            terminal().print(table)
            echo()
        echo(report.ABOUT)
    if lines := report.left_out(found):
        echo(f"left out: {'; '.join(lines)}")
