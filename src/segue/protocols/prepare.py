"""Prepare a raw log as a data set for training and testing."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from segue.data.cases import Cases
from segue.data.events import PART, SESSION, TIME, USER, Events, LogFacts, sort_events
from segue.data.fingerprint import fingerprint
from segue.data.partitions import PartitionedLog
from segue.data.readers.staging import StagedLog
from segue.data.reading import Reading
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError, ParameterError, noted
from segue.metrics.values import check_labels
from segue.protocols.cases import encode, encode_cases
from segue.protocols.dataset import Dataset
from segue.protocols.hashing import catalogue_hash, protocol_hash
from segue.protocols.pipeline import Pipeline, Stage
from segue.protocols.protocol import Protocol
from segue.protocols.selection import check, check_cleaning, choose


def prepare(
    events: Events, protocol: Protocol | str | None = None, *, vocabulary: Vocabulary | None = None, **parameters: Any
) -> Dataset:
    """Clean, split and encode a log.

    Args:
        events: the raw log.
        protocol: a protocol, its name, or None to choose one that fits the log.
        vocabulary: the catalogue of a fitted model to test on this log; None learns the catalogue from the training
            part.
        **parameters: parameters of the protocol by part, for example ``cleaning={"k_core": 5}`` and
            ``split={"test_days": 7}``; ``split="ratio"`` chooses another split.

    Raises:
        UnknownNameError: there is no such protocol or parameter.
        ParameterError: ``events`` is not an ``Events``, or parameters break their rules, have no effect or do not fit
            the log; all are reported together.
        EmptyDataError: no training or test data are left; the message names the step.
    """
    if not isinstance(events, Events):
        raise ParameterError(f"events: must be a log, got {type(events).__name__}; read it first: segue.read(...)")
    with noted(events.notes):
        chosen, notes = choose(events, protocol, parameters)
        return _prepare(events, chosen, notes, vocabulary)


def _prepare(events: Events, chosen: Protocol, notes: list[str], vocabulary: Vocabulary | None) -> Dataset:
    check(events, chosen, trained=vocabulary is not None)
    log, renamed, overlapping = distinct_sessions(with_users(events))
    pipeline = Pipeline(chosen)
    pipeline.run(PartitionedLog.of(sort_events(log)))
    log_hash = fingerprint(events.frame)
    learned = Vocabulary.from_counts(pipeline.count("train"), events.items)
    catalogue = catalogue_hash(vocabulary, learned)
    vocabulary = vocabulary or learned
    train, _ = encode(pipeline.parts["train"].frame(), vocabulary)
    if renamed and has_original_ids(pipeline):
        train = _with_ids_of(train, events)
    cases = _cases(pipeline, vocabulary)
    if cases["test"].labels is not None:
        check_labels(cases["test"].labels, chosen.ranking.metrics)
    return Dataset(
        protocol=chosen,
        fingerprint=log_hash,
        hash=protocol_hash(chosen, log_hash, catalogue),
        train=train,
        valid=cases.get("valid"),
        test=cases["test"],
        stages=tuple(pipeline.stages),
        notes=(*events.notes, *notes, *renamed, *remarks(events, pipeline, has_valid="valid" in cases)),
        overlapping_sessions=overlapping,
        catalogue=catalogue,
        reading=events.reading,
    )


@dataclass(frozen=True, eq=False)
class WholeLog:
    """A cleaned log with nothing held out.

    Attributes:
        protocol: the protocol that it was cleaned with.
        fingerprint: hash of the raw log.
        train: all its sessions; their vocabulary is the catalogue.
        stages: statistics after each step.
        notes: notes on the preparation, one sentence each; notes of the reader come first.
        reading: how the log was read, if this is known.
    """

    protocol: Protocol
    fingerprint: str
    train: Sessions
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]
    reading: Reading | None = None


def prepare_whole(events: Events, protocol: Protocol) -> WholeLog:
    """Clean and encode a log for a model that is trained on the whole log.

    The cleaning steps of the protocol run in its order; steps that act on training sessions act on all sessions.
    Nothing is held out; a predefined split is ignored.

    Args:
        events: the raw log.
        protocol: only its cleaning steps are used; its split, cases and metrics are ignored.

    Raises:
        ParameterError: a step requires a column that the log does not have.
        EmptyDataError: a step dropped all events.
    """
    with noted(events.notes):
        return _prepare_whole(events, protocol)


def _prepare_whole(events: Events, protocol: Protocol) -> WholeLog:
    check_cleaning(events, protocol)
    log, renamed, _ = distinct_sessions(with_users(events))
    pipeline = Pipeline(protocol)
    cleaned = pipeline.clean(PartitionedLog.of(sort_events(log)))
    train, _ = encode(cleaned.frame(), Vocabulary.from_counts(pipeline.count("log"), events.items))
    notes = (*events.notes, *renamed)
    return WholeLog(protocol, fingerprint(events.frame), train, tuple(pipeline.stages), notes, events.reading)


def with_users(events: Events) -> Events:
    """Add the user of each event if sessions are user histories."""
    if not needs_users(events):
        return events
    return replace(events, frame=events.frame.with_columns(pl.col(SESSION).alias(USER)))


def needs_users(events: Events | StagedLog) -> bool:
    """Whether sessions are users, and the log has no column of users."""
    return events.unit == "user" and USER not in events.schema


def distinct_sessions(events: Events) -> tuple[pl.DataFrame, list[str], int]:
    """Separate sessions with equal ids in several parts of a predefined split, because each file may count from 1.

    Returns:
        The log, notes on the change, and the number of ids whose training and test events overlap in time.
    """
    if not may_share_sessions(events):
        return events.frame, [], 0
    found = shared_sessions(events.frame)
    if not found["shared"]:
        return events.frame, [], 0
    return rename_sessions(events.frame), [shared_note(found["shared"])], found["overlapping"]


def may_share_sessions(events: Events | StagedLog) -> bool:
    """Whether equal session ids in several parts of a predefined split are different sessions."""
    return events.unit != "user" and events.has_parts


def shared_sessions(log: pl.DataFrame) -> dict[str, int]:
    """Count the session ids in several parts, and those of them whose training and test events overlap in time."""
    ids = log.group_by("session").agg(pl.col("part").n_unique()).filter(pl.col("part") > 1)["session"]
    if ids.is_empty():
        return {"shared": 0, "overlapping": 0}
    overlapping = _overlapping(log.filter(pl.col("session").is_in(ids.implode()))) if TIME in log.columns else 0
    return {"shared": len(ids), "overlapping": overlapping}


def shared_note(count: int) -> str:
    """Return the note on session ids in several parts."""
    return f"{count:,} session ids occur in several parts of the split; they are treated as different sessions"


def rename_sessions(log: pl.DataFrame) -> pl.DataFrame:
    """Make sessions of different parts different."""
    return log.with_columns(session=pl.format("{}/{}", "part", "session"))


def _with_ids_of(train: Sessions, events: Events) -> Sessions:
    """Restore the original ids of training sessions that ``distinct_sessions`` renamed."""
    assert train.ids is not None
    return replace(train, keys=original_session_ids(train.ids, events.frame[SESSION]).to_frame())


def has_original_ids(pipeline: Pipeline) -> bool:
    """Whether the training sessions can have their original ids, which are unique in each part of a predefined split.

    Sessions of several parts keep the names that ``rename_sessions`` gave them.
    """
    if pipeline.protocol.split.kind != "given":
        return False
    found = pipeline.parts["train"].map(_parts_of, columns=(PART,))
    return len({part for one in found for part in one["parts"]}) == 1


def _parts_of(log: pl.DataFrame) -> dict[str, Any]:
    return {"parts": log[PART].unique().sort().to_list()}


def original_session_ids(ids: pl.Series, like: pl.Series) -> pl.Series:
    """Undo ``rename_sessions`` for sessions of one part; ``like`` has the type of their ids.

    New sessions of step 'sessionise' are numbers, and stay as they are.
    """
    if ids.dtype != pl.String:
        return ids
    return ids.str.replace(r"^\w+/", "").cast(like.dtype)


def _overlapping(frame: pl.DataFrame) -> int:
    """Count the session ids whose span of training events overlaps their span of test events."""
    spans = frame.group_by("session", "part").agg(first=pl.col("time").min(), last=pl.col("time").max())
    train, test = (spans.filter(pl.col("part") == part) for part in ("train", "test"))
    both = train.join(test, on="session", suffix="_test")
    return both.filter((pl.col("first_test") < pl.col("last")) & (pl.col("first") < pl.col("last_test"))).height


def _cases(pipeline: Pipeline, vocabulary: Vocabulary) -> dict[str, Cases]:
    """Encode the held-out parts and record their statistics; a validation part without cases is omitted."""
    protocol, parts = pipeline.protocol, pipeline.parts
    encoded = {
        part: encode_cases(
            parts[part].frame(), [parts[name].frame() for name in earlier], vocabulary, **case_rules(protocol)
        )
        for part, earlier in held_out_parts(pipeline)
    }
    pipeline.record_cases({part: PartitionedLog.of(left) for part, (_, left) in encoded.items()})
    cases = {
        part: with_label_threshold(cases, protocol.cases.label_threshold)
        for part, (cases, _) in encoded.items()
        if len(cases)
    }
    require_test_cases("test" in cases)
    return cases


def held_out_parts(pipeline: Pipeline) -> list[tuple[str, list[str]]]:
    """Return the held-out parts, each with the parts whose events are input of its cases, oldest first."""
    before_test = ["train", "valid"] if pipeline.protocol.feeds_valid else ["train"]
    parts = (("valid", ["train"]), ("test", before_test))
    return [
        (part, [name for name in earlier if name in pipeline.parts])
        for part, earlier in parts
        if part in pipeline.parts
    ]


def case_rules(protocol: Protocol) -> dict[str, Any]:
    """Return the arguments of ``encode_cases`` for a protocol."""
    return {
        "targets": protocol.cases.targets,
        "exclude_seen": protocol.cases.exclude_seen,
        "repeat_targets": protocol.cases.repeat_targets,
        "label": protocol.cases.label if protocol.ranking.labeled else None,
    }


def require_test_cases(any_left: bool) -> None:
    """Refuse a log without test cases.

    Raises:
        EmptyDataError: none are left.
    """
    if not any_left:
        raise EmptyDataError(
            "no test case is left: no test event is on an item of the training part and has an earlier event; "
            "loosen the protocol's filters or change protocol.split"
        )


def with_label_threshold(cases: Cases, threshold: float | None) -> Cases:
    """Convert labels to 1 and 0 if there is a threshold."""
    if cases.labels is None or threshold is None:
        return cases
    return replace(cases, labels=(cases.labels >= threshold).astype(np.float64))


def remarks(events: LogFacts, pipeline: Pipeline, *, has_valid: bool) -> list[str]:
    """Return notes for readers of the results."""
    protocol = pipeline.protocol
    notes = pipeline.duplicate_notes(events.unit)
    lost = {stage.part: stage.dropped for stage in pipeline.stages if stage.step == "encode" and stage.dropped}
    if lost:
        counts = " and ".join(f"{events:,} {part} events" for part, events in lost.items())
        notes.append(f"{counts} are not used: their item is not in training, or their session has no other event")
    if events.has_parts and protocol.split.kind != "given":
        notes.append(f"the predefined split of the log is ignored; split '{protocol.split.kind}' is used instead")
    if not protocol.split.test_is_disjoint:
        notes.append(
            "validation and test are the same events: a model that selects its epoch on them looks better than it is"
        )
    notes += pipeline.notes
    if not has_valid and not pipeline.notes:
        notes.append("nothing is held out for validation")
    return notes
