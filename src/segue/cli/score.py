"""`segue score`: the best items of every session of a log or a prepared data set, as Parquet files."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli import engines, options
from segue.cli.terminal import echo


@options.with_log_options
def score(
    artifact: options.ModelFolder,
    log: options.Log,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    k: Annotated[
        int | None,
        typer.Option("-k", "--k", help="Number of items of a session; by default 20, or all that the model knows."),
    ] = None,
    exclude_seen: Annotated[bool, typer.Option("--exclude-seen", help="Exclude items of the session.")] = False,
    overwrite: options.Overwrite = False,
    memory: Annotated[
        str | None, typer.Option(help="Memory of a process, about: 8GB; 2GB by default. It changes no result.")
    ] = None,
    engine: engines.EngineName = None,
    *,
    log_options: dict[str, Any],
) -> None:
    """List the best next items of every session of a log, or of the training sessions of a prepared data set.

    The columns are session, rank, item and score. A command that was killed continues where it was.

    Examples:
    segue score production clicks.csv --out scores
    segue score production year.parquet --out scores --k 50 --memory 4GB --engine ray
    segue score runs/clicks-1/sasrec prepared/clicks --out scores
    """
    from segue.cli.evaluate import as_prepared
    from segue.experiment.batch_scoring import Lists, score_data, score_log
    from segue.experiment.config import load_config
    from segue.experiment.prepared_data import source_files, stage_log, with_prepared
    from segue.experiment.training_facts import reading_of
    from segue.manifest import SCORES
    from segue.models.recommendation import list_length
    from segue.protocols.dataset import dataset_at
    from segue.storage.claims import absolute

    address, size = engines.check_engine(engine), engines.check_memory(memory)
    model = segue.load(options.model_folder(artifact))
    length = list_length(k, model.vocabulary, 20, "--k")
    config, data = with_prepared(load_config(None, {"log": log, **log_options}))
    lists = Lists(absolute(artifact), _mark(artifact / "manifest.json"), length, exclude_seen)
    folder = dataset_at(log)
    if data is not None:
        as_prepared(data, model, data.protocol, log, whole=False)
    source = _mark(absolute(folder) / "dataset.json") if folder else source_files(config)
    identity = {"config": config.model_dump(mode="json"), "memory": size, "files": source, "k": length}
    identity |= {"model": lists.mark, "exclude_seen": exclude_seen}
    check = partial(SCORES.check_target, out, "--out", overwrite=overwrite)
    with engines.engine_for("segue score", out, check, identity, address, size) as runner:
        if folder is not None:
            scored = score_data(absolute(folder), str(source), lists, out, runner)
        else:
            scored = score_log(stage_log(config, runner, size, reading_of(artifact)), lists, out, runner, memory=size)
    echo(f"Wrote {out}: {scored.rows:,} items for {scored.sessions:,} sessions. To read it:")
    echo(f'  polars.read_parquet("{out}/*.parquet")')


def _mark(manifest: Path) -> str:
    """Return the identity of a folder, by its manifest, which lists the checksums of all other files."""
    from hashlib import sha256

    return sha256(manifest.read_bytes()).hexdigest()
