"""`segue prepare`: clean, split and encode a log once, for any number of runs."""

from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo, interruptible, program
from segue.errors import ParameterError


@options.with_log_options
def prepare(
    log: options.PlainLog,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    protocol: options.Protocol = None,
    settings: options.ProtocolSettings = None,
    overwrite: options.Overwrite = False,
    *,
    log_options: dict[str, Any],
) -> None:
    """Prepare a log once and save the data set, which other commands accept in place of the log.

    These commands are run, tune, evaluate, distill and data.

    Examples:
    segue prepare clicks.csv --out prepared/clicks
    segue prepare ratings.inter --protocol leave-one-out --out prepared/ratings
    segue run prepared/clicks --model gru4rec
    """
    from dataclasses import replace
    from functools import partial

    from segue.cli.data import show_remarks
    from segue.cli.tables import title
    from segue.manifest import DATASET
    from segue.protocols.dataset import dataset_at
    from segue.storage.claims import claimed

    if dataset_at(log) is not None:
        raise ParameterError(f"LOG: must be a log, got the prepared data set {log}; use it directly, or name the log")
    check = partial(DATASET.check_target, out, "--out", overwrite=overwrite)
    source = {"log": log, **log_options}
    with interruptible("nothing was written"), claimed(out, "segue prepare", check, replaced=True):
        config, dataset = options.read_data(source, protocol, settings)
        replace(dataset, log=config.log_name, items=config.items).save(out)
    show_remarks(dataset, segue.lint(dataset))
    echo(title(config.log_name, len(dataset.test), dataset.describe()))
    train = dataset.train
    echo(
        f"Saved the data set to {out}: {len(train.items):,} training events in {len(train):,} sessions on "
        f"{len(dataset.vocabulary):,} items."
    )
    echo(f"To train on it: {program()} run {out}")
