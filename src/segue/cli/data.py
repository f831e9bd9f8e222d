"""`segue data`: what is in a log, before and after each step of its preparation."""

from collections.abc import Sequence
from typing import Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Items, Log, log_options, read_data
from segue.cli.terminal import terminal


def data(
    log: Log,
    protocol: Annotated[str | None, typer.Option(help="Protocol; picked from the kind of log if not given.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter: protocol.cleaning.k_core=5.")
    ] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    r"""Show the statistics of a log before and after each step of its preparation.

    Examples:
    segue data clicks.csv
    segue data ratings.inter --protocol leave-one-out \
        --set protocol.cleaning.k_core=10
    segue data clicks.parquet --columns session=sid,item=iid,time=ts --json
    segue data prepared/clicks
    """
    from segue.cli.tables import statistics_tables, title
    from segue.strict_json import dumps

    options = {**log_options(log, log_format, columns, items), "protocol": protocol}
    recipe, dataset = read_data(options, settings)
    statistics, findings = dataset.statistics(), segue.lint(dataset)
    if as_json:
        said = [finding.model_dump() for finding in findings]
        typer.echo(
            dumps({"protocol": dataset.describe(), "data": statistics, "notes": dataset.notes, "findings": said})
        )
        return
    show_remarks(dataset, findings)
    typer.echo(title(recipe.log_name, len(dataset.test), dataset.describe()))
    console = terminal()
    for table in statistics_tables(statistics["stages"], console.width):
        console.print(table)
    for stage in statistics["stages"]:
        if stage["dropped"]:
            typer.echo(f"{stage['step']}, {stage['part']}: dropped {stage['why']}")


def show_remarks(dataset: "segue.Dataset", findings: Sequence["segue.Finding"]) -> None:
    """Print what was decided while the log was prepared, and what the linter found in it."""
    for note in dataset.notes:
        typer.echo(f"· {note}")
    for finding in findings:
        typer.echo(f"! {finding}")
