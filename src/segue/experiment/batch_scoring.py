"""Batch scoring: the best items of every session of a log or a data set, in parts of equal numbers of sessions.

A part is one call on an engine. Which sessions it has, and which of them are scored together, depends on the sessions
alone, and it is computed in one thread, so that its bytes do not depend on partitions and processes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64

from segue.data.events import ITEM, SECOND, SESSION, TIME, SessionBounds
from segue.data.exchange import sort_partitioned
from segue.data.partitions import Engine, PartitionedLog, Table, load, table_size
from segue.data.readers.staging import StagedLog
from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING
from segue.errors import ArtifactError, EmptyDataError
from segue.evaluation.measure import cases_at_once
from segue.manifest import SCORES
from segue.models import registry
from segue.models.base import Model
from segue.models.recommendation import Mask, best_items
from segue.protocols.dataset import Dataset, open_dataset
from segue.protocols.out_of_core import partitions_for
from segue.threads import one_thread

logger = logging.getLogger(__name__)

PART_SESSIONS = 20_000
"""Sessions of a part."""


@dataclass(frozen=True)
class Lists:
    """Which lists are made.

    Attributes:
        model: folder of the model.
        mark: identity of the model.
        k: number of items of a list.
        exclude_seen: whether the items of a session are excluded from its list.
    """

    model: Path
    mark: str
    k: int
    exclude_seen: bool = False


@dataclass(frozen=True)
class Scored:
    """What was written.

    Attributes:
        sessions: number of sessions.
        rows: number of listed items.
    """

    sessions: int
    rows: int


def score_log(
    source: StagedLog,
    lists: Lists,
    out: Path,
    engine: Engine,
    *,
    memory: int,
    partitions: int | None = None,
    part_sessions: int = PART_SESSIONS,
) -> Scored:
    """List the best items after the last event of each session of a log, in order of the session ids.

    Events without a session, an item or a time are ignored, and nothing else is cleaned.

    Args:
        source: the log.
        lists: which lists are made.
        out: the folder to write, atomically: ``part-00000.parquet`` and so on, with columns session, rank, item, score.
        engine: runs the work on partitions of the log, and on the parts.
        memory: bytes that a process may take, about.
        partitions: number of partitions; chosen by ``memory`` if None.
        part_sessions: sessions of a part.

    Raises:
        EmptyDataError: the log has no complete event, or none of an item that the model knows.
        ArtifactError: a score of the model is not finite.
        StorageError: a file cannot be written.
    """
    for note in source.notes:
        logger.info(note)
    count = partitions or partitions_for(sum(map(table_size, source.pieces)), memory)
    log = sort_partitioned(engine, source.pieces, count)
    log = log.with_partitions(one["log"] for one in log.map(_complete))
    sizes = [int(one["sessions"]) for one in log.map(_count_sessions, columns=(SESSION,))]
    if not sum(sizes):
        raise EmptyDataError("LOG: has no event with a session and an item; check --columns")
    each = [_sources(log, sizes, part) for part in _ranges(sum(sizes), part_sessions)]
    parts = engine.map(_score_part, each, lists=lists)
    events, ignored, unread = (sum(int(one[name]) for one in parts) for name in ("events", "ignored", "unread"))
    if ignored == events:
        raise EmptyDataError(
            f"LOG: must have items that the model knows, got none in {events:,} events; name the column of the "
            "items with --columns item=NAME, or use a model of this log"
        )
    if ignored:
        logger.info(
            "%s of %s events are of items that the model does not know and are ignored; %s of %s sessions have no "
            "others, and get popular items",
            *(f"{count:,}" for count in (ignored, events, unread, sum(sizes))),
        )
    return _write(out, [one["part"] for one in parts], sum(sizes))


def score_data(
    folder: Path, mark: str, lists: Lists, out: Path, engine: Engine, *, part_sessions: int = PART_SESSIONS
) -> Scored:
    """List the best items after the last event of each training session of a data set, in its order.

    Args:
        folder: the data set, prepared with the catalogue of the model.
        mark: identity of the data set.
        lists: see ``score_log``, as for the arguments that follow.
        out: the folder to write.
        engine: runs the work on the parts.
        part_sessions: sessions of a part.
    """
    sessions = len(_data(folder, mark).train)
    each = [{"first": first, "last": last} for first, last in _ranges(sessions, part_sessions)]
    found = engine.map(_score_sessions, each, folder=folder, mark=mark, lists=lists)
    return _write(out, [one["part"] for one in found], sessions)


def _ranges(total: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(first + size, total)) for first in range(0, total, size)]


def _sources(log: PartitionedLog, sizes: Sequence[int], part: tuple[int, int]) -> dict[str, Any]:
    """Return the partitions that hold the sessions of a part, and which of their sessions these are."""
    tables, spans, before = [], [], 0
    for table, size in zip(log.partitions, sizes, strict=True):
        first, last = max(part[0] - before, 0), min(part[1] - before, size)
        if first < last:
            tables.append(table)
            spans.append((first, last))
        before += size
    return {"tables": tables, "spans": spans}


def _write(out: Path, parts: Sequence[Table], sessions: int) -> Scored:
    def write(folder: Path) -> None:
        for number, part in enumerate(parts):
            load(part).write_parquet(folder / f"part-{number:05d}.parquet")

    SCORES.write(out, {"sessions": sessions}, write)
    return Scored(sessions, sum(part.height for part in parts))


def _complete(log: pl.DataFrame) -> dict[str, Any]:
    return {"log": log.drop_nulls([name for name in (SESSION, ITEM, TIME) if name in log.columns])}


def _count_sessions(log: pl.DataFrame) -> dict[str, Any]:
    return {"sessions": len(SessionBounds.of(log).starts)}


def _score_part(tables: Sequence[Table], spans: Sequence[tuple[int, int]], lists: Lists) -> dict[str, Any]:
    model = _model(lists.model, lists.mark)
    pieces = []
    for table, (first, last) in zip(tables, spans, strict=True):
        piece = load(table)
        bounds = SessionBounds.of(piece)
        pieces.append(piece[int(bounds.starts[first]) : int(bounds.ends[last - 1])])
    log = pl.concat(pieces)
    bounds, index = SessionBounds.of(log), model.vocabulary.encode(log[ITEM])
    readable = model.vocabulary.known[index]
    free = [name for name in model.context_columns if name in log.columns and name != TIME]
    starts, ends = _counted(bounds, readable)
    prefixes = Prefixes(
        index[readable],
        starts,
        ends,
        log[TIME].to_physical().to_numpy()[readable] // SECOND if TIME in log.columns else None,
        log.select(free).filter(pl.Series(readable)) if free else None,
        vocabulary=model.vocabulary,
    )
    in_catalogue = index != PADDING
    seen = Prefixes(index[in_catalogue], *_counted(bounds, in_catalogue)) if lists.exclude_seen else None
    part = _listed(model, prefixes, seen, log[SESSION].gather(bounds.starts), lists.k)
    ignored, unread = np.count_nonzero(~readable), np.count_nonzero(starts == ends)
    return {"part": part, "events": len(index), "ignored": int(ignored), "unread": int(unread)}


def _counted(bounds: SessionBounds, chosen: np.ndarray) -> tuple[Int64[np.ndarray, "s"], Int64[np.ndarray, "s"]]:
    """Return where the chosen events of each session begin and end among all chosen events."""
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(chosen, dtype=np.int64)])
    return before[bounds.starts], before[bounds.ends]


def _score_sessions(first: int, last: int, folder: Path, mark: str, lists: Lists) -> dict[str, Any]:
    model, train = _model(lists.model, lists.mark), _data(folder, mark).train
    prefixes = train.as_prefixes()[first:last]
    ids = train.ids
    assert ids is not None
    return {"part": _listed(model, prefixes, prefixes if lists.exclude_seen else None, ids[first:last], lists.k)}


@one_thread()
def _listed(model: Model, prefixes: Prefixes, seen: Prefixes | None, ids: pl.Series, k: int) -> pl.DataFrame:
    """Return the list of each session as rows."""
    step, frames = cases_at_once(model), []

    def top_k(
        some: Prefixes, k: int, allowed: Mask, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        return model.top_k(some, k, allowed=allowed, exclude=exclude)

    for start in range(0, len(prefixes), step):
        rows = slice(start, start + step)
        exclude = None if seen is None else seen[rows]
        items, scores = best_items(model.vocabulary, top_k, prefixes[rows], k, None, exclude)
        listed = items != PADDING
        if not np.isfinite(scores[listed]).all():
            raise ArtifactError("the model: its scores are not finite, so its arrays are damaged; train it again")
        session, place = np.nonzero(listed)
        frames.append(
            pl.DataFrame(
                {
                    "session": ids[rows].gather(session),
                    "rank": pl.Series(place + 1, dtype=pl.Int32),
                    "item": model.vocabulary.ids.gather(items[listed] - 1),
                    "score": scores[listed],
                }
            )
        )
    return pl.concat(frames)


@lru_cache(maxsize=1)
def _model(folder: Path, mark: str) -> Model:
    """Load a model once per process; another model in the same folder has another mark."""
    return registry.load(folder)


@lru_cache(maxsize=1)
def _data(folder: Path, mark: str) -> Dataset:
    return open_dataset(folder)
