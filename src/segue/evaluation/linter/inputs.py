"""Checks of the input of models: the catalogue, the prefixes of cases, the columns of the log."""

import math

import numpy as np
import polars as pl
from jaxtyping import Int32, Int64

from segue.data.sessions import Prefixes, Sessions
from segue.evaluation.linter.checks import MIN_TEST_SESSIONS, Issue, evenly_spaced
from segue.evaluation.linter.split import first_targets, follows_prefix
from segue.metrics import MetricName
from segue.protocols.cases import count_seen_targets
from segue.protocols.dataset import Dataset

_SAMPLED_CASES = 20_000
"""Maximum number of cases, or training events, to estimate a share from."""

_SAMPLED_EVENTS = 5_000_000
"""Maximum number of events of their prefixes."""

EXCESS_LAST, EXCESS_ANYWHERE = 0.25, 0.5
"""Excess shares above which the target leaks: of cases whose target is the last event of, or anywhere in, their prefix,
among the cases for which this is not expected from the repetitions in the log."""

MAX_DOUBLE = 0.05
"""Tolerated share of targets that repeat the previous event in the same second."""

MAX_EXCLUDED = 0.01
"""Share of targets that are excluded above which the metrics are doubtful."""

MAX_ONE_MOMENT = 0.25
"""Tolerated share of training sessions whose events have one time."""

MAX_NAMED = 0.9
"""Tolerated share of events with the next item in a column."""


def vocabulary_from_test(data: Dataset) -> Issue | None:
    """Find items without a training event, and supports that differ from the number of training events."""
    n = data.vocabulary.n_trained
    support = data.vocabulary.support[1 : n + 1]
    counts = np.bincount(data.train.items, minlength=n + 1)[1 : n + 1]
    untrained, different = int((counts == 0).sum()), int((counts != support).sum())
    if not different:
        return None
    tested = np.unique(data.test.targets)
    untrained_targets = int((counts[tested[tested <= n] - 1] == 0).sum())
    return Issue(
        f"{untrained:,} of {n:,} items have no training event ({untrained_targets:,} of them are test targets), and "
        f"the support of {different:,} items is not their number of training events: the catalogue was not counted on "
        "the training part; learn it from the training part only, as segue.prepare does by default"
    )


def future_in_input(data: Dataset) -> Issue | None:
    """Find test cases whose prefix contains an event later than the target."""
    prefixes = data.test.prefixes
    cases = np.flatnonzero(follows_prefix(data.test) & (prefixes.lengths > 0))
    if prefixes.times is None or not len(cases):
        return None
    ends = prefixes.ends[cases]
    latest = _latest_so_far(prefixes.times, np.unique(prefixes.starts))[ends - 1]
    count = int((latest > prefixes.times[ends]).sum())
    if not count:
        return None
    return Issue(
        f"in {count:,} of {len(data.test):,} test cases ({count / len(data.test):.1%}) the input contains events "
        "after the target: models see the future; hold out the last events of a history, with "
        "protocol.split.order=time or the protocol 'global-time'"
    )


def target_in_input(data: Dataset) -> Issue | None:
    """Find targets that occur in their prefix more often than expected from the repetitions in the log.

    A visitor may return to an item, so a single repeat is not a sign of a leak; what counts is the share of cases with
    their target in the prefix beyond that of the training sessions.
    """
    cases, groups = data.test, len(np.unique(data.test.groups))
    misplaced = f"{int((~follows_prefix(cases)).sum()):,} targets do not directly follow their input"
    remedy = "end the input before the target: an index is off by one, or training contains test events"
    training, test = _training_cases(data), (cases.prefixes, first_targets(cases))
    for share_of, least, where, habit in (
        (_share_last, EXCESS_LAST, "the last event of the input is", "repeat the previous item"),
        (_share_anywhere, EXCESS_ANYWHERE, "the input contains", "are on an item seen before"),
    ):
        usual, share = share_of(*training), share_of(*test)
        if _is_excessive(share, usual, least, groups):
            return Issue(
                f"{where} the target in {share:.1%} of the test cases, while {usual:.1%} of the training events "
                f"{habit}, and {misplaced}: the target is in the input; {remedy}"
            )
    return None


def has_enough_sessions(data: Dataset) -> bool:
    """Whether the test part can tell models apart."""
    return len(np.unique(data.test.groups)) >= MIN_TEST_SESSIONS


def few_sessions(data: Dataset) -> Issue | None:
    """Find test parts that are too small to compare models on."""
    sessions = len(np.unique(data.test.groups))
    if has_enough_sessions(data):
        return None
    verb = "session is" if sessions == 1 else "sessions are"
    return Issue(
        f"{sessions:,} test {verb} too few to compare models or to judge their lists; hold out more, for example by "
        "protocol.split.test_share=0.5"
    )


def cutoff_above_catalogue(data: Dataset) -> Issue | None:
    """Find metrics whose list contains all candidates, so that every model finds every target."""
    n = len(data.vocabulary)
    ks = sorted(
        {
            k
            for metric in MetricName.parse_all(data.protocol.ranking.metrics).values()
            if math.isfinite(k := metric.k) and k >= n
        }
    )
    if not ks:
        return None
    return Issue(
        f"the catalogue has {n:,} items, so lists of {', '.join(map(str, ks))} contain all of them: recall is 1 for "
        f"every model; set protocol.ranking.metrics to cut-offs below {n:,}"
    )


def excluded_targets(data: Dataset) -> Issue | None:
    """Find targets that are not candidates, because their session or user has seen them before."""
    if not data.protocol.cases.exclude_seen or data.test.labels is not None:
        return None
    seen, total = count_seen_targets(data.test), len(data.test.targets)
    if not seen:
        return None
    message = (
        f"{seen:,} of {total:,} targets ({seen / total:.1%}) were seen before and can never be found, since seen items "
        "are excluded; --set protocol.cases.exclude_seen=false makes them candidates"
    )
    return Issue(message, None if seen > MAX_EXCLUDED * total else "note")


def equal_times(data: Dataset) -> Issue | None:
    """Find sessions whose events share one moment, so that their order is only that of the file: baskets."""
    train, several = data.train, data.train.lengths > 1
    if train.times is None or not several.any():
        return None
    first, last = train.offsets[:-1][several], train.offsets[1:][several] - 1
    same, total = int((train.times[first] == train.times[last]).sum()), int(several.sum())
    if same <= MAX_ONE_MOMENT * total:
        return None
    return Issue(
        f"in {same:,} of {total:,} training sessions of two events or more, all events have the same time: the order "
        "of the file is taken as the order of the events, which it may not be; "
        "if they are baskets, choose models that ignore the order (item-knn, als, bpr), or take users' histories as "
        "sessions (--columns session=USER): then baskets=true of markov and sequential-rules, basket=equal-times of "
        "fpmc and protocol.cases.targets=next-basket go from basket to basket"
    )


def double_events(data: Dataset) -> Issue | None:
    """Find targets that repeat the previous event in the same second: clicks that were logged twice."""
    cases, prefixes = data.test, data.test.prefixes
    at = np.flatnonzero(follows_prefix(cases) & (prefixes.lengths > 0))
    if prefixes.times is None or not len(at) or not (prefixes.times % 60).any():
        return None  # Times in whole minutes or days cannot tell a second click from a second log line.
    ends = prefixes.ends[at]
    same = (prefixes.items[ends] == prefixes.items[ends - 1]) & (prefixes.times[ends] == prefixes.times[ends - 1])
    share = same.sum() / len(cases)
    if share <= MAX_DOUBLE:
        return None
    return Issue(
        f"{int(same.sum()):,} of {len(cases):,} targets ({share:.1%}) repeat the previous event in the same second: "
        "clicks were logged twice, so every second target is known; set protocol.cleaning.drop_duplicates or "
        "drop_consecutive_repeats"
    )


def target_in_column(data: Dataset) -> Issue | None:
    """Find columns of the log that contain the item of the next event."""
    columns, train = data.train.columns, data.train
    targets, _ = train.targets()
    if columns is None or not len(targets):
        return None
    targets = targets[evenly_spaced(len(targets), _SAMPLED_CASES)]
    names = [name for name in columns.columns if columns[name].dtype.is_integer() or columns[name].dtype == pl.String]
    shares = {name: _share_named(train, columns[name], targets) for name in names}
    listed = [f"'{name}' ({share:.1%} of the events)" for name, share in shares.items() if share > MAX_NAMED]
    if not listed:
        return None
    return Issue(
        f"column {' and '.join(listed)} contains the item of the next event: a model that reads it knows the target; "
        "drop the column"
    )


def _share_named(train: Sessions, column: pl.Series, targets: Int64[np.ndarray, "t"]) -> float:
    return float((train.vocabulary.encode(column.gather(targets - 1)) == train.items[targets]).mean())


def _training_cases(data: Dataset) -> tuple[Prefixes, Int32[np.ndarray, "t"]]:
    """Return prefixes and targets of training events; only of last events if the test has one case per session."""
    train = data.train
    targets, starts = train.targets()
    if len(data.test) == len(np.unique(data.test.groups)) and len(targets):
        last = np.append(np.diff(starts) != 0, True)
        targets, starts = targets[last], starts[last]
    chosen = evenly_spaced(len(targets), _SAMPLED_CASES)
    return train.prefixes(starts[chosen], targets[chosen]), train.items[targets[chosen]]


def _share_last(prefixes: Prefixes, targets: Int32[np.ndarray, "c"]) -> float:
    some = prefixes.lengths > 0
    if not some.any():
        return 0.0
    return float((prefixes.items[prefixes.ends[some] - 1] == targets[some]).mean())


def _share_anywhere(prefixes: Prefixes, targets: Int32[np.ndarray, "c"]) -> float:
    if not len(prefixes):
        return 0.0
    most = _SAMPLED_EVENTS / max(float(prefixes.lengths.mean()), 1.0)
    chosen = evenly_spaced(len(prefixes), int(min(_SAMPLED_CASES, max(most, 1.0))))
    prefixes, targets = prefixes[chosen], targets[chosen]
    rows, events = prefixes.events()
    found = rows[prefixes.items[events] == targets[rows]]
    return len(np.unique(found)) / len(prefixes)


def _is_excessive(share: float, usual: float, least: float, groups: int) -> bool:
    """Return whether a share is far above the usual share, and chance in a few sessions cannot explain it."""
    chance = 4 * math.sqrt(0.25 / max(groups, 1))
    return usual < 1 and share - usual > max(least * (1 - usual), chance)


def _latest_so_far(times: Int64[np.ndarray, "n"], starts: Int64[np.ndarray, "s"]) -> Int64[np.ndarray, "n"]:
    """Return the latest time up to each event, restarting at each of ``starts``."""
    least = int(times.min())
    step = int(times.max()) - least + 1
    number = np.zeros(len(times), dtype=np.int64)
    number[starts[starts < len(times)]] = 1
    shift = np.cumsum(number) * step - least
    latest: np.ndarray = np.maximum.accumulate(times + shift) - shift
    return latest
