"""`segue run`: train, evaluate, compare, save."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli.reading import Columns, Format, Items, Precision, log_options, names
from segue.cli.terminal import again, interruptible, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.experiment.recipe import Recipe
    from segue.experiment.results import Results


def run(
    log: Annotated[
        str | None,
        typer.Argument(help="File or folder of the log, the name of one in $SEGUE_DATA, or a prepared data set."),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Models to train, separated by commas.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol; picked from the kind of log if not given.")] = None,
    preset: Annotated[list[str] | None, typer.Option(help="Preset of a model: gru4rec=authors.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter: gru4rec.hidden_size=128, protocol.cleaning.k_core=5."),
    ] = None,
    log_format: Format = None,
    columns: Columns = None,
    items: Items = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these options.")] = None,
    recbole: Annotated[
        list[str] | None, typer.Option(help="RecBole's YAML file; several are separated by commas, the last one wins.")
    ] = None,
    slices: Annotated[
        list[str] | None, typer.Option(help="Further parts of the test: weekday, day, or a column such as category.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw (0).")] = None,
    seeds: Annotated[
        list[str] | None, typer.Option(help="Several seeds, such as 0,1,2: a run in OUT/seed-N for each, then compare.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; runs/NAME-1, -2, ... if not given.")] = None,
    baselines: Annotated[
        bool | None, typer.Option("--baselines/--no-baselines", help="Add the baselines (yes).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in the same folder.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    precision: Precision = None,
    track: Annotated[list[str] | None, typer.Option(help="Also log the run to tensorboard or mlflow.")] = None,
) -> None:
    r"""Train models on a log, test them, and print a leaderboard.

    Examples:
    segue run clicks.csv --model gru4rec,stan
    segue run clicks.csv --items items.csv --model sasrec
    segue run clicks.parquet --columns session=sid,item=iid,time=ts \
        --model gru4rec --set gru4rec.training.epochs=5
    segue run ratings.inter --protocol leave-one-out --model gru4rec \
        --set protocol.cleaning.k_core=10 --seed 7 --out runs/a
    segue run clicks.csv --model gru4rec,sasrec --seeds 0,1,2 --out runs/b
    segue run ml-100k --recbole bpr.yaml --model BPR
    segue run prepared/clicks --model gru4rec
    """
    from segue.experiment.folder import next_folder
    from segue.experiment.recipe import parse_assignments, parse_settings
    from segue.progress import progress_for

    several = _seeds(seeds or [])
    if several and seed is not None:
        raise ParameterError("--seeds: stands in for --seed; give one of them")
    recipe = _recipe(
        config,
        names(recbole or []),
        {
            **log_options(log, log_format, columns, items),
            "models": names(model) if model else None,
            "protocol": protocol,
            "preset": parse_assignments("--preset", preset) if preset else None,
            "set": parse_settings(settings) if settings else None,
            "baselines": baselines,
            "slices": names(slices) if slices else None,
            "seed": seed,
            "device": device,
            "precision": precision,
            "track": names(track) if track else None,
        },
    )
    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted run; name it with --out")
    folder = out or next_folder(recipe.log_name)
    with interruptible(f"to go on: {again(folder, named=out is not None)}"):
        if several:
            _run_seeds(recipe, folder, several, resume=resume, overwrite=overwrite)
            return
        results = segue.run(recipe, folder, resume=resume, overwrite=overwrite, progress=progress_for())
    show(results, folder)


def _run_seeds(recipe: "Recipe", folder: Path, seeds: list[int], *, resume: bool, overwrite: bool) -> None:
    """Run the recipe with each seed, and compare the models over the seeds."""
    from segue.cli.compare import show_comparison
    from segue.experiment.run import run_seeds
    from segue.progress import progress_for

    folders = {seed: folder / f"seed-{seed}" for seed in seeds}
    run_seeds(recipe, folders, resume=resume, overwrite=overwrite, progress=progress_for())
    show_comparison(segue.compare(*folders.values()))
    typer.echo(f"\nWrote one run per seed: {', '.join(map(str, folders.values()))}.")


def _seeds(texts: list[str]) -> list[int]:
    given = names(texts)
    if not all(name.isascii() and name.isdigit() for name in given) or len(set(given)) < len(given):
        raise ParameterError(f"--seeds: must be different whole numbers such as 0,1,2, got '{','.join(texts)}'")
    return [int(name) for name in given]


def show(results: "Results", folder: Path) -> None:
    """Print the leaderboard, the verdicts and what was written."""
    from segue.cli.tables import leaderboard, title
    from segue.evaluation.linter.finding import LOG
    from segue.experiment.folder import PAGE, REPORT, RESULTS

    typer.echo(title(results.log, results.data["test_cases"], results.protocol))
    terminal().print(leaderboard(results.models, results.protocol["headline"], results.protocol.get("decimals", 4)))
    for verdict in results.verdicts:
        typer.echo(f"! {verdict}")
    for finding in results.unsaid_findings():
        if finding.subject != LOG:  # What is said of the log was said before the first model was trained.
            typer.echo(f"! {finding}")
    for row in results.models:
        for note in (*row.notes, *([row.ties] if row.ties and not row.baseline else [])):
            typer.echo(f"{row.label}: {note}")
    typer.echo(f"\nWrote {folder / RESULTS}, {folder / REPORT}, {folder / PAGE} and one folder per model.")


def _recipe(config: Path | None, recbole: list[str], options: Mapping[str, Any]) -> "Recipe":
    """Return the recipe of the files that the options name."""
    from segue.experiment.recipe import load_recipe

    if not recbole:
        return load_recipe(config, options)
    if config is not None:
        raise ParameterError("--recbole: stands in for --config; give one of them")
    return segue.load_recbole([Path(file) for file in recbole], options)
