"""The search on a VMIS index: the sessions most similar to a running one, and their votes for items."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from segue.compiled import njit
from segue.data.arrays import descending_order
from segue.evaluation.ranking.cpu import Excluded, insert, is_excluded
from segue.models.neighbours.index import Index
from segue.models.neighbours.workspace import Workspace

_SMALLEST_SCORE = np.float32(np.finfo(np.float32).tiny)
"""Smaller scores count as 0, so that ties can be broken by single steps of float32."""

UNDERFLOW = 1e-30
"""Scores are divided by the largest one if that is smaller than this; float32 ends at 1e-38."""


class SessionBatch(NamedTuple):
    """Running sessions: the b-th is ``items[starts[b]:ends[b]]``."""

    items: Int32[np.ndarray, "n"]
    starts: Int64[np.ndarray, "B"]
    ends: Int64[np.ndarray, "B"]


class SearchParameters(NamedTuple):
    """Parameters of the comparison of sessions and the scoring of items.

    Attributes:
        k: neighbours that vote.
        sample_size: most recent candidates that are compared.
        cosine: divide a similarity by the norm of the current session's weights, not by its number of items.
        left_out: events at the end of the current session whose items are not scored.
        nearest_first: ties go to the item of the most similar session.
        position: weight of an event of the current session, by the session's length and the events after it.
        match: weight of a neighbour, by the events after its most recent match in the current session.
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


class TieOrder(NamedTuple):
    """The order of items with equal scores; see ``segue.data.vocabulary.ItemOrder``."""

    items: Int32[np.ndarray, "N"]
    places: Int32[np.ndarray, "N+1"]


class ListFilters(NamedTuple):
    """Items that may be listed: those ``allowed`` (an empty mask allows all) and not ``excluded`` in the row."""

    allowed: Bool[np.ndarray, "_"]
    excluded: Excluded


@njit(nogil=True)
def _open_postings(prefix: Int32[np.ndarray, "L"], index: Index, params: SearchParameters, workspace: Workspace) -> int:
    """Point at the postings of each item of the prefix, the most recent item first; return their number."""
    n_items = 0
    for step in range(len(prefix)):
        item, weight = prefix[len(prefix) - 1 - step], params.position[len(prefix), step]
        if workspace.running[item] == workspace.tags[0] or weight <= 0.0:
            continue
        workspace.running[item] = workspace.tags[0]
        workspace.heads[n_items] = index.posting_offsets[item]
        workspace.tails[n_items] = index.posting_offsets[item + 1]
        workspace.steps[n_items] = step
        workspace.shares[n_items] = weight
        n_items += 1
    return n_items


@njit(nogil=True)
def _merge_postings(n_items: int, index: Index, params: SearchParameters, workspace: Workspace) -> int:
    """Walk all postings at once from the most recent session back, and compare each session; return their number.

    A similarity is summed from the most recent match back, so that equal matches give equal numbers.
    """
    shares, square = workspace.shares, 0.0
    for item in range(n_items):
        square += shares[item] * shares[item]
    norm = np.sqrt(square) if params.cosine else float(n_items)
    for count in range(params.sample_size):
        session = -1
        for item in range(n_items):
            if workspace.heads[item] < workspace.tails[item]:
                session = max(session, index.postings[workspace.heads[item]])
        if session < 0:
            return count
        similarity, match = 0.0, -1
        for item in range(n_items):
            if workspace.heads[item] < workspace.tails[item] and index.postings[workspace.heads[item]] == session:
                workspace.heads[item] += 1
                similarity += shares[item]
                if match < 0:
                    match = workspace.steps[item]
        workspace.candidates[count] = session
        workspace.similarities[count] = similarity / norm * index.weights[session]
        workspace.matches[count] = match
    return params.sample_size


@njit(nogil=True)
def add_votes(neighbour: int, similarity: float, index: Index, params: SearchParameters, workspace: Workspace) -> None:
    """Add what one neighbour says to the scores of its items; an item counts where it is last in the neighbour."""
    workspace.tags[1] += 1
    events = index.items[index.offsets[neighbour] : index.offsets[neighbour + 1]]
    matched = len(events) - 1
    while workspace.running[events[matched]] != workspace.tags[0]:
        matched -= 1
    for position in range(len(events) - 1, -1, -1):
        item = events[position]
        if workspace.seen[item] != workspace.tags[1]:
            workspace.seen[item] = workspace.tags[1]
            gap = min(abs(position - matched), len(params.gap) - 1)
            workspace.scores[item] += similarity * params.gap[gap] * params.item[item]


@njit(nogil=True)
def choose_neighbours(
    row: int, sessions: SessionBatch, index: Index, params: SearchParameters, workspace: Workspace
) -> Int64[np.ndarray, "c"]:
    """Return the most similar candidates of one current session; of equal ones the more recent is first."""
    prefix = sessions.items[max(sessions.starts[row], sessions.ends[row] - len(params.match)) : sessions.ends[row]]
    workspace.tags[0] += 1
    n_items = _open_postings(prefix, index, params, workspace)
    count = _merge_postings(n_items, index, params, workspace)
    return descending_order(workspace.similarities[:count])[: params.k]


@njit(nogil=True)
def _score_candidates(
    row: int, sessions: SessionBatch, index: Index, params: SearchParameters, workspace: Workspace
) -> int:
    """Put the items of the neighbours of one current session into ``workspace.found``; return how many have a score."""
    chosen = choose_neighbours(row, sessions, index, params, workspace)
    for candidate in chosen:
        similarity = workspace.similarities[candidate] * params.match[workspace.matches[candidate]]
        add_votes(workspace.candidates[candidate], similarity, index, params, workspace)
    left_out = max(sessions.starts[row], sessions.ends[row] - params.left_out)
    for item in sessions.items[left_out : sessions.ends[row]]:
        workspace.scores[item] = 0.0
    largest = 0.0
    for candidate in chosen:
        neighbour = workspace.candidates[candidate]
        for item in index.items[index.offsets[neighbour] : index.offsets[neighbour + 1]]:
            largest = max(largest, workspace.scores[item])
    # If all neighbours are very old, their votes would be 0 in float32.
    scale = largest if 0.0 < largest < UNDERFLOW else 1.0
    found = 0
    for number in range(len(chosen)):
        neighbour = workspace.candidates[chosen[number]]
        for item in index.items[index.offsets[neighbour] : index.offsets[neighbour + 1]]:
            if workspace.scores[item] != 0.0:
                value = np.float32(workspace.scores[item] / scale)
                workspace.scores[item] = 0.0
                if value >= _SMALLEST_SCORE:
                    workspace.listed[item] = workspace.tags[0]
                    workspace.found[found] = item
                    workspace.values[found] = value
                    workspace.nearest[found] = number
                    found += 1
    if params.nearest_first:
        _break_ties(workspace.values[:found], workspace.nearest[:found])
    return found


@njit(nogil=True)
def _break_ties(values: Float32[np.ndarray, "f"], nearest: Int32[np.ndarray, "f"]) -> None:
    """Move equal scores apart by single steps of float32, in the order of the neighbours that hold the items.

    The bits of positive floats, read as integers, are in the order of the floats.
    """
    bits, keys = values.view(np.int32), np.empty(len(values), dtype=np.int64)
    for place in range(len(keys)):
        keys[place] = (np.int64(bits[place]) << 32) - nearest[place]
    above, level = np.int64(0), np.int64(0)
    for place in descending_order(keys):
        if above and keys[place] != level:
            level, above = keys[place], min(np.int64(bits[place]), above - 1)
        elif not above:
            level, above = keys[place], np.int64(bits[place])
        bits[place] = above


@njit(nogil=True)
def score_prefixes(
    sessions: SessionBatch,
    index: Index,
    params: SearchParameters,
    workspace: Workspace,
    out: Float32[np.ndarray, "B N+1"],
) -> None:
    """Score every item for each current session, into ``out``.

    Each row is cleared just before it is filled, while it is in the cache.
    """
    for row in range(len(sessions.starts)):
        out[row] = 0.0
        for place in range(_score_candidates(row, sessions, index, params, workspace)):
            out[row, workspace.found[place]] = workspace.values[place]


@njit(nogil=True)
def score_given(
    sessions: SessionBatch,
    index: Index,
    params: SearchParameters,
    workspace: Workspace,
    items: Int64[np.ndarray, "B C"],
    out: Float32[np.ndarray, "B C"],
) -> None:
    """Score some items for each current session, into ``out``: columns of ``score_prefixes``."""
    for row in range(len(sessions.starts)):
        found = _score_candidates(row, sessions, index, params, workspace)
        for place in range(found):
            workspace.scores[workspace.found[place]] = workspace.values[place]
        for column in range(items.shape[1]):
            out[row, column] = workspace.scores[items[row, column]]
        for place in range(found):
            workspace.scores[workspace.found[place]] = 0.0


@njit(nogil=True)
def list_best(
    sessions: SessionBatch,
    index: Index,
    params: SearchParameters,
    workspace: Workspace,
    order: TieOrder,
    filters: ListFilters,
    items: Int64[np.ndarray, "B k"],
    values: Float32[np.ndarray, "B k"],
) -> None:
    """List the best items for each current session: those with a score, then the most popular others.

    ``items`` (initially 0) receives item indices, ``values`` (initially -inf) their scores.
    """
    k = items.shape[1]
    for row in range(len(sessions.starts)):
        for place in range(_score_candidates(row, sessions, index, params, workspace)):
            item, value = workspace.found[place], workspace.values[place]
            if value >= values[row, k - 1] and not is_excluded(item, filters.excluded, row, filters.allowed):
                insert(item, value, order.places, items[row], values[row])
        listed = 0
        while listed < k and values[row, listed] > 0.0:
            listed += 1
        for item in order.items:
            if listed == k:
                break
            if workspace.listed[item] == workspace.tags[0]:
                continue
            if not is_excluded(item, filters.excluded, row, filters.allowed):
                items[row, listed] = item
                values[row, listed] = 0.0
                listed += 1
