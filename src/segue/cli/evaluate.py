"""`segue evaluate`: test an artifact again, on the same log or on another."""

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)
