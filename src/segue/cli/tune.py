"""`segue tune`: search the parameters of a model."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Items, Precision, log_options
from segue.cli.terminal import again, interruptible, program, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.tuning.result import TuningResult

_SHOWN = 5


def tune(
    log: Annotated[
        str | None,
        typer.Argument(help="File or folder of the log, the name of one in $SEGUE_DATA, or a prepared data set."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to tune.")] = None,
    trials: Annotated[int | None, typer.Option(help="Configurations to try in total (50).")] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(help="Search space: gru4rec.training.learning_rate=0.001..0.1:log, gru4rec.layers=[1,2]."),
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="Search what --search names, and nothing else.")] = False,
    metric: Annotated[str | None, typer.Option(help="Validation metric to maximise (the protocol's first).")] = None,
    prune: Annotated[
        bool | None, typer.Option("--prune/--no-prune", help="Stop trials early that fall behind the others (yes).")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which no further trial starts.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the trials (1).")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol; picked from the kind of log if not given.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Preset to start from: gru4rec=authors.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter that is not searched: gru4rec.training.epochs=5.")
    ] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with the options of segue run.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw (0).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/NAME-tuned-1, -2, ... if not given.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted search in the same folder, or join a running one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older search in the same folder.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    precision: Precision = None,
) -> None:
    r"""Search for the parameters of a model that are best on the validation part of a log.

    Examples:
    segue tune clicks.csv --model gru4rec --trials 50
    segue tune clicks.csv --model gru4rec --trials 100 --workers 2 --out runs/a
    segue tune clicks.csv --model gru4rec --set gru4rec.training.epochs=5 \
        --search gru4rec.training.learning_rate=0.001..0.1:log --search gru4rec.hidden_size=[64,128]
    segue tune clicks.csv --model gru4rec --trials 100 --out runs/a --resume
    """
    from segue.experiment.folder import next_folder
    from segue.experiment.recipe import load_recipe, parse_assignments, parse_settings
    from segue.parameters import build
    from segue.progress import progress_for
    from segue.spaces import parse_searches

    given = {
        "trials": trials,
        "metric": metric,
        "search": parse_searches(search or []),
        "only": only,
        "prune": prune,
        "timeout": timeout,
        "workers": workers,
    }
    options = build(
        segue.TuningConfig, "tune", parameters={name: one for name, one in given.items() if one is not None}
    )
    recipe = load_recipe(
        config,
        {
            **log_options(log, log_format, columns, items),
            "models": [model] if model else None,
            "protocol": protocol,
            "preset": parse_assignments("--preset", preset) if preset else None,
            "set": parse_settings(settings) if settings else None,
            "seed": seed,
            "device": device,
            "precision": precision,
        },
    )
    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted search; name it with --out")
    folder = out or next_folder(f"{recipe.log_name}-tuned")
    with interruptible(f"to go on: {again(folder, named=out is not None)}"):
        result = segue.tune(recipe, folder, config=options, resume=resume, overwrite=overwrite, progress=progress_for())
    _show(result, recipe.log)


def _show(result: "TuningResult", log: str | None) -> None:
    """Print the best trials, and the command that trains the best one."""
    from segue.cli.tables import trial_table

    terminal().print(trial_table(result.ranked()[:_SHOWN], result.metric))
    typer.echo(f"{result.counts()}.")
    if result.importance:
        shares = (f"{name} {share:.0%}" for name, share in list(result.importance.items())[:_SHOWN])
        typer.echo(f"Importance: {', '.join(shares)}.")
    typer.echo(f"Wrote {result.folder / 'report.md'}. The test part has not been used; for its figures:\n")
    command = ["run", log or "LOG", "--config", str(result.folder / "best.yaml")]
    typer.echo(f"  {shlex.join([program(), *command])}")
