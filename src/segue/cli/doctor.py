"""`segue doctor`: a checklist for a finished run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli import options
from segue.cli.terminal import echo_json, terminal

if TYPE_CHECKING:
    from rich.table import Table

    from segue.doctor.verdict import Verdict


def doctor(
    run: Annotated[Path, typer.Argument(help="Folder of a run that has ended, or its results.json.")],
    as_json: options.AsJson = False,
) -> None:
    """Check a finished run for common mistakes, each with a verdict and an explanation to read.

    Verdicts: ok, look (something to check) or cannot tell (the folder lacks what the rule needs). Nothing is
    trained again.

    Examples:
    segue doctor runs/clicks-1
    segue doctor runs/clicks-1 --json
    """
    from segue.doctor.checklist import examine

    verdicts = examine(run)
    if as_json:
        echo_json({"run": str(run), "verdicts": [one.model_dump(mode="json") for one in verdicts]})
        return
    console, counts = terminal(), Counter(one.status for one in verdicts)
    console.print(_verdict_table(verdicts))
    console.print(f"{counts['look']} to look at, {counts['ok']} ok, {counts['cannot tell']} cannot tell")


def _verdict_table(verdicts: "Sequence[Verdict]") -> "Table":
    """Show a checklist: verdict, rule, what was found and, unless all is well, what explains it."""
    from rich.table import Column
    from rich.text import Text

    from segue.cli.tables import plain_table
    from segue.printable import one_line

    styles = {"ok": "green", "look": "bold yellow", "cannot tell": "dim"}
    table = plain_table(Column("verdict", no_wrap=True), Column("rule", no_wrap=True), "what was found")
    for one in verdicts:
        found = Text("\n".join(map(one_line, one.found)))
        if one.status != "ok":
            found.append(f"\nsegue explain {one.topic}", style="dim")
        table.add_row(Text(one.status, style=styles[one.status]), one.rule, found)
    return table
