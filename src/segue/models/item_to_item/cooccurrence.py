"""Counting which items co-occur in sessions, one first item at a time, without an N x N matrix."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64

from segue.compiled import njit
from segue.data.arrays import read_only
from segue.data.baskets import Baskets
from segue.data.sessions import Sessions


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
        priority: items with equal weight are kept in ascending order of it.
        keep: second items kept per item.
    """

    around: bool
    distance: Float64[np.ndarray, "D+1"]
    session: Float64[np.ndarray, "s"]
    column: Float64[np.ndarray, "N+1"]
    priority: Int64[np.ndarray, "N+1"]
    keep: int


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
def _add_pairs(item: int, log: EventIndex, pairs: PairWeights, sums: PairSums) -> int:
    """Add up all pairs whose first item is ``item``; return the number of different second items."""
    found = 0
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
def count_pairs(
    log: EventIndex, pairs: PairWeights
) -> tuple[Int64[np.ndarray, "N+2"], Int32[np.ndarray, "m"], Float64[np.ndarray, "m"], Float64[np.ndarray, "N+1"]]:
    """Sum the weights of all pairs of events and keep the best second items of each first item.

    Returns:
        offsets, partners and weights: row j is ``partners[offsets[j]:offsets[j + 1]]``, largest weight first, and what
        is behind the last row is unused; and the sum of each row over all partners, without the column factor.
    """
    size = len(log.offsets) - 1
    offsets = np.zeros(size + 1, dtype=np.int64)
    totals = np.zeros(size)
    partners = np.empty(1024, dtype=np.int32)
    values = np.empty(1024)
    best = np.empty(min(pairs.keep, size), dtype=np.int64)
    weights = np.empty(size)
    sums = PairSums(np.zeros(size), np.full(size, -1), np.empty(size, dtype=np.int32))
    for item in range(1, size):
        row = sums.touched[: _add_pairs(item, log, pairs, sums)]
        for place in range(len(row)):
            partner = row[place]
            totals[item] += sums.weights[partner]
            weights[place] = sums.weights[partner] * pairs.column[partner]
            sums.weights[partner] = 0.0
        kept = _select_best(row, weights[: len(row)], pairs.priority, best)
        start = offsets[item]
        while start + kept > len(partners):
            shorter, lower = partners, values
            partners = np.empty(2 * len(shorter), dtype=np.int32)
            values = np.empty(len(partners))
            for place in range(start):
                partners[place], values[place] = shorter[place], lower[place]
        for rank in range(kept):
            partners[start + rank], values[start + rank] = row[best[rank]], weights[best[rank]]
        offsets[item + 1] = start + kept
    return offsets, partners, values, totals


def count_cooccurrences(
    train: Sessions,
    keep: int,
    *,
    distance: Float64[np.ndarray, "_"] | None = None,
    session: Float64[np.ndarray, "s"] | None = None,
    column: Float64[np.ndarray, "N+1"] | None = None,
    baskets: Baskets | None = None,
) -> tuple[dict[str, np.ndarray], Float64[np.ndarray, "N+1"]]:
    """Sum the weights of the pairs of events of each session, and keep the best second items of each item.

    Args:
        train: the sessions.
        keep: second items kept per item; equal ones are kept by popularity, then by index.
        distance: weight of a pair by its distance in events, from 0 on; pairs further apart do not count. None pairs
            an event with each other item of its whole session, once, whatever the order and the distance.
        session: weight of each session; None weights all alike.
        column: factor by the second item, applied before the best are chosen; None is 1.
        baskets: the baskets of the sessions; distances count baskets, and items of the same basket do not form pairs.
            None takes each event as one.

    Returns:
        The arrays ``offsets``, ``neighbours`` and ``weights`` (float64) of ``ItemToItemModel``; and the sum of each
        row over all second items, without ``column``.
    """
    size = len(train.vocabulary) + 1
    priority = np.argsort(np.argsort(-np.bincount(train.items, minlength=size), kind="stable"), kind="stable")
    baskets = Baskets.of_one(train) if baskets is None else baskets
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
        session=np.ones(len(train)) if session is None else session,
        column=np.ones(size) if column is None else column,
        priority=priority,
        keep=keep,
    )
    offsets, neighbours, weights, totals = count_pairs(log, pairs)
    used = offsets[-1]
    return {"offsets": offsets, "neighbours": neighbours[:used].copy(), "weights": weights[:used].copy()}, totals
