"""`segue fit`: train a model for production on everything."""

from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Items, PlainLog, Precision, log_options, model_folder
from segue.cli.terminal import interruptible, program
from segue.errors import ParameterError


def fit(
    log: PlainLog,
    like: Annotated[Path | None, typer.Option(help="Folder of a model that a run tested: trains one like it.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of `segue run` that names one model, or best.yaml of a search.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter: sasrec.training.epochs=12, protocol.cleaning.last_days=90."),
    ] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of every random draw; that of the run if left out.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; runs/NAME-MODEL-1, -2, ... if not given.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another model in the same folder.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    precision: Precision = None,
) -> None:
    """Train a tested configuration on a whole log, for production: nothing is held out.

    Examples:
    segue fit clicks.csv --like runs/clicks-1/sasrec --out production
    segue fit clicks.csv --like production --out production --overwrite
    segue fit clicks.csv --config tuned/best.yaml --seed 7
    """
    from segue.artifact import Artifact
    from segue.experiment.folder import next_folder
    from segue.experiment.production import check_log, check_target
    from segue.experiment.recipe import load_recipe, parse_settings, read_log
    from segue.progress import progress_for
    from segue.training.runtime import Runtime

    if (like is None) == (config is None):
        given = "neither" if like is None else "both"
        raise ParameterError(f"--like or --config: give one of them, got {given}: a model of a run, or a YAML file")
    changes = parse_settings(settings or [])
    recipe = load_recipe(
        config,
        {
            **log_options(log, log_format, columns, items),
            "device": device,
            "precision": precision,
        },
    )
    model = ",".join(recipe.models) if like is None else Artifact.read(model_folder(like)).model
    folder = out or next_folder(f"{recipe.log_name}-{model}")
    check_target(folder, overwrite=overwrite)
    check_log(log)
    runtime = Runtime(device=recipe.device, precision=recipe.precision, progress=progress_for())
    runtime.check()
    with interruptible("nothing was written"):
        segue.fit(
            read_log(recipe),
            like=like or recipe,
            out=folder,
            settings=changes,
            seed=seed,
            runtime=runtime,
            overwrite=overwrite,
            log_name=recipe.log_name,
        )
    _show(folder)


def _show(folder: Path) -> None:
    """Print what the manifest says of the model."""
    from segue.artifact import Artifact

    artifact = Artifact.read(folder)
    data = artifact.about["data"]
    typer.echo(
        f"{artifact.model}: trained on everything, {data['events']:,} events of {data['sessions']:,} sessions on "
        f"{data['items']:,} items" + (f", until {data['last_time']}" if data["last_time"] else "")
    )
    for stage, one in artifact.about["epochs"].items():
        typer.echo(f"{stage}: {one['epochs']} epochs ({one['why']})")
    typer.echo(f"Wrote {folder}. Ask it: {program()} recommend {folder} --items ...")
