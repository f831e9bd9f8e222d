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

    from segue.cli.data import show_remarks
    from segue.cli.tables import title
    from segue.manifest import DATASET
    from segue.protocols.dataset import dataset_at

    if dataset_at(log) is not None:
        raise ParameterError(f"LOG: must be a log, got the prepared data set {log}; use it directly, or name the log")
    if out.exists() and not out.is_dir():
        raise ParameterError(f"--out: must be a folder, and {out} is a file; choose another name")
    if DATASET.is_without_manifest(out):
        raise ParameterError(
            f"--out: {out} is a prepared data set whose {DATASET.file} is missing; remove it, or choose another folder"
        )
    if out.exists() and any(out.iterdir()) and not DATASET.is_at(out):
        raise ParameterError(f"--out: {out} contains other files; choose another folder")
    if DATASET.is_at(out) and not overwrite:
        raise ParameterError(
            f"--out: {out} already contains a data set; add --overwrite to replace it, or choose another folder"
        )
    source = {"log": log, **log_options}
    with interruptible("nothing was written"):
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
