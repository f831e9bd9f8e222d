"""`segue data`: statistics of a log before and after each step of its preparation."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo, echo_json, terminal
from segue.errors import ParameterError


@options.with_log_options
def data(
    log: options.Log,
    protocol: options.Protocol = None,
    settings: options.ProtocolSettings = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Only the sizes: train, test, and the most recent 1/64 and 1/4 of train.")
    ] = False,
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
    segue data yoochoose-clicks.dat --summary
    """
    from segue.cli.tables import statistics_tables, title

    source = {"log": log, **log_options}
    if summary:
        _summarise(source, protocol, settings, as_json=as_json)
        return
    config, dataset = options.read_data(source, protocol, settings)
    statistics, findings = dataset.statistics(), segue.lint(dataset)
    if as_json:
        shown = {"protocol": dataset.describe(), "data": statistics, "notes": dataset.notes}
        echo_json({**shown, "findings": [finding.model_dump() for finding in findings]})
        return
    show_remarks(dataset, findings)
    echo(title(config.log_name, len(dataset.test), dataset.describe()))
    console = terminal()
    for table in statistics_tables(statistics["stages"], console.width):
        console.print(table)
    for stage in statistics["stages"]:
        if stage["dropped"]:
            echo(f"{stage['step']}, {stage['part']}: dropped {stage['why']}")


def _summarise(source: Mapping[str, Any], protocol: str | None, settings: list[str] | None, *, as_json: bool) -> None:
    """Print the sizes of a log, and of the most recent shares of its training part."""
    from segue.cli.tables import part_table, share_table
    from segue.experiment.config import PROTOCOL
    from segue.experiment.prepared_data import read_log
    from segue.protocols.dataset import dataset_at
    from segue.protocols.summary import summarise

    if dataset_at(source["log"]) is not None:
        raise ParameterError(
            f"--summary: cuts the log anew, and {source['log']} is prepared already; name the log, or leave --summary "
            "out"
        )
    config = options.log_config(source, protocol, settings)
    found = summarise(read_log(config), config.protocol, config.set.get(PROTOCOL, {}))
    if as_json:
        echo_json({"log": config.log_name, **found.to_dict()})
        return
    for note in found.notes:
        echo(f"· {note}")
    echo(f"{config.log_name}  ·  {found.protocol}")
    console = terminal()
    console.print(part_table({"train": found.train, "test, after filtering": found.test}))
    if found.shares:
        console.print(share_table(found.shares))
    for share, problem in found.problems.items():
        echo(f"! {share}: {problem}")
    if found.holds_out_validation:
        echo("Train includes the part that a run of this protocol holds out for validation.")


def show_remarks(dataset: "segue.Dataset", findings: Sequence["segue.Finding"]) -> None:
    """Print notes on the preparation of a log, and findings of the linter."""
    for note in dataset.notes:
        echo(f"· {note}")
    for finding in findings:
        echo(f"! {finding}")
