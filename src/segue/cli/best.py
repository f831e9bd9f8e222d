"""`segue best`: find the best model of a log within a budget of time."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import again, echo, interruptible, program, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from rich.table import Table

    from segue.experiment.config import RunConfig
    from segue.model_selection.record import Record
    from segue.model_selection.select import Best


@options.with_log_options
def best(
    log: options.OptionalLog = None,
    budget: Annotated[str, typer.Option(help="Time for everything, such as 90s, 30m or 2h.")] = "30m",
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric that decides on validation and heads the test; default: that of the protocol, or ndcg."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="The networks to try, separated by commas; default: those that suit the log."),
    ] = None,
    protocol: options.Protocol = None,
    preset: Annotated[
        list[str] | None, typer.Option(help="Preset of a model: gru4rec=authors; default: the one that suits the log.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a parameter: gru4rec.hidden_size=128, protocol.cleaning.k_core=5."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with the options of segue run.")] = None,
    seed: options.Seed = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/NAME-best-1, -2, ...")] = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    device: options.Device = None,
    precision: options.Precision = None,
    deterministic: options.Deterministic = None,
    checkpoint_seconds: options.CheckpointSeconds = None,
    *,
    log_options: dict[str, Any],
) -> None:
    r"""Find the best model of a log within a budget of time.

    Count-based models come first, then the networks that suit the log, then a blend.
    Validation chooses; the test part is used once, at the end.

    Examples:
    segue best clicks.csv
    segue best clicks.csv --budget 2h --out runs/a
    segue best clicks.csv --budget 2h --out runs/a --resume
    segue best ratings.csv --unit user --model sasrec,hstu --metric ndcg@10
    """
    began = time.monotonic()
    from segue.cli.progress import progress_shown
    from segue.experiment.config import load_config
    from segue.experiment.run_folder import output_folder
    from segue.validation import OPTION, build

    given = {"budget": options.parse_duration("--budget", budget, least=10), "metric": metric}
    search = build(segue.BestConfig, OPTION, parameters={name: one for name, one in given.items() if one is not None})
    run_config = load_config(
        config,
        {
            "log": log,
            **log_options,
            **options.training_options(preset, settings, seed, device, precision, deterministic, checkpoint_seconds),
            "models": options.split_names(model) if model else None,
            "protocol": protocol,
        },
    )
    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted search; name it with --out")
    with (
        output_folder(out, f"{run_config.log_name}-best") as folder,
        interruptible(f"to continue: {again(folder, named=out is not None)}"),
        progress_shown(hidden=["segue.models", "segue.training"]) as progress,  # Epochs are reported by the search.
    ):
        found = segue.best(
            run_config, folder, config=search, resume=resume, overwrite=overwrite, progress=progress, began=began
        )
    _show(found, run_config, folder)


def _candidates(record: "Record") -> "Table":
    """Show what was considered, best first."""
    from rich.table import Column

    from segue.cli.tables import plain_table
    from segue.experiment.candidates import best_first

    table = plain_table("model", Column(record.metric, justify="right"), Column("fit s", justify="right"), "outcome")
    for one in best_first(record.candidates.values()):
        value = "-" if one.value is None or one.state != "trained" else f"{one.value:.4f}"
        table.add_row(one.label, value, f"{one.seconds:.1f}", one.outcome)
    return table


def _show(found: "Best", config: "RunConfig", folder: Path) -> None:
    """Print all candidates, the leaderboard and the verdict."""
    from segue.cli.run import show
    from segue.protocols.dataset import dataset_at

    terminal().print(_candidates(found.record))
    echo()
    show(found.results, folder)
    echo()
    for sentence in found.verdict:
        echo(f"- {sentence}.")
    echo()
    path = folder / found.chosen
    log = ["LOG"] if config.log and dataset_at(config.log) else options.log_arguments(config)
    echo(f"To train it on the whole log: {program()} {shlex.join(['fit', *log, '--like', str(path)])}")
    echo(f"To serve it: {program()} {shlex.join(['serve', str(path)])}")
