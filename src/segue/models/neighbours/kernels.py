"""Session neighbours on a VMIS index: which recent sessions share an item, and what they say comes next."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from numba import njit

from segue.evaluation.ranking.cpu import Excluded, insert, is_excluded

_LEAST = np.float32(np.finfo(np.float32).tiny)
"""Scores below the smallest normal float32 count as none, so that ties can be parted by steps of float32."""

_SMALL = 1e-30
"""Largest score of a session below which its scores are given as shares of it; float32 ends at 1e-38."""


class Running(NamedTuple):
    """Running sessions: the b-th is ``items[starts[b]:ends[b]]``."""

    items: Int32[np.ndarray, "n"]
    starts: Int64[np.ndarray, "B"]
    ends: Int64[np.ndarray, "B"]


class Index(NamedTuple):
    """The training sessions, and the recent sessions of each item.

    Attributes:
        postings: sessions that hold an item, the most recent first, each once.
        posting_offsets: those of item j are ``postings[posting_offsets[j]:posting_offsets[j + 1]]``.
        items: events of the sessions; a larger session number is a more recent session.
        offsets: session ``s`` is ``items[offsets[s]:offsets[s + 1]]``.
        weights: factor of the similarity to each session.
    """

    postings: Int32[np.ndarray, "p"]
    posting_offsets: Int64[np.ndarray, "N+2"]
    items: Int32[np.ndarray, "n"]
    offsets: Int64[np.ndarray, "s+1"]
    weights: Float64[np.ndarray, "s"]


class Rules(NamedTuple):
    """Which sessions are neighbours, and what counts how much.

    Attributes:
        k: neighbours that vote.
        sample_size: most recent candidates that are compared.
        cosine: divide a similarity by the norm of the running session's weights, not by its number of items.
        left_out: events at the end of the running session whose items get no score.
        nearest_first: of items with equal scores the one of the most similar session leads.
        position: weight of an event of the running session, by the session's length and the events after it.
        match: weight of a neighbour, by the events after its most recent match in the running session.
        gap: weight of an item of a neighbour, by its distance from the match; the last entry holds for all larger.
        item: weight of an item.
    """

    k: int
    sample_size: int
    cosine: bool
    left_out: int
    nearest_first: bool
    position: Float64[np.ndarray, "M+1 M"]
    match: Float64[np.ndarray, "M"]
    gap: Float64[np.ndarray, "G"]
    item: Float64[np.ndarray, "N+1"]


class Order(NamedTuple):
    """The order of items with equal scores; see ``segue.data.vocabulary.ItemOrder``."""

    items: Int32[np.ndarray, "N"]
    places: Int32[np.ndarray, "N+1"]


class Filters(NamedTuple):
    """What is not listed: items that are not ``allowed`` (an empty mask allows all), and those ``seen`` in a row."""

    allowed: Bool[np.ndarray, "_"]
    seen: Excluded


class Scratch(NamedTuple):
    """Memory of one thread, zeros at first; it serves any number of prefixes.

    Attributes:
        tags: how many prefixes and how many neighbours were treated so far, the present ones included.
        running: tag of the last prefix that held the item.
        seen: tag of the last neighbour that held the item.
        listed: tag of the last prefix for which the item had a score.
        scores: zero between prefixes.
        found: items with a score, those of the most similar session first.
        values: their scores.
        nearest: number of the most similar session that holds each of them.
        heads: next posting of each item of the prefix, the most recent item first.
        tails: end of its postings.
        steps: events of the prefix after it.
        shares: its weight.
        candidates: sessions to compare, the most recent first.
        similarities: how similar they are.
        matches: events of the prefix after the most recent match.
    """

    tags: Int64[np.ndarray, "2"]
    running: Int64[np.ndarray, "N+1"]
    seen: Int64[np.ndarray, "N+1"]
    listed: Int64[np.ndarray, "N+1"]
    scores: Float64[np.ndarray, "N+1"]
    found: Int32[np.ndarray, "N+1"]
    values: Float32[np.ndarray, "N+1"]
    nearest: Int32[np.ndarray, "N+1"]
    heads: Int64[np.ndarray, "M"]
    tails: Int64[np.ndarray, "M"]
    steps: Int64[np.ndarray, "M"]
    shares: Float64[np.ndarray, "M"]
    candidates: Int64[np.ndarray, "m"]
    similarities: Float64[np.ndarray, "m"]
    matches: Int64[np.ndarray, "m"]


def scratch(n_items: int, longest: int, sample_size: int) -> Scratch:
    """Return memory for prefixes of up to ``longest`` events."""
    whole, real = np.int64, np.float64
    kinds: dict[str, type[np.generic]] = {
        **dict.fromkeys(("running", "seen", "listed"), whole),
        **{"scores": real, "found": np.int32, "values": np.float32, "nearest": np.int32},
    }
    items = {name: np.zeros(n_items + 1, kind) for name, kind in kinds.items()}
    lists = {name: np.zeros(longest, whole) for name in ("heads", "tails", "steps")}
    sample = {name: np.zeros(sample_size, whole) for name in ("candidates", "matches")}
    return Scratch(
        tags=np.zeros(2, whole),
        shares=np.zeros(longest),
        similarities=np.zeros(sample_size),
        **items,
        **lists,
        **sample,
    )


@njit(cache=True, nogil=True)
def build_postings(
    items: Int32[np.ndarray, "n"], offsets: Int64[np.ndarray, "s+1"], size: int, sample_size: int
) -> tuple[Int32[np.ndarray, "p"], Int64[np.ndarray, "N+2"], Int64[np.ndarray, "s"]]:
    """List the ``sample_size`` most recent sessions of each item, and count the different items of each session.

    Args:
        items: events of the sessions.
        offsets: where each session starts; the last session is the most recent.
        size: number of items + 1.
        sample_size: sessions kept per item.

    Returns:
        ``postings`` and ``posting_offsets`` of ``Index``, and the number of different items per session.
    """
    n_sessions = len(offsets) - 1
    last = np.full(size, -1)
    held = np.zeros(size, dtype=np.int64)
    distinct = np.zeros(n_sessions, dtype=np.int64)
    for session in range(n_sessions):
        for item in items[offsets[session] : offsets[session + 1]]:
            if last[item] != session:
                last[item] = session
                held[item] += 1
                distinct[session] += 1
    posting_offsets = np.zeros(size + 1, dtype=np.int64)
    posting_offsets[1:] = np.cumsum(np.minimum(held, sample_size))
    postings = np.empty(posting_offsets[size], dtype=np.int32)
    free = posting_offsets[:size].copy()
    last[:] = -1
    for session in range(n_sessions - 1, -1, -1):
        for item in items[offsets[session] : offsets[session + 1]]:
            if last[item] != session and free[item] < posting_offsets[item + 1]:
                last[item] = session
                postings[free[item]] = session
                free[item] += 1
    return postings, posting_offsets, distinct


@njit(cache=True, nogil=True)
def _open_postings(prefix: Int32[np.ndarray, "L"], index: Index, rules: Rules, scratch: Scratch) -> int:
    """Point at the postings of each item of the prefix, the most recent item first; return how many items it has."""
    n_items = 0
    for step in range(len(prefix)):
        item, weight = prefix[len(prefix) - 1 - step], rules.position[len(prefix), step]
        if scratch.running[item] == scratch.tags[0] or weight <= 0.0:
            continue
        scratch.running[item] = scratch.tags[0]
        scratch.heads[n_items] = index.posting_offsets[item]
        scratch.tails[n_items] = index.posting_offsets[item + 1]
        scratch.steps[n_items] = step
        scratch.shares[n_items] = weight
        n_items += 1
    return n_items


@njit(cache=True, nogil=True)
def _merge_postings(n_items: int, index: Index, rules: Rules, scratch: Scratch) -> int:
    """Walk all postings at once from the most recent session back, and compare each session; return how many.

    A similarity is summed from the most recent match back, so that equal matches give equal numbers.
    """
    shares = scratch.shares[:n_items]
    norm = np.sqrt((shares * shares).sum()) if rules.cosine else float(n_items)
    for count in range(rules.sample_size):
        session = -1
        for item in range(n_items):
            if scratch.heads[item] < scratch.tails[item]:
                session = max(session, index.postings[scratch.heads[item]])
        if session < 0:
            return count
        similarity, match = 0.0, -1
        for item in range(n_items):
            if scratch.heads[item] < scratch.tails[item] and index.postings[scratch.heads[item]] == session:
                scratch.heads[item] += 1
                similarity += shares[item]
                if match < 0:
                    match = scratch.steps[item]
        scratch.candidates[count] = session
        scratch.similarities[count] = similarity / norm * index.weights[session]
        scratch.matches[count] = match
    return rules.sample_size


@njit(cache=True, nogil=True)
def _vote(neighbour: int, similarity: float, index: Index, rules: Rules, scratch: Scratch) -> None:
    """Add what one neighbour says to the scores of its items; an item counts where it is last in the neighbour."""
    scratch.tags[1] += 1
    events = index.items[index.offsets[neighbour] : index.offsets[neighbour + 1]]
    matched = len(events) - 1
    while scratch.running[events[matched]] != scratch.tags[0]:
        matched -= 1
    for position in range(len(events) - 1, -1, -1):
        item = events[position]
        if scratch.seen[item] != scratch.tags[1]:
            scratch.seen[item] = scratch.tags[1]
            gap = min(abs(position - matched), len(rules.gap) - 1)
            scratch.scores[item] += similarity * rules.gap[gap] * rules.item[item]


@njit(cache=True, nogil=True)
def _find(row: int, running: Running, index: Index, rules: Rules, scratch: Scratch) -> int:
    """Score the items of the neighbours of one running session; return how many have a score.

    They are in ``scratch.found``, their scores in ``scratch.values``.
    """
    first = max(running.starts[row], running.ends[row] - len(rules.match))
    prefix = running.items[first : running.ends[row]]
    scratch.tags[0] += 1
    n_items = _open_postings(prefix, index, rules, scratch)
    count = _merge_postings(n_items, index, rules, scratch)
    chosen = np.argsort(-scratch.similarities[:count], kind="mergesort")[: rules.k]  # stable: the more recent wins
    for candidate in chosen:
        similarity = scratch.similarities[candidate] * rules.match[scratch.matches[candidate]]
        _vote(scratch.candidates[candidate], similarity, index, rules, scratch)
    for item in running.items[max(running.starts[row], running.ends[row] - rules.left_out) : running.ends[row]]:
        scratch.scores[item] = 0.0
    largest = 0.0
    for candidate in chosen:
        neighbour = scratch.candidates[candidate]
        for item in index.items[index.offsets[neighbour] : index.offsets[neighbour + 1]]:
            largest = max(largest, scratch.scores[item])
    # Where all neighbours are very old, float32 could not tell their votes from nothing.
    whole = largest if 0.0 < largest < _SMALL else 1.0
    found = 0
    for number in range(len(chosen)):
        neighbour = scratch.candidates[chosen[number]]
        for item in index.items[index.offsets[neighbour] : index.offsets[neighbour + 1]]:
            if scratch.scores[item] != 0.0:
                value = np.float32(scratch.scores[item] / whole)
                scratch.scores[item] = 0.0
                if value >= _LEAST:
                    scratch.listed[item] = scratch.tags[0]
                    scratch.found[found] = item
                    scratch.values[found] = value
                    scratch.nearest[found] = number
                    found += 1
    if rules.nearest_first:
        _part_ties(found, scratch)
    return found


@njit(cache=True, nogil=True)
def _part_ties(found: int, scratch: Scratch) -> None:
    """Move equal scores apart by single steps of float32, in the order of the neighbours that hold the items.

    The bits of positive floats, read as integers, are in the order of the floats.
    """
    bits = scratch.values[:found].view(np.int32)
    keys = (bits.astype(np.int64) << 32) - scratch.nearest[:found]
    above, level = np.int64(0), np.int64(0)
    for place in np.argsort(-keys):
        if above and keys[place] != level:
            level, above = keys[place], min(np.int64(bits[place]), above - 1)
        elif not above:
            level, above = keys[place], np.int64(bits[place])
        bits[place] = above


@njit(cache=True, nogil=True)
def score_prefixes(
    running: Running, index: Index, rules: Rules, scratch: Scratch, out: Float32[np.ndarray, "B N+1"]
) -> None:
    """Score every item for each running session.

    Args:
        running: the running sessions.
        index: where neighbours are found.
        rules: which sessions are neighbours, and what counts how much.
        scratch: memory of this thread.
        out: receives the scores. Each row is cleared just before it is filled, while it is in the cache.
    """
    for row in range(len(running.starts)):
        out[row] = 0.0
        for place in range(_find(row, running, index, rules, scratch)):
            out[row, scratch.found[place]] = scratch.values[place]


@njit(cache=True, nogil=True)
def list_best(
    running: Running,
    index: Index,
    rules: Rules,
    scratch: Scratch,
    order: Order,
    filters: Filters,
    items: Int64[np.ndarray, "B k"],
    values: Float32[np.ndarray, "B k"],
) -> None:
    """List the best items for each running session: those with a score, then the most popular others.

    Args:
        running: the running sessions.
        index: where neighbours are found.
        rules: which sessions are neighbours, and what counts how much.
        scratch: memory of this thread.
        order: the order of items with equal scores.
        filters: what is not listed.
        items: given as 0, receives the item indices.
        values: given as -inf, receives their scores.
    """
    k = items.shape[1]
    for row in range(len(running.starts)):
        for place in range(_find(row, running, index, rules, scratch)):
            item, value = scratch.found[place], scratch.values[place]
            if value >= values[row, k - 1] and not is_excluded(item, filters.seen, row, filters.allowed):
                insert(item, value, order.places, items[row], values[row])
        listed = np.searchsorted(-values[row], 0.0)
        for item in order.items:
            if listed == k:
                break
            if scratch.listed[item] != scratch.tags[0] and not is_excluded(item, filters.seen, row, filters.allowed):
                items[row, listed] = item
                values[row, listed] = 0.0
                listed += 1
