"""Prepare the events after the end of a training, to update a model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

import polars as pl

from segue.data.events import SECOND, Events, sort_events
from segue.data.fingerprint import fingerprint
from segue.data.growth import grow, iso_time, trained_until
from segue.data.partitions import PartitionedLog
from segue.data.sessions import Sessions
from segue.data.vocabulary import VECTOR, Vocabulary
from segue.errors import EmptyDataError, ParameterError, noted
from segue.protocols.cases import encode
from segue.protocols.pipeline import Pipeline, Stage
from segue.protocols.prepare import distinct_sessions, with_users
from segue.protocols.protocol import Protocol
from segue.protocols.selection import check_cleaning


class Trained(Interface):
    """What is needed of a model: its catalogue, and facts about its training."""

    vocabulary: Vocabulary
    about: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RecentLog:
    """The later events of a log, cleaned and encoded.

    Attributes:
        fingerprint: hash of the raw log.
        sessions: the sessions; their catalogue is that of the model, with new items behind.
        seen: number of events that are not later than the training of the model, which were left out.
        cleaned: number of later events that the cleaning dropped.
        items: number of new items.
        stages: statistics after each step of the cleaning.
        notes: notes on the preparation, one sentence each.
    """

    fingerprint: str
    sessions: Sessions
    seen: int
    cleaned: int
    items: int
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]


def prepare_recent(events: Events, model: Trained, protocol: Protocol | None = None) -> RecentLog:
    """Clean and encode the events after the end of the training of a model.

    Events up to the end of training are left out, so that none counts twice. What is left of a session that the model
    has seen in part is a session of its own. The cleaning steps of the protocol run in its order, except that
    ``recent-share`` is skipped, and items of the model are kept however rare they are in this log; new items have to
    occur as often in it as the protocol says.

    Args:
        events: the raw log.
        model: a fitted model.
        protocol: only its cleaning steps are used; None takes the protocol that the model records, or cleans nothing.

    Raises:
        ParameterError: a step requires a column that the log does not have, the log has no times and that of the model
            had, or its ids are of another type.
        EmptyDataError: no event is left.
    """
    if not isinstance(events, Events):
        raise ParameterError(f"events: must be a log, got {type(events).__name__}; read it first: segue.read(...)")
    if protocol is None and "protocol" in model.about:
        protocol = Protocol.of(model.about["protocol"], "model")
    with noted(events.notes):
        return _prepare(events, model, Protocol() if protocol is None else protocol)


def prepare_history(events: Events, recent: Sessions, model: Trained) -> Sessions:
    """Clean and encode the log that a model was trained on, for ``Model.update``.

    Events after the end of the training are left out, and events on items that the model does not know.

    Args:
        events: the raw log.
        recent: the sessions of the update.
        model: the model.

    Raises:
        ParameterError: a step of the cleaning requires a column that the log does not have, or it has no times and the
            recent sessions have some.
        EmptyDataError: no event is left.
    """
    with noted(events.notes):
        protocol = Protocol.of(model.about["protocol"], "model") if "protocol" in model.about else Protocol()
        check_cleaning(events, protocol)
        until = trained_until(model.about)
        if recent.times is not None and not events.has_time:
            raise ParameterError(
                "history: must have times as the recent events; map the time column: --columns time=COLUMN"
            )
        log, _, _ = distinct_sessions(with_users(events))
        if until is not None and events.has_time:
            log = log.filter(pl.col("time").is_null() | (pl.col("time").to_physical() // SECOND <= until))
        cleaned = Pipeline(protocol).clean(PartitionedLog.of(sort_events(log)))
        sessions, _ = encode(cleaned.frame(), recent.vocabulary)
        return sessions


def _prepare(events: Events, model: Trained, protocol: Protocol) -> RecentLog:
    check_cleaning(events, protocol)
    known, until = model.vocabulary.ids, trained_until(model.about)
    log, renamed, _ = distinct_sessions(with_users(events))
    if until is not None and not events.has_time:
        raise ParameterError(
            "LOG: must have times, because the log that the model was trained on had some; without them nobody knows "
            "which events the model has seen; map the time column: --columns time=COLUMN"
        )
    later = log
    if until is not None:
        later = log.filter(pl.col("time").is_null() | (pl.col("time").to_physical() // SECOND > until))
        if log.height and later.is_empty():
            raise EmptyDataError(
                f"LOG: contains no event after {iso_time(until)}, the end of the training of the model, in "
                f"{log.height:,} events; name a log of later events"
            )
    if known.dtype != later["item"].dtype:
        later = later.with_columns(item=_cast(later["item"], known.dtype))
    pipeline = Pipeline(protocol)
    cleaned = pipeline.clean(PartitionedLog.of(sort_events(later)), known).frame()
    vocabulary = grow(model.vocabulary, cleaned["item"], events.items)
    sessions, _ = encode(cleaned, vocabulary)
    notes = [*events.notes, *renamed, *_vector_notes(vocabulary, len(known))]
    return RecentLog(
        fingerprint=fingerprint(events.frame),
        sessions=sessions,
        seen=log.height - later.height,
        cleaned=later.height - cleaned.height,
        items=len(vocabulary) - len(known),
        stages=tuple(pipeline.stages),
        notes=tuple(notes),
    )


def _vector_notes(vocabulary: Vocabulary, known: int) -> Iterator[str]:
    """Yield a note on new items without a vector, where the training items have some."""
    if VECTOR in vocabulary.table.columns and (without := vocabulary.table[VECTOR][known:].null_count()):
        yield (
            f"{without:,} of {len(vocabulary) - known:,} new items have no vector, which the model reads: "
            "--item-vectors, in Python segue.read(..., item_vectors=)"
        )


def _cast(items: pl.Series, kind: pl.DataType) -> pl.Series:
    found = items.cast(kind, strict=False)
    if found.null_count() > items.null_count():
        odd = items.filter(found.is_null() & items.is_not_null())[0]
        raise ParameterError(
            f"LOG, column 'item': must have ids of type {kind} as the training items, got {odd!r}; check --columns"
        )
    return found
