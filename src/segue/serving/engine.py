"""Rank items for live sessions: raw ids in, raw ids out. There is no HTTP in it.

Whatever waits when a model becomes free is ranked as one batch; nothing ever waits for a batch to fill.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import isfinite

import numpy as np
import polars as pl

from segue.data.events import TIME
from segue.data.sessions import Prefixes, Upcoming
from segue.data.vocabulary import PADDING
from segue.errors import ArtifactError
from segue.serving.carried import MAX_STEPS
from segue.serving.ranking import Fallback, Query, Ranked
from segue.serving.served_model import ServedModel
from segue.serving.telemetry import Telemetry

MAX_BATCH = 32
"""Most sessions that are ranked at once."""


def rank(served: ServedModel, queries: Sequence[Query]) -> list[Ranked | ArtifactError]:
    """Rank items for sessions as evaluation does: by ``Model.top_k`` of the same prefixes; then apply the rules.

    Returns:
        For each session its items, or an error where scores are not finite.
    """
    if served.listing is None:
        return _rank(served, queries)
    return served.listing.rank(queries, partial(_rank, served), served.model.vocabulary.order.places)


def _rank(served: ServedModel, queries: Sequence[Query]) -> list[Ranked | ArtifactError]:
    """Rank items without rules."""
    index, vocabulary = served.index, served.model.vocabulary
    encoded = [[index.get(item, PADDING) for item in query.items] for query in queries]
    readable = [[place for place, item in enumerate(row) if vocabulary.is_known(item)] for row in encoded]
    answers: list[Ranked | ArtifactError | None] = [None] * len(queries)
    groups: dict[tuple[int | None, bool, bool], list[int]] = {}
    for row, (query, places) in enumerate(zip(queries, readable, strict=True)):
        if places:
            mask = None if query.allowed is None else id(query.allowed)
            carried = _is_carried(served, query, [encoded[row][place] for place in places])
            groups.setdefault((mask, query.times is None, carried), []).append(row)
        else:
            answers[row] = _popular(served, query, encoded[row])
    for (_, _, carried), rows in groups.items():
        for row, answer in zip(rows, _rank_group(served, queries, encoded, readable, rows, carried), strict=True):
            answers[row] = answer
    return [answer for answer in answers if answer is not None]


def _is_carried(served: ServedModel, query: Query, items: list[int]) -> bool:
    """Return whether a recurrent model goes on from the state that it keeps of a session."""
    if served.states is None or query.session is None:
        return False
    return served.states.missing(query.session, items) <= MAX_STEPS


def _rank_group(
    served: ServedModel,
    queries: Sequence[Query],
    encoded: Sequence[list[int]],
    readable: Sequence[list[int]],
    rows: list[int],
    carried: bool,
) -> list[Ranked | ArtifactError]:
    """Rank the items for sessions with the same allowed items, all of them with times and states, or none."""
    model, allowed = served.model, queries[rows[0]].allowed
    available = len(model.vocabulary) if allowed is None else int(allowed.sum())
    excluded = [_excluded(served, queries[row], encoded[row]) for row in rows]
    exclude = None
    if any(excluded):
        exclude = Prefixes.from_lists([np.array(sorted(one), dtype=np.int32) for one in excluded])
    longest = min(max(queries[row].k for row in rows), len(model.vocabulary))
    if carried and served.states is not None:
        read = [(queries[row].session or "", [encoded[row][place] for place in readable[row]]) for row in rows]
        indices, scores = served.states.top_k(read, longest, allowed=allowed, exclude=exclude)
    else:
        prefixes = prefixes_of(served, [(queries[row], encoded[row], readable[row]) for row in rows])
        indices, scores = model.top_k(prefixes, longest, allowed=allowed, exclude=exclude)
    answers: list[Ranked | ArtifactError] = []
    for row, listed, values, without in zip(rows, indices.tolist(), scores.tolist(), excluded, strict=True):
        length = min(queries[row].k, longest, listed.index(PADDING) if PADDING in listed else longest)
        forbidden = len(without) if allowed is None else sum(bool(allowed[item]) for item in without)
        if length < min(queries[row].k, available - forbidden) or not all(map(isfinite, values[:length])):
            answers.append(ArtifactError(f"{served.name}: the scores of a session are not finite; train it again"))
            continue
        ignored = _ignored(served, queries[row], encoded[row], readable[row])
        answers.append(Ranked(listed[:length], values[:length], *ignored, None))
    return answers


def prefixes_of(served: ServedModel, rows: Sequence[tuple[Query, list[int], list[int]]]) -> Prefixes:
    """Encode sessions, without the events on items that the model cannot read."""
    items = np.array([row[place] for _, row, places in rows for place in places], dtype=np.int32)
    lengths = np.array([len(places) for _, _, places in rows], dtype=np.int64)
    ends = np.cumsum(lengths)
    times = None
    if rows[0][0].times is not None:
        moments = [query.times[place] for query, _, places in rows for place in places if query.times is not None]
        times = np.array(moments, dtype=np.int64)
    prefixes = Prefixes(items, ends - lengths, ends, times, vocabulary=served.model.vocabulary)
    if TIME in served.model.upcoming_columns and all(query.now is not None for query, _, _ in rows):
        ahead = np.array([query.now for query, _, _ in rows], dtype=np.int64)
        prefixes = replace(prefixes, upcoming=Upcoming(np.arange(len(rows)), ahead, None))
    if columns := served.model.context_columns:
        events = [
            (query.context[place] or {}) if query.context is not None else {}
            for query, _, places in rows
            for place in places
        ]
        table = {name: pl.Series(name, [event.get(name) for event in events], strict=False) for name in columns}
        prefixes = replace(prefixes, columns=pl.DataFrame(table))
    return prefixes


def _excluded(served: ServedModel, query: Query, encoded: list[int]) -> set[int]:
    excluded = {served.index.get(item, PADDING) for item in query.exclude}
    if query.exclude_seen:
        excluded.update(encoded)
    excluded.discard(PADDING)
    return excluded


def _popular(served: ServedModel, query: Query, encoded: list[int]) -> Ranked:
    """List the most popular items, for a session that the model cannot read."""
    vocabulary = served.model.vocabulary
    excluded, allowed, k = _excluded(served, query, encoded), query.allowed, query.k
    items = vocabulary.order.items if allowed is None else vocabulary.order.within(allowed)
    listed: list[int] = []
    for item in items:
        if len(listed) == k:
            break
        if item not in excluded and (allowed is None or allowed[item]):
            listed.append(int(item))
    why: Fallback = "empty-session" if not encoded else "cold-items" if any(encoded) else "unknown-items"
    scores = vocabulary.support[listed].astype(float).tolist()
    return Ranked(listed, scores, *_ignored(served, query, encoded, []), why)


def _ignored(served: ServedModel, query: Query, encoded: list[int], readable: list[int]) -> tuple[list[str], list[str]]:
    """Return the items of a session that the model does not know, and those that it knows and cannot read."""
    if len(readable) == len(encoded):
        return [], []
    unknown = [item for item, index in zip(query.items, encoded, strict=True) if index == PADDING]
    cold = [
        item
        for item, index in zip(query.items, encoded, strict=True)
        if index and not served.model.vocabulary.is_known(index)
    ]
    return unknown, cold


class Ranker:
    """Calls one model for any number of requests: at once if it is fast, else in a thread and in batches.

    Args:
        served: the model.
        pool: the threads that all models share.
        telemetry: what is counted.
    """

    def __init__(self, served: ServedModel, pool: ThreadPoolExecutor, telemetry: Telemetry) -> None:
        self.served = served
        self._pool, self._telemetry = pool, telemetry
        self._waiting: list[tuple[Query, asyncio.Future[Ranked]]] = []
        self._busy = False

    @property
    def waiting(self) -> int:
        """Number of sessions that wait for the model."""
        return len(self._waiting)

    async def rank(self, query: Query) -> Ranked:
        """Rank items for a session.

        Raises:
            ArtifactError: scores are not finite.
        """
        if self.served.inline:
            if self.served.states is None or len(query.items) <= MAX_STEPS:
                start = time.perf_counter()
                (ranked,) = rank(self.served, [query])
                self._telemetry.batch(1, time.perf_counter() - start)
                if isinstance(ranked, ArtifactError):
                    raise ranked
                return ranked
            query = query._replace(session=None)  # States are kept by one thread alone.
        answer: asyncio.Future[Ranked] = asyncio.get_running_loop().create_future()
        self._waiting.append((query, answer))
        if not self._busy:
            self._start()
        return await answer

    def _start(self) -> None:
        """Rank what waits; those who no longer wait for their answer are left out."""
        self._waiting = [(query, answer) for query, answer in self._waiting if not answer.done()]
        batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
        if not batch:
            return
        self._busy = True
        start = time.perf_counter()
        work = asyncio.get_running_loop().run_in_executor(self._pool, rank, self.served, [query for query, _ in batch])
        work.add_done_callback(lambda done: self._finish(batch, done, start))

    def _finish(
        self,
        batch: list[tuple[Query, "asyncio.Future[Ranked]"]],
        done: "asyncio.Future[list[Ranked | ArtifactError]]",
        start: float,
    ) -> None:
        self._busy = False
        self._telemetry.batch(len(batch), time.perf_counter() - start)
        error = done.exception()
        found = done.result() if error is None else [error] * len(batch)
        for (_, answer), ranked in zip(batch, found, strict=True):
            if answer.done():
                continue
            if isinstance(ranked, Ranked):
                answer.set_result(ranked)
            else:
                answer.set_exception(ranked)
        self._start()
