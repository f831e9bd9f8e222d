"""`segue distill`: distil a model into a smaller one."""

from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import again, interruptible
from segue.errors import ParameterError


@options.with_log_options
def distill(
    teacher: Annotated[Path, typer.Argument(help="Folder of a trained model of any kind, as a run writes it.")],
    log: options.Log,
    student: Annotated[str, typer.Option(help="Model to train with the teacher: a sequence encoder.")] = "sasrec",
    preset: Annotated[
        list[str] | None, typer.Option(help="Preset of the student: sasrec=recbole; segue models NAME lists them.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a parameter: sasrec.embedding_size=32, distillation.weight=0.7."),
    ] = None,
    seed: options.Seed = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/NAME-distilled-1, -2, ...")] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    device: options.Device = None,
    precision: options.Precision = None,
    deterministic: options.Deterministic = None,
    checkpoint_seconds: options.CheckpointSeconds = None,
    *,
    log_options: dict[str, Any],
) -> None:
    """Train a student with and without a teacher; compare the three in quality, size and latency.

    The protocol of the teacher is used; only protocol.valid_metric, which selects the epoch, can be changed.

    Examples:
    segue distill runs/clicks-1/vstan clicks.csv --student sasrec --set sasrec.embedding_size=32
    segue distill runs/clicks-1/gru4rec clicks.csv --set distillation.weight=0.7 --set distillation.temperature=2
    """
    from segue.cli.progress import progress_shown
    from segue.cli.run import show
    from segue.experiment.config import load_config, parse_settings
    from segue.experiment.run_folder import output_folder
    from segue.validation import build

    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted run; name it with --out")
    given = parse_settings(settings or [])
    plan = build(segue.Distillation, "distillation", parameters=given.pop("distillation", {}))
    config = load_config(
        None,
        {
            "log": log,
            **log_options,
            **options.training_options(preset, None, seed, device, precision, deterministic, checkpoint_seconds),
            "models": [student],
            "set": given or None,
            "baselines": False,
        },
    )
    source = options.model_folder(teacher)
    with (
        output_folder(out, f"{config.log_name}-distilled") as folder,
        interruptible(f"to continue: {again(folder, named=out is not None)}"),
        progress_shown() as progress,
    ):
        results = segue.distill(
            source, config, folder, plan=plan, resume=resume, overwrite=overwrite, progress=progress
        )
    show(results, folder)
