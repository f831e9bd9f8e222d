"""Counting which items go with which, one item at a time: nothing is ever N x N."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from numba import njit

from segue.evaluation.ranking.cpu import Excluded, insert, is_excluded


class Log(NamedTuple):
    """A training log, by session and by item.

    Attributes:
        items: item of each event.
        owners: session of each event.
        sessions: session ``s`` is ``items[sessions[s]:sessions[s + 1]]``.
        positions: the events ordered by item.
        offsets: the events on item j are ``positions[offsets[j]:offsets[j + 1]]``.
    """

    items: Int32[np.ndarray, "n"]
    owners: Int32[np.ndarray, "n"]
    sessions: Int64[np.ndarray, "s+1"]
    positions: Int64[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "N+2"]


class Counting(NamedTuple):
    """What a pair of events counts.

    Attributes:
        around: pair an event with each other item of its whole session, before and after, once.
        distance: weight by distance in events; pairs further apart do not count. Not used with ``around``.
        session: weight of each session, above 0.
        column: factor of a pair by its second item, applied before the best are chosen.
        priority: items with equal weight are kept in ascending order of it.
        keep: how many second items are kept per item.
    """

    around: bool
    distance: Float64[np.ndarray, "D+1"]
    session: Float64[np.ndarray, "s"]
    column: Float64[np.ndarray, "N+1"]
    priority: Int64[np.ndarray, "N+1"]
    keep: int


class Tally(NamedTuple):
    """The pairs of one first item.

    Attributes:
        sums: weight of the pairs with each second item; zeros at first.
        seen: last event that was paired with the second item; -1 at first.
        touched: second items in order of appearance.
    """

    sums: Float64[np.ndarray, "N+1"]
    seen: Int64[np.ndarray, "N+1"]
    touched: Int32[np.ndarray, "N+1"]


@njit(cache=True)
def _add_pairs(item: int, log: Log, counting: Counting, tally: Tally) -> int:
    """Add up all pairs whose first item is ``item``; return how many different second items there are."""
    found = 0
    for position in log.positions[log.offsets[item] : log.offsets[item + 1]]:
        owner = log.owners[position]
        first, last = position + 1, min(log.sessions[owner + 1], position + len(counting.distance))
        if counting.around:
            first, last = log.sessions[owner], log.sessions[owner + 1]
        for other in range(first, last):
            partner = log.items[other]
            if counting.around and (partner == item or tally.seen[partner] == position):
                continue
            tally.seen[partner] = position
            if tally.sums[partner] == 0.0:
                tally.touched[found] = partner
                found += 1
            weight = 1.0 if counting.around else counting.distance[other - position]
            tally.sums[partner] += weight * counting.session[owner]
    return found


@njit(cache=True)
def _choose(
    partners: Int32[np.ndarray, "p"],
    weights: Float64[np.ndarray, "p"],
    priority: Int64[np.ndarray, "N+1"],
    best: Int64[np.ndarray, "keep"],
) -> int:
    """Fill ``best`` with the positions of the largest weights, largest first, equal ones by priority; return how many.

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


@njit(cache=True)
def count_pairs(
    log: Log, counting: Counting
) -> tuple[Int64[np.ndarray, "N+2"], Int32[np.ndarray, "m"], Float64[np.ndarray, "m"], Float64[np.ndarray, "N+1"]]:
    """Sum the weights of all pairs of events and keep the best second items of each first item.

    Returns:
        offsets, partners and weights: row j is ``partners[offsets[j]:offsets[j + 1]]``, largest weight first; and the
        sum of each row over all partners, without the column factor.
    """
    size = len(log.offsets) - 1
    offsets = np.zeros(size + 1, dtype=np.int64)
    totals = np.zeros(size)
    partners = np.empty(1024, dtype=np.int32)
    values = np.empty(1024)
    best = np.empty(min(counting.keep, size), dtype=np.int64)
    tally = Tally(np.zeros(size), np.full(size, -1), np.empty(size, dtype=np.int32))
    for item in range(1, size):
        row = tally.touched[: _add_pairs(item, log, counting, tally)]
        totals[item] = tally.sums[row].sum()
        weights = tally.sums[row] * counting.column[row]
        tally.sums[row] = 0.0
        kept = best[: _choose(row, weights, counting.priority, best)]
        start, end = offsets[item], offsets[item] + len(kept)
        while end > len(partners):
            partners = np.concatenate((partners, np.empty_like(partners)))
            values = np.concatenate((values, np.empty_like(values)))
        partners[start:end] = row[kept]
        values[start:end] = weights[kept]
        offsets[item + 1] = end
    return offsets, partners[: offsets[size]].copy(), values[: offsets[size]].copy(), totals


class Table(NamedTuple):
    """Scores of items after a last item: those of its row, on top of a background that all items have.

    Attributes:
        offsets: row j is ``items[offsets[j]:offsets[j + 1]]``.
        items: second items of each row.
        weights: their weights.
        background: score of each item before the weights are added, up to a factor.
        order: items by falling background, then by ``places``.
        places: the order of items with equal scores, lower first.
    """

    offsets: Int64[np.ndarray, "N+2"]
    items: Int32[np.ndarray, "m"]
    weights: Float32[np.ndarray, "m"]
    background: Float32[np.ndarray, "N+1"]
    order: Int32[np.ndarray, "N"]
    places: Int32[np.ndarray, "N+1"]


@njit(cache=True, nogil=True)
def score_rows(
    last: Int32[np.ndarray, "B"], factors: Float32[np.ndarray, "B"], table: Table, out: Float32[np.ndarray, "B N+1"]
) -> None:
    """Score every item after each last item.

    Args:
        last: item indices, 0 for none.
        factors: factor of the background in each row.
        table: the rows.
        out: receives the scores.
    """
    for b in range(len(last)):
        for item in range(out.shape[1]):
            out[b, item] = factors[b] * table.background[item]
        for entry in range(table.offsets[last[b]], table.offsets[last[b] + 1]):
            out[b, table.items[entry]] += table.weights[entry]


@njit(cache=True, nogil=True)
def list_rows(
    last: Int32[np.ndarray, "B"],
    factors: Float32[np.ndarray, "B"],
    table: Table,
    allowed: Bool[np.ndarray, "_"],
    seen: Excluded,
    items: Int64[np.ndarray, "B k"],
    values: Float32[np.ndarray, "B k"],
) -> None:
    """List the best items after each last item, without looking at more items than it takes.

    Args:
        last: item indices, 0 for none.
        factors: factor of the background in each row.
        table: the rows.
        allowed: mask of the items that may be listed; empty for all.
        seen: items that must not be listed in a row.
        items: given as 0, receives the item indices.
        values: given as -inf, receives their scores.
    """
    k = items.shape[1]
    for b in range(len(last)):
        row = slice(table.offsets[last[b]], table.offsets[last[b] + 1])
        own, weights = table.items[row], table.weights[row]
        for entry in range(len(own)):
            item = own[entry]
            value = factors[b] * table.background[item] + weights[entry]
            if value >= values[b, k - 1] and not is_excluded(item, seen, b, allowed):
                insert(item, value, table.places, items[b], values[b])
        for item in table.order:
            value = factors[b] * table.background[item]
            # With a factor of 0 the order is that of the places, so that no later item can come before the last one.
            if value < values[b, k - 1] or (factors[b] == 0.0 and value == values[b, k - 1]):
                break
            if not (own == item).any() and not is_excluded(item, seen, b, allowed):
                insert(item, value, table.places, items[b], values[b])
