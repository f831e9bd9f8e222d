"""`segue doctor`: a checklist for a finished run."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from segue.cli import options
from segue.cli.terminal import terminal


def doctor(
    run: Annotated[Path, typer.Argument(help="Folder of a run that has ended, or its results.json.")],
    as_json: options.AsJson = False,
) -> None:
    """Check a finished run for common mistakes, each with a verdict and an explanation to read.

    Verdicts: ok, look (something to check) or cannot tell (the folder does not hold what the rule needs). Nothing is
    trained again.

    Examples:
    segue doctor runs/clicks-1
    segue doctor runs/clicks-1 --json
    """
    from segue.doctor.checklist import examine
    from segue.strict_json import dumps

    verdicts = examine(run)
    if as_json:
        typer.echo(dumps({"run": str(run), "verdicts": [one.model_dump(mode="json") for one in verdicts]}))
        return
    from segue.cli.tables import verdict_table

    console, counts = terminal(), Counter(one.status for one in verdicts)
    console.print(verdict_table(verdicts))
    console.print(f"{counts['look']} to look at, {counts['ok']} ok, {counts['cannot tell']} cannot tell")
