"""Daily updates of a network against daily retraining and against a model that is never updated.

    python benchmarks/update.py LOG [--models gru4rec,sasrec] [--sessions 14000] [--day 700] [--seeds 1] [--skip 0]

The most recent sessions of the log (with --skip, those before the last ones), in order of their end, are cut into days
of an equal number of sessions. A model is trained on all days before the last six; then, on each of five days, it is
updated with the day that is over, and tested on the next one: every event but the first of each session is predicted.
An event on an item that a model does not know counts as a miss. Other models are trained again on all days so far, and
never again. Differences are from the retrained model and from the one that is never updated, with the 95% interval over
all cases of the five days, sessions resampled; seconds are the processor time of the five updates or trainings.
"""

import argparse
import time
from typing import Any

import numpy as np
import polars as pl

import segue
from segue.data.events import sort_events
from segue.data.growth import grow
from segue.data.sessions import Sessions
from segue.markdown import table
from segue.models.verification import METRICS, changes, next_item_values, sessions_of_targets
from segue.protocols.cases import encode

SETTINGS: dict[str, dict[str, Any]] = {
    "gru4rec": {"dropout_hidden": 0.2, "training": {"epochs": 10, "loss": {"kind": "cross-entropy", "n_samples": 256}}},
    "sasrec": {
        "max_length": 20,
        "dropout": 0.3,
        "training": {"epochs": 8, "optimizer": "mixed", "loss": {"kind": "sampled-softmax", "n_samples": 512}},
    },
}
DAYS = 5
OTHERS = ("retrain", "never")
ANEW, ALONE, REPLAY = "update, Adagrad starts anew", "update", "update, history"
"""Ways to update, all with the default plan."""


def days_of(log: segue.Events, sessions: int, day: int, skip: int = 0) -> list[pl.DataFrame]:
    """Return the most recent sessions but for the last ``skip``, in order of their end: the history, and six days."""
    frame = log.frame.with_columns(session=pl.format("{}/{}", "part", "session")) if log.has_parts else log.frame
    frame = frame.filter(pl.len().over("session") >= 2)
    row = pl.int_range(pl.len()).alias("row")
    ends = (
        frame.with_columns(row)
        .group_by("session")
        .agg(pl.col("time" if log.has_time else "row").max(), pl.col("row").max().alias("last"))
    )
    ends = ends.sort("time" if log.has_time else "row", "last").head(len(ends) - skip)
    ends = ends.tail(sessions).with_columns(number=pl.int_range(pl.len()))
    block = ((pl.col("number") - pl.len() + (DAYS + 1) * day) // day).clip(lower_bound=-1)
    placed = frame.with_columns(row).join(ends.select("session", "number", block=block), on="session")
    order = ["number", *(["time"] if log.has_time else []), "row"]
    placed = placed.sort(order).select("block", "item", session="number")
    return placed.partition_by("block", include_key=False, maintain_order=True)


def encoded(log: pl.DataFrame, vocabulary: segue.Vocabulary) -> Sessions:
    """Encode sessions in order; times are left out."""
    return encode(sort_events(log), vocabulary)[0]


def without_state(model: segue.Model) -> segue.Model:
    """Return a copy of a model whose updates start with a new optimizer."""
    return type(model)(model.config).restore(model.arrays(), model.vocabulary)


class Strategy:
    """A model that follows the log in one way, with what it has cost and reached so far."""

    def __init__(self, model: segue.Model) -> None:
        self.model = model
        self.seconds = 0.0
        self.values: list[np.ndarray] = []

    def take(self, model: segue.Model, started: float) -> None:
        """Go on with another model."""
        self.model = model
        self.seconds += time.process_time() - started


def follow(name: str, days: list[pl.DataFrame], seed: int) -> tuple[dict[str, Strategy], np.ndarray]:
    """Run all strategies; return them, and the session of each case."""
    kind = segue.model_class(name)
    vocabulary = segue.Vocabulary.from_items(days[0]["item"])
    base = kind(**SETTINGS[name]).fit(encoded(days[0], vocabulary), seed=seed)
    strategies = {way: Strategy(base) for way in ("never", ANEW, ALONE, REPLAY, "retrain")}
    strategies[ANEW] = Strategy(without_state(base))
    groups: list[np.ndarray] = []
    for number in range(1, len(days) - 1):
        vocabulary = grow(vocabulary, days[number]["item"])
        recent = encoded(days[number], vocabulary)
        history = encoded(pl.concat(days[:number]), vocabulary)
        for way in (ANEW, ALONE, REPLAY):
            before, replayed = strategies[way].model, history if way == REPLAY else None
            started = time.process_time()
            after = before.update(recent, history=replayed, seed=seed)
            strategies[way].take(without_state(after) if way == ANEW else after, started)
        everything = encoded(pl.concat(days[: number + 1]), vocabulary)
        started = time.process_time()
        strategies["retrain"].take(kind(**SETTINGS[name]).fit(everything, seed=seed), started)
        later = encoded(days[number + 1], grow(vocabulary, days[number + 1]["item"]))
        for one in strategies.values():
            one.values.append(next_item_values(one.model, later))
        offset = 1 + max((int(part.max()) for part in groups), default=-1)
        groups.append(sessions_of_targets(later) + offset)
        means = {way: one.values[-1].mean(axis=0).round(4).tolist() for way, one in strategies.items()}
        print(f"{name}, seed {seed}, day {number}: {means}", flush=True)
    return strategies, np.concatenate(groups)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--models", default="gru4rec,sasrec")
    parser.add_argument("--sessions", type=int, default=14_000)
    parser.add_argument("--day", type=int, default=700)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="Leave out so many of the most recent sessions.")
    args = parser.parse_args()
    days = days_of(segue.read(args.log), args.sessions, args.day, args.skip)
    print(f"events before the updates and of each day: {[day.height for day in days]}")
    rows = []
    for name in args.models.split(","):
        rows += report(name, [follow(name, days, seed) for seed in range(args.seeds)])
    differences = [f"{metric}, from {other}" for other in OTHERS for metric in METRICS]
    print(table(["model", "strategy", *METRICS, *differences, "CPU s"], rows))


def report(name: str, runs: list[tuple[dict[str, Strategy], np.ndarray]]) -> list[list[str]]:
    """Return the rows of a model: the mean of all seeds, case by case."""
    groups, ways = runs[0][1], list(runs[0][0])
    values = {way: np.mean([np.concatenate(run[way].values) for run, _ in runs], axis=0) for way in ways}
    rows = []
    for way, found in values.items():
        differences = [
            "" if way == other else f"{one.after - one.before:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"
            for other in OTHERS
            for one in changes(values[other], found, groups).values()
        ]
        seconds = float(np.mean([run[way].seconds for run, _ in runs]))
        rows.append([name, way, *(f"{mean:.4f}" for mean in found.mean(axis=0)), *differences, f"{seconds:.1f}"])
    return rows


if __name__ == "__main__":
    main()
