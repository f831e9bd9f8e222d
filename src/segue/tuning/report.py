"""What a search writes for people and for the next command: trials.csv, best.yaml, report.md."""

from typing import Any

import polars as pl
import yaml

from segue.experiment.run_folder import REPORT
from segue.parameters import typed
from segue.storage import replacing_file, write_text
from segue.tuning.folder import BEST, HISTORY, IMPORTANCE, TRIALS
from segue.tuning.outcome import TrialRow, Tuned
from segue.tuning.task import Task

_SHOWN = 10
"""Trials in the report; trials.csv has all."""


def write_outcome(task: Task, tuned: Tuned) -> None:
    """Write trials.csv, best.yaml and report.md.

    Raises:
        StorageError: the write failed.
    """
    with replacing_file(tuned.folder / TRIALS) as scratch:
        table(tuned).write_csv(scratch)
    write_text(tuned.folder / BEST, best_yaml(tuned))
    write_text(tuned.folder / REPORT, markdown(task, tuned))


def table(tuned: Tuned) -> pl.DataFrame:
    """Return the trials with a column per parameter, values as they are typed."""
    names = dict.fromkeys(name for row in tuned.trials for name in row.parameters)
    rows = [
        {
            "trial": row.number,
            "state": row.state,
            tuned.metric: row.value,
            "epochs": row.epochs,
            "seconds": row.seconds,
            **{name: typed(row.parameters[name]) if name in row.parameters else None for name in names},
            "reason": row.reason,
        }
        for row in tuned.trials
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def best_yaml(tuned: Tuned) -> str:
    """Return the config of the best trial as ``segue run LOG --config best.yaml`` reads it."""
    content = tuned.config.model_dump(mode="json", exclude_defaults=True, exclude={"log", "baselines", "track"})
    return (
        f"# Trial {tuned.best.number} of {len(tuned.trials)}: {tuned.metric} {tuned.best.value:.4f} on the validation "
        f"part.\n# segue run LOG --config {BEST}\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    )


def markdown(task: Task, tuned: Tuned) -> str:
    """Return the report as Markdown."""
    data, name = task.data, task.config.models[0]
    failed = [row for row in tuned.trials if row.state == "failed"]
    parts = [
        f"# {name} tuned on {task.config.log_name}\n",
        f"{tuned.counts()}. Best: trial {tuned.best.number}, {tuned.metric} {tuned.best.value:.4f} on the "
        f"{len(data.valid or ()):,} validation cases. Protocol `{data.protocol.name}`, hash `{data.hash}`, seed "
        f"{task.config.seed}.\n",
        "The best of many trials looks better on the validation part than it is. The test part has not been used; for "
        "the figure to quote:\n",
        f"```\nsegue run LOG --config {tuned.folder / BEST}\n```\n",
        f"## Best trials\n\nTrial 0 has the values that {name} has without a search.\n",
        _trials(tuned),
        f"\n![Value of each trial, and the best so far]({HISTORY}.svg)\n",
        *_importance(tuned),
        "## What was searched\n",
        _rows(["parameter", "space"], [[f"`{one}`", str(space)] for one, space in task.spaces.items()]),
    ]
    if failed:
        parts += ["\n## Failed trials\n", *(f"- trial {row.number}: {row.reason}" for row in failed)]
    return "\n".join(parts) + "\n"


def _trials(tuned: Tuned) -> str:
    shown = tuned.ranked()[:_SHOWN]
    if all(row.number for row in shown):
        shown += [row for row in tuned.ranked() if row.number == 0]
    names = list(tuned.best.parameters)
    return _rows(["trial", tuned.metric, "epochs", *names], [_cells(row, names) for row in shown])


def _cells(row: TrialRow, names: list[str]) -> list[str]:
    return [str(row.number), f"{row.value:.4f}", str(row.epochs or "-"), *(shown(row.parameters[one]) for one in names)]


def shown(value: Any) -> str:
    """Return a value of a parameter with as many digits as a reader wants to see."""
    return f"{value:.4g}" if isinstance(value, float) else typed(value)


def _importance(tuned: Tuned) -> list[str]:
    if not tuned.importance:
        return ["Too few trials are finished to say which parameters matter.\n"]
    return [
        "## What matters\n",
        f"![Importance of each parameter]({IMPORTANCE}.svg)\n",
        "Share of each parameter in what sets the good trials apart (PED-ANOVA, Watanabe et al. 2023).\n",
    ]


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
