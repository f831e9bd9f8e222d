"""`segue tune`: tune the parameters of a model."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import engines, options
from segue.cli.terminal import again, echo, interruptible, program, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.tuning.result import TuningResult

_SHOWN = 5


@options.with_log_options
def tune(
    log: options.OptionalLog = None,
    model: Annotated[str | None, typer.Option(help="The model to tune.")] = None,
    trials: Annotated[int | None, typer.Option(help="Total number of trials (50).")] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(help="Search space: gru4rec.training.learning_rate=0.001..0.1:log, gru4rec.layers=[1,2]."),
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="Search only the parameters of --search.")] = False,
    metric: Annotated[
        str | None, typer.Option(help="Validation metric to maximise; default: the first of the protocol.")
    ] = None,
    prune: Annotated[
        bool | None, typer.Option("--prune/--no-prune", help="Stop unpromising trials early (yes).")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds after which no further trial starts.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of worker processes (1); with --engine ray one per CPU of the cluster.")
    ] = None,
    engine: engines.EngineName = None,
    protocol: options.Protocol = None,
    preset: Annotated[
        list[str] | None, typer.Option(help="Preset to start from: gru4rec=authors; segue models NAME lists them.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Fix a parameter: gru4rec.training.epochs=5.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with the options of segue run.")] = None,
    seed: options.Seed = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/NAME-tuned-1, -2, ...")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted search in the same folder, or join a running one.")
    ] = False,
    overwrite: options.Overwrite = False,
    device: options.Device = None,
    precision: options.Precision = None,
    deterministic: options.Deterministic = None,
    checkpoint_seconds: options.CheckpointSeconds = None,
    *,
    log_options: dict[str, Any],
) -> None:
    r"""Tune the parameters of a model on the validation part of a log.

    Examples:
    segue tune clicks.csv --model gru4rec --trials 50
    segue tune clicks.csv --model gru4rec --trials 100 --workers 2 --out runs/a
    segue tune clicks.csv --model gru4rec --set gru4rec.training.epochs=5 \
        --search gru4rec.training.learning_rate=0.001..0.1:log --search gru4rec.hidden_size=[64,128]
    segue tune clicks.csv --model gru4rec --trials 100 --out runs/a --resume
    segue tune prepared/clicks --model gru4rec --trials 100 --engine ray://head:10001
    """
    from segue.cli.progress import progress_shown
    from segue.experiment.config import load_config
    from segue.experiment.run_folder import output_folder
    from segue.spaces import parse_searches
    from segue.validation import OPTION, build

    address = engines.check_engine(engine)
    given = {
        "trials": trials,
        "metric": metric,
        "search": parse_searches(search or []),
        "only": only,
        "prune": prune,
        "timeout": timeout,
        "workers": workers,
    }
    tuning = build(segue.TuningConfig, OPTION, parameters={name: one for name, one in given.items() if one is not None})
    run_config = load_config(
        config,
        {
            "log": log,
            **log_options,
            **options.training_options(preset, settings, seed, device, precision, deterministic, checkpoint_seconds),
            "models": [model] if model else None,
            "protocol": protocol,
        },
    )
    if resume and out is None:
        raise ParameterError("--resume: needs the folder of the interrupted search; name it with --out")
    with (
        output_folder(out, f"{run_config.log_name}-tuned") as folder,
        interruptible(f"to continue: {again(folder, named=out is not None)}"),
        progress_shown(hidden=["segue.models", "segue.training"]) as progress,  # A trial is one line.
        engines.cluster_at(address) as cluster,
    ):
        pool = engines.workers_on(cluster, workers)
        result = segue.tune(
            run_config, folder, config=tuning, resume=resume, overwrite=overwrite, progress=progress, pool=pool
        )
    _show(result, run_config.log)


def _show(result: "TuningResult", log: str | None) -> None:
    """Print the best trials, and the command that trains the best one."""
    from segue.cli.tables import trial_table

    terminal().print(trial_table(result.ranked()[:_SHOWN], result.metric))
    echo(f"{result.counts()}.")
    if result.importance:
        shares = (f"{name} {share:.0%}" for name, share in list(result.importance.items())[:_SHOWN])
        echo(f"Importance: {', '.join(shares)}.")
    echo(f"Wrote {result.folder / 'report.md'}. The test part has not been used. To evaluate on it, run:")
    echo()
    command = ["run", log or "LOG", "--config", str(result.folder / "best.yaml")]
    echo(f"  {program()} {shlex.join(command)}")
