"""Options of all commands that read a log."""

from typing import Annotated

import typer

import segue
from segue.experiment.recipe import parse_assignments

Log = Annotated[str, typer.Argument(help="File or folder of the log, or the name of one in $SEGUE_DATA.")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the log, if it is not recognised.")]
Columns = Annotated[list[str] | None, typer.Option("--columns", help="Column names: session=sid,item=iid,time=ts.")]


def read_log(log: str, log_format: str | None, columns: list[str] | None) -> segue.Events:
    """Read the log that the options name."""
    return segue.read(log, format=log_format, columns=parse_assignments("--columns", columns or []))
