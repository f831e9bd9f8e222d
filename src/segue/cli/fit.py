"""`segue fit`: train a model for production."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import engines, options
from segue.cli.processes import Processes, joined, start_processes
from segue.cli.terminal import echo, interruptible, program
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.experiment.config import RunConfig
    from segue.experiment.training_plan import Settings
    from segue.training.runtime import Runtime


@options.with_log_options
def fit(
    log: options.PlainLog,
    like: Annotated[Path | None, typer.Option(help="Folder of a tested model: use its configuration.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of segue run with one model, or best.yaml of segue tune.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a parameter: sasrec.training.epochs=12, protocol.cleaning.k_core=5."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed; default: the seed of the run.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/NAME-MODEL-1, -2, ...")] = None,
    overwrite: options.Overwrite = False,
    device: options.Device = None,
    precision: options.Precision = None,
    deterministic: options.Deterministic = None,
    processes: Processes = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the state of the training; the same command continues from it. Removed at the end."
        ),
    ] = None,
    checkpoint_seconds: options.CheckpointSeconds = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Fit v-sknn, stan or vstan on disk, in about this much memory per process beside the model, such as "
            "8GB. The result is the same. With --engine 2GB by default."
        ),
    ] = None,
    engine: engines.EngineName = None,
    *,
    log_options: dict[str, Any],
) -> None:
    r"""Train a tested configuration on a whole log for production, without holding anything out.

    Examples:
    segue fit clicks.csv --like runs/clicks-1/sasrec --out production
    segue fit clicks.csv --like production --out production --overwrite
    segue fit clicks.csv --config tuned/best.yaml --seed 7
    segue fit clicks.csv --config best.yaml --set sasrec.training.micro_batches=4 \
        --processes 2 --checkpoints state
    segue fit year.parquet --like runs/clicks-1/v-sknn --out production --memory 4GB --engine ray
    """
    from contextlib import ExitStack
    from dataclasses import replace

    from segue.artifact import Artifact
    from segue.cli.progress import progress_shown
    from segue.experiment.config import load_config, parse_settings
    from segue.experiment.model_specs import build_runtime
    from segue.experiment.prepared_data import read_log
    from segue.experiment.production import check_log, check_target
    from segue.experiment.run_folder import output_folder
    from segue.experiment.training_facts import reading_of
    from segue.experiment.training_state import resumable

    if (like is None) == (config is None):
        given = "neither" if like is None else "both"
        raise ParameterError(f"--like or --config: give one of them, got {given}: a model of a run, or a YAML file")
    start_processes(processes)
    changes = parse_settings(settings or [])
    run_config = load_config(
        config,
        {
            "log": log,
            **log_options,
            "device": device,
            "precision": precision,
            "deterministic": deterministic,
            "checkpoint_seconds": checkpoint_seconds,
        },
    )
    name = ",".join(run_config.models) if like is None else Artifact.read(options.model_folder(like)).model
    with ExitStack() as stack:
        runtime = stack.enter_context(joined(build_runtime(run_config)))
        leads = runtime.group.leads
        if out is not None and leads:
            check_target(out, overwrite=overwrite)
        check_log(log)
        if engine is not None or memory is not None:
            if checkpoints is not None:
                raise ParameterError(
                    "--checkpoints: has no effect with --engine or --memory, where the same command continues; leave "
                    "it out"
                )
            _fit_in_ranges(run_config, like, changes, out, seed, runtime, engine, memory, overwrite=overwrite)
            return
        folder = stack.enter_context(output_folder(out, f"{run_config.log_name}-{name}")) if leads else Path()
        if checkpoints is not None:
            runtime = stack.enter_context(resumable(runtime, checkpoints))
        stack.enter_context(interruptible("nothing was written" if checkpoints is None else "repeat it to continue"))
        progress = stack.enter_context(progress_shown())
        segue.fit(
            read_log(run_config, None if like is None else reading_of(like)),
            like=like or run_config,
            out=folder,
            settings=changes,
            seed=seed,
            runtime=replace(runtime, progress=progress),
            overwrite=overwrite,
            log_name=run_config.log_name,
        )
    if leads:
        _show(folder)


def _fit_in_ranges(
    config: "RunConfig",
    like: Path | None,
    changes: "Settings",
    out: Path | None,
    seed: int | None,
    runtime: "Runtime",
    engine: str | None,
    memory: str | None,
    *,
    overwrite: bool,
) -> None:
    """Train a model on a log of any size; a command that was killed continues where it was."""
    from functools import partial

    from segue.artifact import Artifact
    from segue.experiment.prepared_data import source_files, stage_log
    from segue.experiment.production import check_fits_in_ranges, check_target, fit_in_ranges
    from segue.experiment.training_facts import reading_of
    from segue.experiment.training_plan import plan_training

    address, size = engines.check_engine(engine), engines.check_memory(memory)
    if out is None:
        raise ParameterError(
            "--out: is missing; with --engine or --memory name a folder, so that the same command can continue"
        )
    plan = plan_training(like or config, changes)
    check_fits_in_ranges(plan.spec.model)
    runtime.group.check(plan.spec.model.name, plan.spec.model.micro_batches)
    identity = {"config": config.model_dump(mode="json"), "set": changes, "memory": size, "files": source_files(config)}
    identity["like"] = None if like is None else Artifact.read(like).version
    check = partial(check_target, out, overwrite=overwrite)
    with engines.engine_for("segue fit", out, check, identity, address, size) as runner:
        source = stage_log(config, runner, size, None if like is None else reading_of(like))
        fit_in_ranges(source, plan, out, runner, memory=size, seed=seed, runtime=runtime, log_name=config.log_name)
    _show(out)


def _show(folder: Path) -> None:
    """Print facts from the manifest of the model."""
    from segue.artifact import Artifact

    artifact = Artifact.read(folder)
    data = artifact.about["data"]
    echo(
        f"{artifact.model}: trained on the whole log, {data['events']:,} events of {data['sessions']:,} sessions on "
        f"{data['items']:,} items" + (f", until {data['last_time']}" if data["last_time"] else "")
    )
    for stage, one in artifact.about["epochs"].items():
        echo(f"{stage}: {one['epochs']} epochs ({one['why']})")
    echo(f"Wrote {folder}. To use it: {program()} recommend {folder} --items ...")
