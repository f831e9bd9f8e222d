"""`segue prepare`: clean, split and encode a log once, for any number of runs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import engines, options
from segue.cli.terminal import echo, interruptible, program
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.experiment.config import RunConfig


@options.with_log_options
def prepare(
    log: options.PlainLog,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    protocol: options.Protocol = None,
    settings: options.ProtocolSettings = None,
    overwrite: options.Overwrite = False,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Prepare the log on disk, in about this much memory per process, such as 8GB; for logs that do not "
            "fit in memory. The result is the same. With --engine 2GB by default."
        ),
    ] = None,
    engine: engines.EngineName = None,
    *,
    log_options: dict[str, Any],
) -> None:
    """Prepare a log once and save the data set, which other commands accept in place of the log.

    These commands are run, tune, evaluate, distill and data.

    Examples:
    segue prepare clicks.csv --out prepared/clicks
    segue prepare ratings.inter --protocol leave-one-out --out prepared/ratings
    segue run prepared/clicks --model gru4rec
    segue prepare year.csv --out prepared/year --memory 8GB
    segue prepare year.csv --out prepared/year --memory 4GB --engine ray
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
    address = engines.check_engine(engine)
    if memory is not None or engine is not None:
        config = options.log_config(source, protocol, settings)
        _prepare_in_parts(config, out, engines.check_memory(memory), address, check)
        return
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


def _prepare_in_parts(
    config: "RunConfig", out: Path, memory: int, address: str | None, check: Callable[[], None]
) -> None:
    """Prepare a log of any size; a command that was killed continues where it was."""
    from segue.cli.tables import title
    from segue.experiment.prepared_data import prepare_log_to, source_files

    identity = {"config": config.model_dump(mode="json"), "memory": memory, "files": source_files(config)}
    with engines.engine_for("segue prepare", out, check, identity, address, memory) as engine:
        prepared = prepare_log_to(config, out, engine, memory)
    for note in prepared.notes:
        echo(note)
    described = {"hash": prepared.hash, **prepared.protocol.model_dump(mode="json")}
    echo(title(config.log_name, prepared.test_cases, described))
    echo(
        f"Saved the data set to {out}: {prepared.train_events:,} training events in {prepared.train_sessions:,} "
        f"sessions on {prepared.n_items:,} items."
    )
    echo(f"To check it for leaks: {program()} data {out}")
    echo(f"To train on it: {program()} run {out}")
