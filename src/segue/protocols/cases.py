"""Encode an ordered log as flat arrays of item indices: training sessions, and test cases of a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Int32, Int64

from segue.data.arrays import concatenate_ranges
from segue.data.cases import Cases
from segue.data.events import ITEM, PART, ROW, SECOND, SESSION, TIME, SessionBounds, sessions_by_end
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING, Vocabulary
from segue.parameters import Section

Targets = Literal["every-next", "first", "last", "together", "next-basket"]
"""The held-out events of a session that become test cases. ``"together"`` makes one case with several targets;
``"next-basket"`` makes one case of the last basket, the events with the time of the last event."""

_HELD_OUT = "__held_out__"
_NOT_FREE = (SESSION, ITEM, TIME, PART, ROW, _HELD_OUT)
"""Columns that sessions store in another form, and internal columns."""


class CaseRules(Section):
    """Which held-out events are predicted, from which input, and which items are excluded from the candidates."""

    targets: Targets = "every-next"
    """Which held-out events of a session are predicted: every one, the first or the last, each from all earlier events
    of the session; or all together, as one case with several relevant items, from the events that are not held out.
    next-basket: the last basket (all events with the time of the last event) is one case with several relevant
    items."""
    repeat_targets: bool = True
    """Whether events on items that occurred earlier in the session are also test cases."""
    feed_valid: bool = True
    """Whether validation events of a session are part of the input of its test cases."""
    exclude_seen: bool = False
    """If true, items that are already in the session are never recommended."""
    label: str = "rating"
    """Numeric column of the log with the label of each event; used with ranking.candidates=labeled."""
    label_threshold: float | None = None
    """Threshold for binary labels: 1 if the value is at least this, else 0; none uses the value itself as the label.
    Used with ranking.candidates=labeled."""


def encode(log: pl.DataFrame, vocabulary: Vocabulary) -> tuple[Sessions, Int64[np.ndarray, "n"]]:
    """Encode the events on known items; sessions are sorted by the time of their last event.

    Returns:
        The sessions, and the row of ``log`` that each of their events comes from.
    """
    index = vocabulary.encode(log["item"])
    known = index != PADDING
    if not known.all():
        sessions, rows = encode(log.filter(pl.Series(known)), vocabulary)
        return sessions, np.flatnonzero(known)[rows]
    bounds = SessionBounds.of(log)
    order = sessions_by_end(log, bounds)
    lengths = bounds.lengths[order]
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    rows = concatenate_ranges(bounds.starts[order], lengths)
    times = log["time"].to_physical().to_numpy()[rows] if "time" in log.columns else None
    if times is not None:
        np.floor_divide(times, SECOND, out=times)
    free = [name for name in log.columns if name not in _NOT_FREE]
    columns = log.select(free)[rows] if free else None
    keys = log.select(SESSION)[bounds.starts[order]]
    return Sessions(index[rows], offsets, times, vocabulary, columns, keys=keys), rows


def encode_cases(
    held_out: pl.DataFrame,
    earlier: Sequence[pl.DataFrame],
    vocabulary: Vocabulary,
    *,
    targets: Targets = "every-next",
    exclude_seen: bool = False,
    repeat_targets: bool = True,
    label: str | None = None,
) -> tuple[Cases, pl.DataFrame]:
    """Turn held-out events into test cases, each with all earlier events of its session as input.

    Events on unknown items are dropped, both as targets and as input. Targets without input are dropped.

    Args:
        held_out: the events to predict.
        earlier: logs with earlier events, oldest first; only events of the same sessions are used.
        vocabulary: the known items.
        targets: every held-out event is a target, or only the first or last of each session, or all of them together
            are the targets of one case, given what is not held out; or those of the last basket are, given all before.
        exclude_seen: items of the prefix are not candidates.
        repeat_targets: an event on an item that occurred earlier in its session can also be a target.
        label: numeric column of ``held_out`` with the label of each target; events without a label are dropped.

    Returns:
        The cases, and the rows of ``held_out`` that are left: known items, in sessions with a case.
    """
    encoded = encode_cases_of(
        held_out,
        earlier,
        vocabulary,
        targets=targets,
        exclude_seen=exclude_seen,
        repeat_targets=repeat_targets,
        label=label,
    )
    return encoded.cases, encoded.left


@dataclass(frozen=True, eq=False)
class EncodedCases:
    """Test cases, and the sessions that they are part of.

    Attributes:
        cases: the cases.
        sessions: the held-out and all earlier events of the held-out sessions.
        log: the log that these were encoded from.
        rows: the row of ``log`` of each encoded event.
        left: the rows of the held-out log that are left: known items, in sessions with a case.
    """

    cases: Cases
    sessions: Sessions
    log: pl.DataFrame
    rows: Int64[np.ndarray, "n"]
    left: pl.DataFrame


def encode_cases_of(
    held_out: pl.DataFrame,
    earlier: Sequence[pl.DataFrame],
    vocabulary: Vocabulary,
    *,
    targets: Targets,
    exclude_seen: bool,
    repeat_targets: bool,
    label: str | None,
) -> EncodedCases:
    """Do what ``encode_cases`` does, and also return the encoded sessions."""
    if label is not None:
        held_out = held_out.filter(pl.col(label).cast(pl.Float64).is_finite())
    sessions = held_out.select("session").unique()
    history = [log.join(sessions, on="session", how="semi", maintain_order="left") for log in earlier]
    parts = [log.with_columns(pl.lit(value=False).alias(_HELD_OUT)) for log in history]
    whole = pl.concat([*parts, held_out.with_columns(pl.lit(value=True).alias(_HELD_OUT))]).sort(
        "session", maintain_order=True
    )
    encoded, rows = encode(whole, vocabulary)
    predicted = whole[_HELD_OUT].to_numpy()[rows]
    groups = np.repeat(np.arange(len(encoded)), encoded.lengths)
    wanted = predicted if repeat_targets else predicted & _new(encoded.items, groups)
    if targets == "together":
        cases = _together(encoded, predicted, wanted, groups, exclude_seen)
    elif targets == "next-basket":
        basket = predicted & _in_last_basket(encoded)
        cases = _together(encoded, basket, wanted & basket, groups, exclude_seen)
    else:
        events = _target_events(encoded, wanted, targets)
        prefixes = encoded.prefixes(encoded.offsets[groups[events]], events, ahead=True)
        labels = None if label is None else whole[label].cast(pl.Float64).to_numpy()[rows[events]]
        cases = Cases(prefixes, encoded.items[events], groups[events], exclude_seen, labels=labels)
    tested = np.zeros(len(encoded), dtype=bool)
    tested[cases.groups] = True
    left = whole[np.sort(rows[tested[groups]])].filter(_HELD_OUT).drop(_HELD_OUT)
    return EncodedCases(cases, encoded, whole, rows, left)


def _new(items: Int32[np.ndarray, "n"], sessions: Int64[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Tell which events are the first of their session on their item."""
    pairs = pl.DataFrame({"session": sessions, "item": items})
    return pairs.select(pl.struct("session", "item").is_first_distinct()).to_series().to_numpy()


def _together(
    sessions: Sessions,
    held_out: Bool[np.ndarray, "n"],
    wanted: Bool[np.ndarray, "n"],
    groups: Int64[np.ndarray, "n"],
    exclude_seen: bool,
) -> Cases:
    """Return one case per session with events that are not held out; the targets are the held-out items."""
    kept = sessions.lengths - np.bincount(groups, weights=held_out, minlength=len(sessions)).astype(np.int64)
    pairs = pl.DataFrame({"session": groups, "item": sessions.items})
    pairs = pairs.filter(pl.Series(wanted & (kept > 0)[groups])).unique(maintain_order=True)
    tested, counts = np.unique(pairs["session"].to_numpy(), return_counts=True)
    starts = sessions.offsets[tested]
    return Cases(
        sessions.prefixes(starts, starts + kept[tested], ahead=True),
        pairs["item"].to_numpy(),
        tested,
        exclude_seen,
        offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]),
    )


def _in_last_basket(sessions: Sessions) -> Bool[np.ndarray, "n"]:
    """Tell which events have the time of the last event of their session."""
    assert sessions.times is not None
    in_last: np.ndarray = sessions.times == np.repeat(sessions.times[sessions.offsets[1:] - 1], sessions.lengths)
    return in_last


def _target_events(
    sessions: Sessions, wanted: Bool[np.ndarray, "n"], targets: Literal["every-next", "first", "last"]
) -> Int64[np.ndarray, "C"]:
    """Return the positions of the events to predict."""
    first = np.zeros(len(wanted), dtype=bool)
    first[sessions.offsets[:-1]] = True
    events = np.flatnonzero(wanted & ~first)
    groups = np.searchsorted(sessions.offsets, events, side="right")
    chosen = {
        "every-next": np.ones(len(events), dtype=bool),
        "first": np.diff(groups, prepend=-1) != 0,
        "last": np.diff(groups, append=-1) != 0,
    }
    return events.compress(chosen[targets])


def count_seen_targets(cases: Cases) -> int:
    """Count the targets of ``encode_cases`` that also occur in the prefix of their case.

    A prefix starts at the first event of its session; a single target directly follows its prefix.
    """
    prefixes = cases.prefixes
    if cases.offsets is not None:
        rows, events = prefixes.events()
        seen = pl.DataFrame({"case": rows, "item": prefixes.items[events]})
        wanted = pl.DataFrame({"case": np.repeat(np.arange(len(cases)), cases.counts), "item": cases.targets})
        return wanted.join(seen, on=["case", "item"], how="semi").height
    session = np.searchsorted(np.unique(prefixes.starts), np.arange(len(prefixes.items)), side="right")
    return int((~_new(prefixes.items, session))[prefixes.ends].sum())
