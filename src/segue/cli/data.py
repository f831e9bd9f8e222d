"""`segue data`: statistics of a log before and after each step of its preparation."""

from collections.abc import Sequence
from typing import Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import terminal


@options.with_log_options
def data(
    log: options.Log,
    protocol: options.Protocol = None,
    settings: options.ProtocolSettings = None,
    as_json: options.AsJson = False,
    *,
    log_options: dict[str, Any],
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

    source = {"log": log, **log_options}
    config, dataset = options.read_data(source, protocol, settings)
    statistics, findings = dataset.statistics(), segue.lint(dataset)
    if as_json:
        shown = {"protocol": dataset.describe(), "data": statistics, "notes": dataset.notes}
        typer.echo(dumps({**shown, "findings": [finding.model_dump() for finding in findings]}))
        return
    show_remarks(dataset, findings)
    typer.echo(title(config.log_name, len(dataset.test), dataset.describe()))
    console = terminal()
    for table in statistics_tables(statistics["stages"], console.width):
        console.print(table)
    for stage in statistics["stages"]:
        if stage["dropped"]:
            typer.echo(f"{stage['step']}, {stage['part']}: dropped {stage['why']}")


def show_remarks(dataset: "segue.Dataset", findings: Sequence["segue.Finding"]) -> None:
    """Print notes on the preparation of a log, and findings of the linter."""
    for note in dataset.notes:
        typer.echo(f"· {note}")
    for finding in findings:
        typer.echo(f"! {finding}")
