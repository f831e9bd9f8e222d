"""`segue run`: train, evaluate, compare, save."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

import segue
from segue.cli import options
from segue.cli.terminal import again, echo, interruptible, program, terminal
from segue.errors import ParameterError
from segue.printable import short

if TYPE_CHECKING:
    from segue.experiment.config import RunConfig
    from segue.experiment.results import Results


_SETTING = "--recbole-setting"
"""Hidden option that collects settings of RecBole such as ``--learning_rate=0.01``, which are not options of segue."""


class Command(TyperCommand):
    """The command ``run``, which accepts any ``--NAME=VALUE`` together with ``--recbole``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Hand what RecBole's command line would read to the hidden option."""
        if any(arg.partition("=")[0] == "--recbole" for arg in args):
            known = {name for parameter in self.params for name in parameter.opts}
            args = [
                f"{_SETTING}={arg.removeprefix('--')}"
                if re.match(r"--[A-Za-z_][\w.]*=", arg) and arg.partition("=")[0] not in known
                else arg
                for arg in args
            ]
        return super().parse_args(ctx, args)


@options.with_log_options
def run(
    log: options.OptionalLog = None,
    model: Annotated[list[str] | None, typer.Option(help="Models to train, separated by commas.")] = None,
    protocol: options.Protocol = None,
    preset: Annotated[
        list[str] | None, typer.Option(help="Preset of a model: gru4rec=authors; segue models NAME lists them.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a parameter: gru4rec.hidden_size=128, protocol.cleaning.k_core=5."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with any of these options.")] = None,
    recbole: Annotated[
        list[str] | None,
        typer.Option(
            help="YAML files of RecBole, separated by commas; later ones override earlier ones, and settings such as "
            "--learning_rate=0.01 override all."
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(help="Further slices of the test cases: weekday, day, or a column such as category."),
    ] = None,
    seed: options.Seed = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option(help="Several seeds, such as 0,1,2: one run each in OUT/seed-N, then a comparison."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/NAME-1, -2, ...")] = None,
    baselines: Annotated[
        bool | None, typer.Option("--baselines/--no-baselines", help="Also train the baselines (yes).")
    ] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    device: options.Device = None,
    precision: options.Precision = None,
    deterministic: options.Deterministic = None,
    checkpoint_seconds: options.CheckpointSeconds = None,
    track: Annotated[list[str] | None, typer.Option(help="Also log the run to tensorboard or mlflow.")] = None,
    recbole_settings: Annotated[list[str] | None, typer.Option(_SETTING, hidden=True)] = None,
    *,
    log_options: dict[str, Any],
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
    segue run ml-100k --recbole bpr.yaml --model BPR --embedding_size=32
    segue run prepared/clicks --model gru4rec
    """
    from segue.cli.compare import show_comparison
    from segue.cli.progress import progress_shown
    from segue.experiment.run import run_seeds
    from segue.experiment.run_folder import output_folder
    from segue.storage import refuse_link

    several = _seeds(seeds or [])
    if several and seed is not None:
        raise ParameterError("--seeds: cannot be combined with --seed; give one of them")
    run_config = _load_config(
        config,
        options.split_names(recbole or []),
        recbole_settings or [],
        {
            "log": log,
            **log_options,
            **options.training_options(preset, settings, seed, device, precision, deterministic, checkpoint_seconds),
            "models": options.split_names(model) if model else None,
            "protocol": protocol,
            "baselines": baselines,
            "slices": options.split_names(slices) if slices else None,
            "track": options.split_names(track) if track else None,
        },
    )
    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted run; name it with --out")
    if several and out is not None:
        refuse_link(out)
    with (
        output_folder(out, run_config.log_name) as folder,
        interruptible(f"to continue: {again(folder, named=out is not None)}"),
        progress_shown() as progress,
    ):
        folders = {seed: folder / f"seed-{seed}" for seed in several}
        if several:
            run_seeds(run_config, folders, resume=resume, overwrite=overwrite, progress=progress)
        else:
            results = segue.run(run_config, folder, resume=resume, overwrite=overwrite, progress=progress)
    if not several:
        show(results, folder)
        _show_next(results, run_config, folder)
        return
    show_comparison(segue.compare(*folders.values()))
    echo()
    echo(f"Wrote one run per seed: {', '.join(map(str, folders.values()))}.")


def _seeds(texts: list[str]) -> list[int]:
    given = options.split_names(texts)
    if not all(name.isascii() and name.isdigit() and len(name) < 19 for name in given) or len(set(given)) < len(given):
        raise ParameterError(f"--seeds: must be different whole numbers such as 0,1,2, got {short(','.join(texts))}")
    return [int(name) for name in given]


def show(results: "Results", folder: Path) -> None:
    """Print the leaderboard, the verdicts and the files written."""
    from segue.cli.tables import leaderboard, metric_tables, title
    from segue.evaluation.linter.checks import LOG
    from segue.experiment.run_folder import PAGE, REPORT, RESULTS

    echo(title(results.log, results.data["test_cases"], results.protocol))
    for finding in results.doubts():
        echo(f"! {finding}")
    console, decimals = terminal(), results.protocol.get("decimals", 4)
    console.print(leaderboard(results.models, results.protocol["headline"], decimals))
    metrics = results.protocol["ranking"]["metrics"]
    if results.protocol["name"] == "recbole" and len(metrics) > len(results.protocol["headline"]):
        for table in metric_tables(results.models, metrics, console.width, decimals):  # As RecBole prints them.
            console.print(table)
    for verdict in results.verdicts:
        echo(f"! {verdict}")
    for finding in results.further_findings():
        if finding.subject != LOG:  # Findings about the log were printed before the first training.
            echo(f"! {finding}")
    for row in results.models:
        for note in (*row.notes, *([row.ties] if row.ties and not row.baseline else [])):
            echo(f"{row.label}: {note}")
    echo()
    echo(f"Wrote {folder / RESULTS}, {folder / REPORT}, {folder / PAGE} and one folder per model.")


def _show_next(results: "Results", config: "RunConfig", folder: Path) -> None:
    """Name the best model, and the command that trains it for production."""
    from segue.protocols.dataset import dataset_at

    first, metric = results.models[0], results.protocol["ranking"]["metrics"][0]
    beaten = results.beaten()
    best = next((row for row in results.models if row.label not in beaten), first)
    others = "" if best is first else f" (without {first.label}, which {beaten[first.label]})"
    log = ["LOG"] if config.log and dataset_at(config.log) else options.log_arguments(config)
    command = shlex.join(["fit", *log, "--like", str(folder / best.label)])
    echo(f"Best by {metric}{others}: {best.label}. To train it on the whole log: {program()} {command}")


def _load_config(config: Path | None, recbole: list[str], settings: list[str], given: Mapping[str, Any]) -> "RunConfig":
    """Read the run_config from the YAML files and options."""
    from segue.experiment.config import load_config

    if settings and not recbole:
        raise ParameterError(f"--{settings[0]}: is a setting of RecBole, which needs --recbole FILE")
    if not recbole:
        return load_config(config, given)
    if config is not None:
        raise ParameterError("--recbole: cannot be combined with --config; give one of them")
    return segue.load_recbole([Path(file) for file in recbole], given, _settings(settings))


def _settings(texts: list[str]) -> dict[str, str]:
    """Return settings of RecBole by name.

    Raises:
        ParameterError: a setting has two values.
    """
    settings: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if settings.setdefault(name, value) != value:
            raise ParameterError(f"--{name}: must be given once, got {settings[name]} and {value}")
    return settings
