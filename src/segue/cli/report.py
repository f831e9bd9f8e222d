"""`segue report`: write the reports of a run again."""

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.terminal import echo


def report(run: Annotated[Path, typer.Argument(help="Folder of a run, or its results.json.")]) -> None:
    """Write report.md and report.html of a run again, from its results.json.

    Examples:
    segue report runs/clicks-1
    segue report runs/clicks-1/results.json
    """
    from segue.experiment.report import write_reports
    from segue.experiment.results import Results
    from segue.experiment.run_folder import PAGE, REPORT, RESULTS

    folder = run.parent if run.name == RESULTS else run
    write_reports(Results.read(folder / RESULTS), folder)
    echo(f"Wrote {folder / REPORT} and {folder / PAGE}.")
