"""Models over several seeds: a table of their means, and of how much one is above another, with paired intervals."""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import segue
from segue.cli.progress import progress_shown
from segue.evaluation.significance import paired_tests
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

Fit = Callable[[Dataset, int, Runtime], segue.Model]


@dataclass(frozen=True)
class Row:
    """A model: how it is fitted with a seed, the row that it is compared with, and what else its results depend on."""

    fit: Fit
    against: str | None = None
    settings: object = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Values of each metric per case and seed, and the seconds of each fit (of a resumed one, of its last part)."""

    values: dict[str, np.ndarray]
    seconds: np.ndarray


@dataclass(frozen=True)
class Measuring:
    """How every row is fitted and measured."""

    folder: Path
    metrics: Sequence[str]
    seeds: int = 1
    part: Literal["valid", "test"] = "test"
    precision: Literal["fp32", "bf16"] = "bf16"


def outcome(name: str, row: Row, data: Dataset, how: Measuring) -> Outcome:
    """Fit and evaluate a row with each seed; what an earlier run has finished in the folder is taken over."""
    found = []
    for seed in range(how.seeds):
        path = how.folder / "-".join([name, *_digests(row.settings), f"{seed}.npz"])
        if not path.exists():
            checkpoint = path.with_suffix(".checkpoint")
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            with progress_shown() as progress:
                runtime = Runtime("cpu", how.precision, checkpoint=checkpoint, resume=True, progress=progress)
                started = time.perf_counter()
                model = row.fit(data, seed, runtime)
                seconds = time.perf_counter() - started
            evaluation = segue.evaluate(model, data, part=how.part)
            unfinished = path.with_suffix(".part.npz")
            np.savez(unfinished, seconds=seconds, **{metric: evaluation.values[metric] for metric in how.metrics})
            unfinished.replace(path)
            for leftover in how.folder.glob(f"{checkpoint.name}*"):
                leftover.unlink()
        found.append(np.load(path))
    return Outcome(
        {metric: np.stack([one[metric] for one in found]) for metric in how.metrics},
        np.array([one["seconds"] for one in found]),
    )


def folder_for(parent: Path, data: Dataset, **settings: object) -> Path:
    """Return the folder for results under these settings on these data, so that no others are taken for them."""
    folder = parent / _digests((data.hash, sorted(settings.items())))[0]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digests(settings: object) -> list[str]:
    return [] if settings is None else [hashlib.sha256(repr(settings).encode()).hexdigest()[:8]]


def compare(rows: Mapping[str, Row], data: Dataset, how: Measuring) -> None:
    """Print a Markdown table: means (and deviations) over the seeds, and the difference from another row.

    The test of a difference is paired over sessions; a case counts by its mean over the seeds. The p-values are those
    of single comparisons.
    """
    cases = data.test if how.part == "test" else data.valid
    assert cases is not None
    groups, outcomes = cases.groups.astype(np.int64), {}
    print(f"protocol {data.hash}, {len(groups):,} {how.part} cases, seeds: {how.seeds}\n")
    cells = ["", *(cell for metric in how.metrics for cell in (metric, "difference")), "fit s"]
    print(f"| {' | '.join(cells)} |\n|{'---|' * len(cells)}", flush=True)
    for name, row in rows.items():
        outcomes[name] = outcome(name, row, data, how)
        cells = [name]
        for metric, values in outcomes[name].values.items():
            means = values.mean(axis=1)
            deviation = f" ({_short(means.std(ddof=1))})" if how.seeds > 1 else ""
            cells += [f"{_short(means.mean())}{deviation}", ""]
            if row.against is not None:
                difference = values.mean(axis=0) - outcomes[row.against].values[metric].mean(axis=0)
                (test,) = paired_tests(difference[:, None], groups)
                low, high = test.interval
                cells[-1] = f"{_short(test.difference, '+')} [{_short(low, '+')}, {_short(high, '+')}]"
                cells[-1] += f" p {_short(test.p_value)}"
        print(f"| {' | '.join([*cells, f'{outcomes[name].seconds.mean():.0f}'])} |", flush=True)


def _short(value: float, sign: str = "") -> str:
    """Return a value with four decimals and without its leading zero."""
    return f"{value:{sign}.4f}".replace("0.", ".", 1)
