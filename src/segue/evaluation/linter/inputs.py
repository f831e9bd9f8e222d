"""Checks of what a model is given: the catalogue, the input of a case, the columns of the log."""

import math

import numpy as np
import polars as pl
from jaxtyping import Int32, Int64

from segue.data.sessions import Prefixes, Sessions
from segue.evaluation.linter.finding import Found
from segue.evaluation.linter.holdout import first_targets, in_place, sample
from segue.protocols.dataset import Dataset

_MOST_CASES = 20_000
"""Cases, or training events, that a share is estimated from."""

_MOST_EVENTS = 5_000_000
"""Events looked at on the way."""

ODD_REPEATS, ODD_SEEN = 0.25, 0.5
"""Share of the cases that would not have their target in the input by the log's own habit, from which on it is a leak:
as the last event, and anywhere."""

DOUBLE = 0.05
"""Share of targets that repeat the event before in the same second, from which on clicks were logged twice."""

COLUMN = 0.9
"""Share of the events whose column names the next item, from which on the column gives the answer away."""


def vocabulary_from_test(data: Dataset) -> Found | None:
    """Find items that no training event holds, and supports that count other events than those of training."""
    n = data.vocabulary.n_trained
    support = data.vocabulary.support[1 : n + 1]
    counts = np.bincount(data.train.items, minlength=n + 1)[1 : n + 1]
    unheard, other = int((counts == 0).sum()), int((counts != support).sum())
    if not other:
        return None
    tested = np.unique(data.test.targets)
    asked = int((counts[tested[tested <= n] - 1] == 0).sum())
    return Found(
        f"{unheard:,} of {n:,} items have no training event ({asked:,} of them are test targets), and the support of "
        f"{other:,} items is not their number of training events: the catalogue was counted on other events than those "
        "of training; learn it from the training part alone, as segue.prepare does unless it is given a vocabulary"
    )


def target_in_input(data: Dataset) -> Found | None:
    """Find targets that stand in the input more often than the log repeats itself.

    A visitor may well return to an item, so a single repeat says nothing; what counts is how many cases have their
    target inside beyond what the training sessions have.
    """
    cases, groups = data.test, len(np.unique(data.test.groups))
    usual, now = _share_last(*_training_cases(data)), _share_last(cases.prefixes, first_targets(cases))
    place = f"{int((~in_place(cases)).sum()):,} targets do not stand right behind their input"
    remedy = "end the input before the target: an index is off by one, or training holds what is tested"
    if _odd(now, usual, ODD_REPEATS, groups):
        return Found(
            f"the last event of the input is the target in {now:.1%} of the test cases, where the item before is "
            f"repeated in {usual:.1%} of the events of training, and {place}: the answer is in the input; {remedy}"
        )
    usual, now = _share_seen(*_training_cases(data)), _share_seen(cases.prefixes, first_targets(cases))
    if _odd(now, usual, ODD_SEEN, groups):
        return Found(
            f"the input holds the target in {now:.1%} of the test cases, where {usual:.1%} of the events of "
            f"training are on an item seen before, and {place}: the answer is in the input; {remedy}"
        )
    return None


def double_events(data: Dataset) -> Found | None:
    """Find targets that repeat the event before in the very same second: clicks that were logged twice."""
    cases, prefixes = data.test, data.test.prefixes
    at = np.flatnonzero(in_place(cases) & (prefixes.lengths > 0))
    if prefixes.times is None or not len(at) or not (prefixes.times % 60).any():
        return None  # Times in whole minutes or days cannot tell a second click from a second log line.
    ends = prefixes.ends[at]
    same = (prefixes.items[ends] == prefixes.items[ends - 1]) & (prefixes.times[ends] == prefixes.times[ends - 1])
    share = same.sum() / len(cases)
    if share <= DOUBLE:
        return None
    return Found(
        f"{int(same.sum()):,} of {len(cases):,} targets ({share:.1%}) repeat the event before in the same second: "
        "clicks were logged twice, and every second answer is known; set protocol.cleaning.drop_duplicates or "
        "drop_repeats"
    )


def target_in_column(data: Dataset) -> Found | None:
    """Find columns of the log that name the item of the next event."""
    columns, train = data.train.columns, data.train
    targets, _ = train.targets()
    if columns is None or not len(targets):
        return None
    targets = targets[sample(len(targets), _MOST_CASES)]
    names = [name for name in columns.columns if columns[name].dtype.is_integer() or columns[name].dtype == pl.String]
    shares = {name: _share_named(train, columns[name], targets) for name in names}
    told = {name: share for name, share in shares.items() if share > COLUMN}
    if not told:
        return None
    listed = " and ".join(f"'{name}' ({share:.1%} of the events)" for name, share in told.items())
    return Found(f"column {listed} names the item of the next event: a model that reads it knows the answer; drop it")


def _share_named(train: Sessions, column: pl.Series, targets: Int64[np.ndarray, "t"]) -> float:
    return float((train.vocabulary.encode(column.gather(targets - 1)) == train.items[targets]).mean())


def _training_cases(data: Dataset) -> tuple[Prefixes, Int32[np.ndarray, "t"]]:
    """Return training events as cases are: with what came before; the last of each session if one is tested of each."""
    train = data.train
    targets, starts = train.targets()
    if len(data.test) == len(np.unique(data.test.groups)) and len(targets):
        last = np.append(np.diff(starts) != 0, True)
        targets, starts = targets[last], starts[last]
    chosen = sample(len(targets), _MOST_CASES)
    return train.prefixes(starts[chosen], targets[chosen]), train.items[targets[chosen]]


def _share_last(prefixes: Prefixes, targets: Int32[np.ndarray, "c"]) -> float:
    some = prefixes.lengths > 0
    if not some.any():
        return 0.0
    return float((prefixes.items[prefixes.ends[some] - 1] == targets[some]).mean())


def _share_seen(prefixes: Prefixes, targets: Int32[np.ndarray, "c"]) -> float:
    if not len(prefixes):
        return 0.0
    most = _MOST_EVENTS / max(float(prefixes.lengths.mean()), 1.0)
    chosen = sample(len(prefixes), int(min(_MOST_CASES, max(most, 1.0))))
    prefixes, targets = prefixes[chosen], targets[chosen]
    rows, events = prefixes.events()
    found = rows[prefixes.items[events] == targets[rows]]
    return len(np.unique(found)) / len(prefixes)


def _odd(now: float, usual: float, least: float, groups: int) -> bool:
    """Tell whether a share is far above the usual one, and not by the chance of a few sessions."""
    chance = 4 * math.sqrt(0.25 / max(groups, 1))
    return now - usual > max(least * (1 - usual), chance) if usual < 1 else False
