"""Counting which items co-occur in sessions, one first item at a time, without an N x N matrix."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64

from segue.compiled import njit
from segue.data.arrays import read_only
from segue.data.baskets import Baskets
from segue.data.sessions import Sessions
from segue.models.decay import SessionWeights


class EventIndex(NamedTuple):
    """The events of a training log, by session and by item.

    Attributes:
        items: item of each event.
        steps: number of each event, or of its basket.
        owners: session of each event.
        sessions: session ``s`` is ``items[sessions[s]:sessions[s + 1]]``.
        positions: the events ordered by item.
        offsets: the events on item j are ``positions[offsets[j]:offsets[j + 1]]``.
    """

    items: Int32[np.ndarray, "n"]
    steps: Int64[np.ndarray, "n"]
    owners: Int32[np.ndarray, "n"]
    sessions: Int64[np.ndarray, "s+1"]
    positions: Int64[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "N+2"]


class PairWeights(NamedTuple):
    """The weight of a pair of events.

    Attributes:
        around: pair an event with each other item of its whole session, before and after, once.
        distance: weight by distance in steps; pairs further apart, or in one step, do not count. Not used with
            ``around``.
        session: weight of each session, above 0.
        column: factor of a pair by its second item, applied before the best are chosen.
        last: what sums of session weights are divided by.
        priority: items with equal weight are kept in ascending order of it.
        keep: second items kept per item.
    """

    around: bool
    distance: Float64[np.ndarray, "D+1"]
    session: Float64[np.ndarray, "s"]
    column: Float64[np.ndarray, "N+1"]
    last: float
    priority: Int64[np.ndarray, "N+1"]
    keep: int


class PairTable(NamedTuple):
    """The summed weights of all pairs, without the column factor.

    Attributes:
        offsets: row j is ``items[offsets[j]:offsets[j + 1]]``.
        items: second items in order of appearance.
        sums: the sums.
    """

    offsets: Int64[np.ndarray, "N+2"]
    items: Int32[np.ndarray, "p"]
    sums: Float64[np.ndarray, "p"]


class PairSums(NamedTuple):
    """The summed weights of the pairs of one first item.

    Attributes:
        weights: weight of the pairs with each second item; zeros at first.
        seen: last event that was paired with the second item; -1 at first.
        touched: second items in order of appearance.
    """

    weights: Float64[np.ndarray, "N+1"]
    seen: Int64[np.ndarray, "N+1"]
    touched: Int32[np.ndarray, "N+1"]


@njit()
def _recall_pairs(item: int, before: PairTable, sums: PairSums) -> int:
    """Take up the row of ``item`` in an earlier table; return the number of different second items."""
    start = before.offsets[item]
    found = int(before.offsets[item + 1] - start)
    for place in range(found):
        partner = before.items[start + place]
        sums.touched[place] = partner
        sums.weights[partner] = before.sums[start + place]
    return found


@njit()
def _add_pairs(item: int, found: int, log: EventIndex, pairs: PairWeights, sums: PairSums) -> int:
    """Add all pairs whose first item is ``item``; return the number of different second items, ``found`` at first."""
    for position in log.positions[log.offsets[item] : log.offsets[item + 1]]:
        owner = log.owners[position]
        first = log.sessions[owner] if pairs.around else position + 1
        for other in range(first, log.sessions[owner + 1]):
            partner, steps = log.items[other], log.steps[other] - log.steps[position]
            if pairs.around and (partner == item or sums.seen[partner] == position):
                continue
            if not pairs.around:
                if steps >= len(pairs.distance):
                    break
                if steps == 0:
                    continue
            sums.seen[partner] = position
            if sums.weights[partner] == 0.0:
                sums.touched[found] = partner
                found += 1
            weight = 1.0 if pairs.around else pairs.distance[steps]
            sums.weights[partner] += weight * pairs.session[owner]
    return found


@njit()
def _select_best(
    partners: Int32[np.ndarray, "p"],
    weights: Float64[np.ndarray, "p"],
    priority: Int64[np.ndarray, "N+1"],
    best: Int64[np.ndarray, "keep"],
) -> int:
    """Fill ``best`` with the positions of the largest weights, ties by priority; return their number.

    Insertion into a short ordered list: a position that is not among the best so far costs one comparison.
    """
    kept = 0
    for position in range(len(weights)):
        place = kept
        while place > 0:
            rival = best[place - 1]
            sooner = priority[partners[position]] < priority[partners[rival]]
            if weights[position] < weights[rival] or (weights[position] == weights[rival] and not sooner):
                break
            place -= 1
        if place < len(best):
            kept = min(kept + 1, len(best))
            for behind in range(kept - 1, place, -1):
                best[behind] = best[behind - 1]
            best[place] = position
    return kept


@njit()
def _with_room(
    items: Int32[np.ndarray, "m"], values: Float64[np.ndarray, "m"], used: int, more: int
) -> tuple[Int32[np.ndarray, "k"], Float64[np.ndarray, "k"]]:
    """Return the arrays, or longer copies if there is no room for so many more entries behind the used ones."""
    size = len(items)
    while used + more > size:
        size *= 2
    if size == len(items):
        return items, values
    longer, higher = np.empty(size, dtype=np.int32), np.empty(size)
    longer[:used], higher[:used] = items[:used], values[:used]
    return longer, higher


@njit()
def count_pairs(
    log: EventIndex, pairs: PairWeights, before: PairTable, keep_all: bool
) -> tuple[
    Int64[np.ndarray, "N+2"], Int32[np.ndarray, "m"], Float64[np.ndarray, "m"], Float64[np.ndarray, "N+1"], PairTable
]:
    """Sum the weights of all pairs of events and keep the best second items of each first item.

    Args:
        log: the events.
        pairs: the weights.
        before: sums to continue.
        keep_all: whether to return the sums of all pairs.

    Returns:
        offsets, partners and weights: row j is ``partners[offsets[j]:offsets[j + 1]]``, largest weight first, and what
        is behind the last row is unused; the sum of each row over all partners, without the column factor; and the sums
        of all pairs, with unused entries behind the last row, too.
    """
    size = len(log.offsets) - 1
    offsets, all_offsets = np.zeros(size + 1, dtype=np.int64), np.zeros(size + 1, dtype=np.int64)
    totals = np.zeros(size)
    partners, values = np.empty(1024, dtype=np.int32), np.empty(1024)
    all_partners, all_sums = np.empty(1024, dtype=np.int32), np.empty(1024)
    best = np.empty(min(pairs.keep, size), dtype=np.int64)
    weights = np.empty(size)
    sums = PairSums(np.zeros(size), np.full(size, -1), np.empty(size, dtype=np.int32))
    for item in range(1, size):
        row = sums.touched[: _add_pairs(item, _recall_pairs(item, before, sums), log, pairs, sums)]
        if keep_all:
            start = all_offsets[item]
            all_partners, all_sums = _with_room(all_partners, all_sums, start, len(row))
            for place in range(len(row)):
                all_partners[start + place], all_sums[start + place] = row[place], sums.weights[row[place]]
            all_offsets[item + 1] = start + len(row)
        for place in range(len(row)):
            partner = row[place]
            weight = sums.weights[partner] / pairs.last
            totals[item] += weight
            weights[place] = weight * pairs.column[partner]
            sums.weights[partner] = 0.0
        kept = _select_best(row, weights[: len(row)], pairs.priority, best)
        start = offsets[item]
        partners, values = _with_room(partners, values, start, kept)
        for rank in range(kept):
            partners[start + rank], values[start + rank] = row[best[rank]], weights[best[rank]]
        offsets[item + 1] = start + kept
    return offsets, partners, values, totals, PairTable(all_offsets, all_partners, all_sums)


class Cooccurrences(NamedTuple):
    """Which items co-occur.

    Attributes:
        table: the arrays ``offsets``, ``neighbours`` and ``weights`` (float64) of ``ItemToItemModel``.
        totals: the sum of each row over all second items, without the column factor.
        pairs: the sums of all pairs; empty if they are not kept.
    """

    table: dict[str, np.ndarray]
    totals: Float64[np.ndarray, "N+1"]
    pairs: PairTable


def count_cooccurrences(
    train: Sessions,
    keep: int,
    *,
    events: Int64[np.ndarray, "N+1"],
    distance: Float64[np.ndarray, "_"] | None = None,
    session: SessionWeights | None = None,
    column: Float64[np.ndarray, "N+1"] | None = None,
    baskets: Baskets | None = None,
    before: PairTable | None = None,
    keep_all: bool = False,
) -> Cooccurrences:
    """Sum the weights of the pairs of events of each session, and keep the best second items of each item.

    Args:
        train: the sessions.
        keep: second items kept per item; equal ones are kept by popularity, then by index.
        events: training events on each item, for the popularity.
        distance: weight of a pair by its distance in events, from 0 on; pairs further apart do not count. None pairs
            an event with each other item of its whole session, once, whatever the order and the distance.
        session: weight of each session; None weights all alike.
        column: factor by the second item, applied before the best are chosen; None is 1.
        baskets: the baskets of the sessions; distances count baskets, and items of the same basket do not form pairs.
            None takes each event as one.
        before: sums of all pairs of earlier sessions, which are continued; ``session`` says how much they have aged.
        keep_all: whether to return the sums of all pairs.
    """
    size = len(train.vocabulary) + 1
    priority = np.argsort(np.argsort(-events, kind="stable"), kind="stable")
    baskets = Baskets.of_one(train) if baskets is None else baskets
    session = SessionWeights(np.ones(len(train))) if session is None else session
    counts = np.bincount(baskets.items, minlength=size)
    log = EventIndex(
        items=read_only(baskets.items),
        steps=baskets.numbers,
        owners=np.repeat(np.arange(len(train), dtype=np.int32), np.diff(baskets.offsets)),
        sessions=read_only(baskets.offsets),
        positions=np.argsort(baskets.items, kind="stable"),
        offsets=np.concatenate([[0], np.cumsum(counts)]),
    )
    pairs = PairWeights(
        around=distance is None,
        distance=np.ones(1) if distance is None else distance,
        session=session.weights,
        column=np.ones(size) if column is None else column,
        last=session.last,
        priority=priority,
        keep=keep,
    )
    earlier = _aged(before, session.aged, size)
    offsets, neighbours, weights, totals, every = count_pairs(log, pairs, earlier, keep_all)
    used, summed = offsets[-1], every.offsets[-1]
    table = {"offsets": offsets, "neighbours": neighbours[:used].copy(), "weights": weights[:used].copy()}
    return Cooccurrences(
        table, totals, PairTable(every.offsets, every.items[:summed].copy(), every.sums[:summed].copy())
    )


def _aged(before: PairTable | None, factor: float, size: int) -> PairTable:
    """Return earlier sums as they count now, with an empty row for each new item."""
    if before is None:
        return PairTable(np.zeros(size + 1, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0))
    rows = np.append(before.offsets, np.full(size + 1 - len(before.offsets), before.offsets[-1]))
    return PairTable(rows, read_only(before.items).copy(), np.maximum(before.sums * factor, np.finfo(np.float64).tiny))
