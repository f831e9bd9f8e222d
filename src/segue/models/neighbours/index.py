"""The VMIS index: the most recent sessions of each item, and nothing that can never be a neighbour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float64, Int32, Int64

from segue.compiled import njit
from segue.data.array_schema import Sizes
from segue.data.arrays import read_only
from segue.data.partitions import Table, load
from segue.data.session_ranges import SessionRange, map_ranges
from segue.data.sessions import Sessions


@dataclass(frozen=True)
class ListsItsSessions:
    """A rule for ``Index.postings``: each session in the row of an item contains the item.

    The search relies on it: a session that it finds by an item has a match.
    """

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``segue.data.array_schema.Rule``."""
        item = first_false_posting(array, arrays["posting_offsets"], arrays["items"], arrays["offsets"])
        return None if item < 0 else f"list only sessions with their item, got another session for item {item}"


@njit(nogil=True)
def first_false_posting(
    postings: Int32[np.ndarray, "p"],
    posting_offsets: Int64[np.ndarray, "N+2"],
    items: Int32[np.ndarray, "n"],
    offsets: Int64[np.ndarray, "s+1"],
) -> int:
    """Return the first item whose row lists a session without the item, -1 if there is none.

    Each array must be valid by itself; the sessions of each row decrease.
    """
    heads = posting_offsets[:-1].copy()
    for session in range(len(offsets) - 2, -1, -1):
        for event in range(offsets[session], offsets[session + 1]):
            item = items[event]
            if heads[item] < posting_offsets[item + 1] and postings[heads[item]] == session:
                heads[item] += 1
    for item in range(len(heads)):
        if heads[item] < posting_offsets[item + 1]:
            return item
    return -1


class Index(NamedTuple):
    """The training sessions, and the recent sessions of each item.

    Attributes:
        postings: sessions that contain an item, the most recent first, each once.
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
    last = np.full(size, -1)
    held, distinct = np.zeros(size, dtype=np.int64), np.zeros(len(offsets) - 1, dtype=np.int64)
    _count_sessions(items, offsets, last, held, distinct)
    posting_offsets = np.concatenate([[0], np.cumsum(np.minimum(held, sample_size))])
    postings = np.empty(posting_offsets[-1], dtype=np.int32)
    last[:] = -1
    _fill_postings(items, offsets, last, posting_offsets[:-1].copy(), posting_offsets, postings)
    return postings, posting_offsets, distinct


@njit(nogil=True)
def _count_sessions(
    items: Int32[np.ndarray, "n"],
    offsets: Int64[np.ndarray, "s+1"],
    last: Int64[np.ndarray, "N+1"],
    held: Int64[np.ndarray, "N+1"],
    distinct: Int64[np.ndarray, "s"],
) -> None:
    """Count the sessions of each item and the different items of each session; ``last`` is -1 at first."""
    for session in range(len(distinct)):
        for event in range(offsets[session], offsets[session + 1]):
            item = items[event]
            if last[item] != session:
                last[item] = session
                held[item] += 1
                distinct[session] += 1


@njit(nogil=True)
def _fill_postings(
    items: Int32[np.ndarray, "n"],
    offsets: Int64[np.ndarray, "s+1"],
    last: Int64[np.ndarray, "N+1"],
    free: Int64[np.ndarray, "N+1"],
    posting_offsets: Int64[np.ndarray, "N+2"],
    postings: Int32[np.ndarray, "p"],
) -> None:
    """Fill the postings; ``last`` is -1 and ``free`` the start of each row at first."""
    for session in range(len(offsets) - 2, -1, -1):
        for event in range(offsets[session], offsets[session + 1]):
            item = items[event]
            if last[item] != session and free[item] < posting_offsets[item + 1]:
                last[item] = session
                postings[free[item]] = session
                free[item] += 1


@njit(nogil=True)
def _append_rows(
    rows: Int32[np.ndarray, "r"],
    lengths: Int64[np.ndarray, "N+1"],
    free: Int64[np.ndarray, "N+1"],
    posting_offsets: Int64[np.ndarray, "N+2"],
    postings: Int32[np.ndarray, "p"],
) -> None:
    """Append the row of each item, of ``lengths``, at its place ``free``; what is beyond its postings is left out."""
    start = 0
    for item in range(len(lengths)):
        for place in range(start, start + min(lengths[item], posting_offsets[item + 1] - free[item])):
            postings[free[item]] = rows[place]
            free[item] += 1
        start += lengths[item]


@njit(nogil=True)
def _copy_sessions(
    items: Int32[np.ndarray, "n"],
    offsets: Int64[np.ndarray, "s+1"],
    kept: Int64[np.ndarray, "k"],
    copied_offsets: Int64[np.ndarray, "k+1"],
    copied: Int32[np.ndarray, "m"],
) -> None:
    """Copy the events of some sessions; positions of all their events would take twice as much memory as they do."""
    for number in range(len(kept)):
        start = offsets[kept[number]] - copied_offsets[number]
        for place in range(copied_offsets[number], copied_offsets[number + 1]):
            copied[place] = items[start + place]


def index_range(sessions: SessionRange, size: int, sample_size: int) -> dict[str, pl.DataFrame]:
    """Build the postings of a range of sessions: a step on an engine.

    Returns:
        ``postings``, with the numbers of the sessions among all; ``rows``, the number of postings of each item; and
        ``sessions``, the number of different items of each session.
    """
    postings, posting_offsets, distinct = build_postings(sessions.items, sessions.offsets, size, sample_size)
    postings += np.int32(sessions.first)
    return {
        "postings": pl.DataFrame({"session": postings}),
        "rows": pl.DataFrame({"length": np.diff(posting_offsets)}),
        "sessions": pl.DataFrame({"distinct": distinct}),
    }


def merge_postings(
    parts: Sequence[Mapping[str, Table]], size: int, sample_size: int
) -> tuple[Int32[np.ndarray, "p"], Int64[np.ndarray, "N+2"]]:
    """Merge the postings of ranges of sessions, from the most recent range back.

    Args:
        parts: the results of ``index_range``, those of the oldest sessions first.
        size: number of items + 1.
        sample_size: sessions kept per item.

    Returns:
        ``postings`` and ``posting_offsets`` of ``Index``, as of one range with all sessions.
    """
    held = np.zeros(size, dtype=np.int64)
    for one in parts:
        held += _column(one["rows"], "length")
    posting_offsets = np.concatenate([[0], np.cumsum(np.minimum(held, sample_size))])
    postings, free = np.empty(posting_offsets[-1], dtype=np.int32), posting_offsets[:-1].copy()
    for one in reversed(parts):
        _append_rows(
            _column(one["postings"], "session"), _column(one["rows"], "length"), free, posting_offsets, postings
        )
    return postings, posting_offsets


def _column(table: Table, name: str) -> np.ndarray:
    return read_only(load(table)[name].to_numpy())


def build_index(
    train: Sessions, sample_size: int
) -> tuple[dict[str, np.ndarray], Int64[np.ndarray, "kept"], Int64[np.ndarray, "s"]]:
    """Index the ``sample_size`` most recent sessions of each item.

    A prefix is compared with the ``sample_size`` most recent sessions that share any item with it; each of them is
    among the ``sample_size`` most recent of every item it shares, so that dropping older ones changes no result.
    Sessions that are in no posting list are also dropped.

    Args:
        train: sessions in order of their end; the last is the most recent.
        sample_size: sessions kept per item.

    Returns:
        The arrays ``postings``, ``posting_offsets``, ``items`` and ``offsets`` of ``Index``; the sessions of ``train``
        that were kept, in order; and the number of different items of every session of ``train``.
    """
    size = len(train.vocabulary) + 1
    parts = map_ranges(train.ranges, train.items, train.offsets, index_range, size=size, sample_size=sample_size)
    postings, posting_offsets = merge_postings(parts, size, sample_size)
    listed = np.zeros(len(train), dtype=bool)
    listed[postings] = True
    number = np.cumsum(listed, dtype=np.int32) - np.int32(1)
    kept = np.flatnonzero(listed)
    offsets = np.concatenate([[0], np.cumsum(train.lengths[kept])])
    items = np.empty(offsets[-1], dtype=np.int32)
    _copy_sessions(read_only(train.items), read_only(train.offsets), kept, offsets, items)
    arrays = {"postings": number[postings], "posting_offsets": posting_offsets, "items": items, "offsets": offsets}
    return arrays, kept, np.concatenate([_column(one["sessions"], "distinct") for one in parts])
