"""`segue update`: add later events to a model for production."""

from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo, interruptible, program
from segue.errors import ParameterError


@options.with_log_options
def update(
    artifact: options.ModelFolder,
    log: options.PlainLog,
    out: Annotated[Path, typer.Option(help="Folder to write; the given model with --overwrite.")],
    history: Annotated[
        str | None,
        typer.Option(
            help="Log that a network was trained on: some of its sessions are learnt again, so as not to forget."
        ),
    ] = None,
    replay: Annotated[
        float | None, typer.Option(help="Sessions of --history to learn again in each epoch, per recent session (2).")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Epochs of a network on the later events, by default as many as it had; half with --history."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Learning rate of a network, by default a share of that of its training."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    overwrite: options.Overwrite = False,
    device: options.Device = None,
    precision: options.Precision = None,
    deterministic: options.Deterministic = None,
    *,
    log_options: dict[str, Any],
) -> None:
    """Add later events to a model that segue fit wrote, without training it from the beginning.

    Examples:
    segue update production monday.csv --out production --overwrite
    segue update production week.csv --out production-2 --history clicks.csv --epochs 2
    """
    from dataclasses import replace

    from segue.artifact import Artifact
    from segue.cli.progress import progress_shown
    from segue.experiment.config import load_config
    from segue.experiment.model_specs import build_runtime
    from segue.experiment.prepared_data import read_log
    from segue.experiment.production import check_log, check_target
    from segue.experiment.training_facts import reading_of
    from segue.experiment.updating import require_production
    from segue.training.config import UpdatePlan
    from segue.validation import OPTION, build

    require_production(artifact, Artifact.facts(options.model_folder(artifact)))
    check_target(out, overwrite=overwrite)
    check_log(log)
    given = {"epochs": epochs, "learning_rate": learning_rate, "replay": replay}
    if replay is not None and history is None:
        raise ParameterError(f"--replay: needs the log to learn again, got {replay:g} without it; add --history LOG")
    changes = {name: value for name, value in given.items() if value is not None}
    plan = build(UpdatePlan, OPTION, parameters=changes) if changes else None
    config = load_config(
        None,
        {"log": log, **log_options, "device": device, "precision": precision, "deterministic": deterministic},
    )
    # The items are new ones; the model has the others.
    earlier = config.model_copy(update={"log": history, "items": None, "item_vectors": None})
    with interruptible("nothing was written"), progress_shown() as progress:
        reading = reading_of(artifact)
        model = segue.update(
            artifact,
            read_log(config, reading),
            out=out,
            plan=plan,
            history=None if history is None else read_log(earlier, reading),
            seed=seed,
            runtime=replace(build_runtime(config), progress=progress),
            overwrite=overwrite,
            log_name=config.log_name,
        )
    _show(model, out)


def _show(model: "segue.Model", out: Path) -> None:
    """Print what was added, from the manifest of the model."""
    from segue.models.recent import UPDATES

    last, data = model.about[UPDATES][-1], model.about["data"]
    span = f", from {last['from']} to {last['to']}" if last["to"] else ""
    echo(
        f"{model.name}: added {last['events']:,} events of {last['sessions']:,} sessions, {last['items']:,} new "
        f"items{span}, in {last['seconds']:.1f} s"
    )
    if last["seen"]:
        echo(f"Left out: {last['seen']:,} events up to the end of the model's training.")
    if last["cleaned"]:
        echo(f"Dropped by the cleaning of its protocol: {last['cleaned']:,} events.")
    echo(f"It now knows {data['events']:,} events of {data['sessions']:,} sessions on {data['items']:,} items.")
    echo(f"Wrote {out}. To use it: {program()} recommend {out} --items ...")
