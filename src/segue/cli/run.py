"""`segue run`: train, evaluate, compare, save."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Items
from segue.cli.tables import leaderboard, title
from segue.cli.terminal import program, terminal
from segue.errors import ParameterError
from segue.experiment.folder import REPORT, RESULTS, next_folder
from segue.experiment.recipe import load_recipe, parse_assignments, parse_settings
from segue.experiment.results import Results
from segue.progress import progress_for


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    log: Annotated[
        str | None, typer.Argument(help="File or folder of the log, or the name of one in $SEGUE_DATA.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Models to train, separated by commas.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol; picked from the kind of log if not given.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Preset of a model: gru4rec=authors.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A parameter: gru4rec.hidden_size=128, protocol.k_core=5.")
    ] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these options.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw (0).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; runs/NAME-1, -2, ... if not given.")] = None,
    baselines: Annotated[
        bool | None, typer.Option("--baselines/--no-baselines", help="Add the baselines (yes).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in the same folder.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
) -> None:
    r"""Train models on a log, test them, and print a leaderboard.

    Examples:
    segue run clicks.csv --model gru4rec,stan
    segue run clicks.csv --items items.csv --model sasrec
    segue run clicks.parquet --columns session=sid,item=iid,time=ts \
        --model gru4rec --set gru4rec.training.epochs=5
    segue run ratings.inter --protocol leave-one-out --set protocol.k_core=10 \
        --model gru4rec --seed 7 --out runs/a
    """
    recipe = load_recipe(
        config,
        {
            "log": log,
            "format": log_format,
            "columns": parse_assignments("--columns", columns) if columns else None,
            "items": items,
            "models": names(model) if model else None,
            "protocol": protocol,
            "preset": parse_assignments("--preset", preset) if preset else None,
            "set": parse_settings(settings) if settings else None,
            "baselines": baselines,
            "seed": seed,
            "device": device,
            "precision": precision,
        },
    )
    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted run; name it with --out")
    folder = out or next_folder(recipe.log_name)
    try:
        results = segue.run(recipe, folder, resume=resume, overwrite=overwrite, progress=progress_for())
    except KeyboardInterrupt:
        typer.echo(f"interrupted; to go on: {_again(folder, named=out is not None)}", err=True)
        raise typer.Exit(130) from None
    show(results, folder)


def show(results: Results, folder: Path) -> None:
    """Print the leaderboard, the verdicts and what was written."""
    typer.echo(title(results.log, results.data["test_cases"], results.protocol))
    terminal().print(leaderboard(results.models, results.protocol["headline"]))
    for verdict in results.verdicts:
        typer.echo(f"! {verdict}")
    for row in results.models:
        for note in row.notes:
            typer.echo(f"{row.label}: {note}")
    typer.echo(f"\nWrote {folder / RESULTS}, {folder / REPORT} and one folder per model.")


def _again(folder: Path, *, named: bool) -> str:
    """Return the command that goes on with this one; ``named`` if its options name the folder."""
    options = [option for option in sys.argv[1:] if option not in ("--overwrite", "--resume")]
    return shlex.join([program(), *options, *([] if named else ["--out", str(folder)]), "--resume"])


def names(texts: list[str]) -> list[str]:
    """Return the names in texts that each hold several, separated by commas."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]
