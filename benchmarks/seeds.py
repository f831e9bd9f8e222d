"""Models over several seeds: their means, and how much one is above another, with a paired interval."""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import segue
from segue.cli.progress import progress_shown
from segue.evaluation.significance import paired_tests
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

Fit = Callable[[Dataset, int, Runtime], segue.Model]


@dataclass(frozen=True)
class Row:
    """A model: how it is fitted with a seed, and the row that it is compared with."""

    fit: Fit
    against: str | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Values of each metric per case and seed, and the seconds of each fit (of a resumed one, of its last part)."""

    values: dict[str, np.ndarray]
    seconds: np.ndarray


def outcome(name: str, row: Row, data: Dataset, seeds: int, folder: Path, metrics: Sequence[str]) -> Outcome:
    """Fit and evaluate a row with each seed; what an earlier run has finished in ``folder`` is taken over."""
    found = []
    for seed in range(seeds):
        path = folder / f"{name}-{seed}.npz"
        if not path.exists():
            checkpoint = folder / f"{name}-{seed}.checkpoint"
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            with progress_shown() as progress:
                runtime = Runtime("cpu", "bf16", checkpoint=checkpoint, resume=True, progress=progress)
                started = time.perf_counter()
                model = row.fit(data, seed, runtime)
                seconds = time.perf_counter() - started
            evaluation = segue.evaluate(model, data)
            unfinished = path.with_suffix(".part.npz")
            np.savez(unfinished, seconds=seconds, **{metric: evaluation.values[metric] for metric in metrics})
            unfinished.replace(path)
            for leftover in folder.glob(f"{checkpoint.name}*"):
                leftover.unlink()
        found.append(np.load(path))
    return Outcome(
        {metric: np.stack([one[metric] for one in found]) for metric in metrics},
        np.array([one["seconds"] for one in found]),
    )


def folder_for(parent: Path, data: Dataset, **settings: object) -> Path:
    """Return the folder for results under these settings on these data, so that no others are taken for them."""
    name = hashlib.sha256(repr((data.hash, sorted(settings.items()))).encode()).hexdigest()[:8]
    folder = parent / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def compare(rows: Mapping[str, Row], data: Dataset, *, seeds: int, folder: Path, metrics: Sequence[str]) -> None:
    """Print a line per row: the mean and deviation over the seeds, and the difference from another row.

    The test of a difference is paired over sessions; a case counts by its mean over the seeds. The p-values are those
    of single comparisons.
    """
    groups, outcomes = data.test.groups, {}
    print(f"protocol {data.hash}, {len(groups):,} cases, {seeds} seeds", flush=True)
    for name, row in rows.items():
        outcomes[name] = outcome(name, row, data, seeds, folder, metrics)
        parts = []
        for metric, values in outcomes[name].values.items():
            means = values.mean(axis=1)
            parts.append(f"{metric} {means.mean():.4f} ({means.std(ddof=min(1, seeds - 1)):.4f})")
            if row.against is not None:
                difference = values.mean(axis=0) - outcomes[row.against].values[metric].mean(axis=0)
                (test,) = paired_tests(difference[:, None], groups.astype(np.int64))
                low, high = test.interval
                parts.append(f"{test.difference:+.4f} [{low:+.4f}, {high:+.4f}] p {test.p_value:.4f}")
        print(f"{name:24} {'  '.join(parts)}  {outcomes[name].seconds.mean():.0f} s", flush=True)
