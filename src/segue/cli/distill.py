"""`segue distill`: a small model learns from a large one."""

from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Items, Log, Precision, log_options, model_folder
from segue.cli.terminal import again, interruptible
from segue.errors import ParameterError


def distill(
    teacher: Annotated[Path, typer.Argument(help="Folder of a trained model, of any kind, that a run wrote.")],
    log: Log,
    student: Annotated[str, typer.Option(help="The sequence encoder that learns from it.")] = "sasrec",
    preset: Annotated[list[str] | None, typer.Option(help="Preset of the student: sasrec=recbole.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter: sasrec.embedding_size=32, distillation.weight=0.7."),
    ] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw (0).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; runs/NAME-1, -2, ... if not given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in the same folder.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    precision: Precision = None,
) -> None:
    """Train a student on what a teacher says, and alone; compare the three in quality, size and time per session.

    The protocol is that of the teacher; only the metric that chooses epochs, protocol.valid_metric, can be set.

    Examples:
    segue distill runs/clicks-1/vstan clicks.csv --student sasrec --set sasrec.embedding_size=32
    segue distill runs/clicks-1/gru4rec clicks.csv --set distillation.weight=0.7 --set distillation.temperature=2
    """
    from segue.cli.run import show
    from segue.experiment.config import load_config, parse_assignments, parse_settings
    from segue.experiment.run_folder import next_folder
    from segue.parameters import build
    from segue.progress import progress_for

    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted run; name it with --out")
    given = parse_settings(settings or [])
    plan = build(segue.Distillation, "distillation", parameters=given.pop("distillation", {}))
    config = load_config(
        None,
        {
            **log_options(log, log_format, columns, items),
            "models": [student],
            "preset": parse_assignments("--preset", preset) if preset else None,
            "set": given or None,
            "baselines": False,
            "seed": seed,
            "device": device,
            "precision": precision,
        },
    )
    folder = out or next_folder(f"{config.log_name}-distilled")
    source, progress = model_folder(teacher), progress_for()
    with interruptible(f"to go on: {again(folder, named=out is not None)}"):
        results = segue.distill(
            source, config, folder, plan=plan, resume=resume, overwrite=overwrite, progress=progress
        )
    show(results, folder)
