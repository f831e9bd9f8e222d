"""`segue data`: what is in a log, before and after each step of its preparation."""

from typing import Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Items, Log, read_log
from segue.cli.terminal import terminal
from segue.errors import ParameterError


def data(
    log: Log,
    protocol: Annotated[str | None, typer.Option(help="Protocol; picked from the kind of log if not given.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A parameter: protocol.k_core=5.")] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the statistics of a log before and after each step of its preparation.

    Examples:
    segue data clicks.csv
    segue data ratings.inter --protocol leave-one-out --set protocol.k_core=10
    segue data clicks.parquet --columns session=sid,item=iid,time=ts --json
    """
    from segue.cli.tables import statistics_tables, title
    from segue.experiment.recipe import PROTOCOL, parse_settings
    from segue.strict_json import dumps

    tree = parse_settings(settings or [])
    if others := sorted(tree.keys() - {PROTOCOL}):
        raise ParameterError(
            f"--set: must name parameters of the protocol here, such as protocol.k_core=5, got {', '.join(others)}"
        )
    events, recipe = read_log(log, log_format, columns, items)
    dataset = segue.prepare(events, protocol, **tree.get(PROTOCOL, {}))
    statistics, findings = dataset.statistics(), segue.lint(dataset)
    if as_json:
        said = [finding.model_dump() for finding in findings]
        typer.echo(
            dumps({"protocol": dataset.describe(), "data": statistics, "notes": dataset.notes, "findings": said})
        )
        return
    for note in dataset.notes:
        typer.echo(f"· {note}")
    for finding in findings:
        typer.echo(f"! {finding}")
    typer.echo(title(recipe.log_name, len(dataset.test), dataset.describe()))
    console = terminal()
    for table in statistics_tables(statistics["stages"], console.width):
        console.print(table)
    for stage in statistics["stages"]:
        if stage["dropped"]:
            typer.echo(f"{stage['step']}, {stage['part']}: dropped {stage['why']}")
