"""Prepare a log of any size: the same steps as ``prepare`` and ``prepare_whole``, on partitions in files.

pieces of the log, in the order of the file
-> partitions of whole sessions, in the order of their ids   data/exchange.py
-> the steps of the protocol on each partition                pipeline.py
-> encoded blocks of sessions, in the order of their end      blocks.py
-> the files of a data set, byte for byte those of ``prepare(...).save(...)``
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from segue.data.array_files import open_ranges
from segue.data.events import ITEM, SESSION, USER, LogFacts
from segue.data.exchange import sort_partitioned
from segue.data.partitions import Engine, OnDisk, PartitionedLog, Table, table_size
from segue.data.readers.staging import StagedLog
from segue.data.reading import Unit
from segue.data.vocabulary import Vocabulary
from segue.errors import noted
from segue.manifest import DATASET
from segue.metrics.values import check_labels
from segue.protocols.blocks import (
    Blocks,
    encode_held_out,
    encode_sessions,
    labels_of,
    n_cases,
    write_case_blocks,
    write_session_blocks,
)
from segue.protocols.dataset import TRAIN, DatasetFacts, write_facts
from segue.protocols.hashing import protocol_hash
from segue.protocols.pipeline import Pipeline
from segue.protocols.prepare import (
    WholeLog,
    case_rules,
    has_original_ids,
    held_out_parts,
    may_share_sessions,
    needs_users,
    remarks,
    rename_sessions,
    require_test_cases,
    shared_note,
    shared_sessions,
)
from segue.protocols.protocol import Protocol
from segue.protocols.selection import check, check_cleaning, choose
from segue.storage import remove

LEAST_MEMORY = 500 << 20
"""Bytes that a preparation takes at least."""
_FIXED, _COPIES = 300 << 20, 8
"""Memory of the process itself, and how many copies of a partition the steps make at most."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(DatasetFacts):
    """A data set that was written.

    Attributes:
        train_events: number of training events.
        train_sessions: number of training sessions.
        test_cases: number of test cases.
        n_items: number of items.
    """

    train_events: int
    train_sessions: int
    test_cases: int
    n_items: int


def partitions_for(size: int, memory: int) -> int:
    """Return the number of partitions with which a log of ``size`` bytes in memory is prepared in ``memory`` bytes."""
    return max(1, -(-size * _COPIES // max(memory - _FIXED, 64 << 20)))


def piece_size(memory: int) -> int:
    """Return the bytes of a piece of the log as it is read in ``memory`` bytes."""
    return max(memory - _FIXED, 64 << 20) // _COPIES


def prepare_to_folder(
    source: StagedLog,
    out: Path,
    engine: Engine,
    *,
    memory: int,
    protocol: Protocol | str | None = None,
    parameters: Mapping[str, Any] | None = None,
    log: str | None = None,
    items: str | None = None,
    partitions: int | None = None,
) -> Prepared:
    """Prepare a log and write the data set, with the same bytes as ``prepare(events, protocol).save(out)``.

    Args:
        source: the log.
        out: the folder to write, atomically.
        engine: runs the work on each partition.
        memory: bytes that a process may take, about.
        protocol: see ``prepare``.
        parameters: see ``prepare``.
        log: name of the log, see ``Dataset``.
        items: name of the table of metadata, see ``Dataset``.
        partitions: number of partitions; chosen by ``memory`` if None.

    Raises:
        ParameterError, EmptyDataError: as ``prepare``.
        StorageError: a file cannot be written.
    """
    with noted(source.notes):
        return _Preparation(source, engine, memory, partitions).run(out, protocol, parameters or {}, log, items)


def prepare_whole_in_ranges(
    source: StagedLog,
    choose_protocol: Callable[[LogFacts], Protocol],
    engine: OnDisk,
    *,
    memory: int,
    partitions: int | None = None,
) -> WholeLog:
    """Clean and encode a log of any size for a model that is trained on the whole log; see ``prepare_whole``.

    Args:
        source: the log.
        choose_protocol: returns the protocol whose cleaning steps are taken.
        engine: runs the work on each partition. Its folder receives the sessions, which are memory-mapped.
        memory: bytes that a process may take, about.
        partitions: number of partitions of the log and of ranges of the sessions; chosen by ``memory`` if None.

    Raises:
        ParameterError, EmptyDataError: as ``prepare_whole``.
        StorageError: a file cannot be written.
    """
    with noted(source.notes):
        return _Preparation(source, engine, memory, partitions).run_whole(choose_protocol, engine.folder / TRAIN)


class _KnownLog:
    """Facts about a log, for ``choose`` and ``check``."""

    def __init__(self, source: StagedLog, events: PartitionedLog) -> None:
        self.unit: Unit = source.unit
        self.schema = source.schema
        self.has_time = source.has_time
        self.has_parts = source.has_parts
        self._events = events

    @cached_property
    def repeated_share(self) -> float:
        """Share of the events on an item that their session has had before."""
        counts = self._events.map(_count_pairs, columns=(SESSION, ITEM))
        pairs, events = (sum(one[name] for one in counts) for name in ("pairs", "events"))
        return 1 - int(pairs) / max(int(events), 1)


class _Preparation:
    """One preparation, from pieces to a folder."""

    def __init__(self, source: StagedLog, engine: Engine, memory: int, partitions: int | None) -> None:
        self.source = source
        self.engine = engine
        self.partitions = partitions or partitions_for(sum(map(table_size, source.pieces)), memory)

    def run(
        self,
        out: Path,
        protocol: Protocol | str | None,
        parameters: Mapping[str, Any],
        log: str | None,
        items: str | None,
    ) -> Prepared:
        """Prepare the log and write the data set."""
        source = self.source
        events = sort_partitioned(self.engine, self._pieces(), self.partitions)
        known = _KnownLog(source, events)
        chosen, notes = choose(known, protocol, parameters)
        check(known, chosen)
        events, renamed, overlapping = self._distinct(events)
        pipeline = Pipeline(chosen)
        pipeline.run(events)
        del events
        vocabulary = Vocabulary.from_counts(pipeline.count("train"), source.items)
        is_renamed = bool(renamed) and has_original_ids(pipeline)
        original = pl.Series(dtype=source.schema[SESSION]) if is_renamed else None
        train = encode_sessions(pipeline.parts["train"], vocabulary, self.partitions, original)
        cases = self._cases(pipeline, vocabulary)
        prepared = Prepared(
            protocol=chosen,
            fingerprint=source.fingerprint,
            hash=protocol_hash(chosen, source.fingerprint, None),
            stages=tuple(pipeline.stages),
            notes=(*source.notes, *notes, *renamed, *remarks(known, pipeline, has_valid="valid" in cases)),
            overlapping_sessions=overlapping,
            log=log,
            items=items,
            reading=source.reading,
            train_events=sum(block["events"].height for block in train),
            train_sessions=sum(block["sessions"].height for block in train),
            test_cases=n_cases(cases["test"]),
            n_items=len(vocabulary),
        )

        def write(folder: Path) -> None:
            write_facts(folder, prepared, vocabulary)
            write_session_blocks(train, folder / TRAIN)
            several = chosen.cases.targets in ("together", "next-basket")
            for name, blocks in cases.items():
                write_case_blocks(blocks, folder / name, several=several, labelled=chosen.ranking.labeled)

        DATASET.write(out, {}, write)
        return prepared

    def run_whole(self, choose_protocol: Callable[[LogFacts], Protocol], folder: Path) -> WholeLog:
        """Clean the log and write all its sessions."""
        source = self.source
        events = sort_partitioned(self.engine, self._pieces(), self.partitions)
        known = _KnownLog(source, events)
        protocol = choose_protocol(known)
        check_cleaning(known, protocol)
        events, renamed, _ = self._distinct(events)
        pipeline = Pipeline(protocol)
        cleaned = pipeline.clean(events)
        vocabulary = Vocabulary.from_counts(pipeline.count("log"), source.items)
        blocks = encode_sessions(cleaned, vocabulary, self.partitions)
        if folder.exists():  # A command that was killed may have written a part of it.
            remove(folder)
        write_session_blocks(blocks, folder)
        train = open_ranges(folder, vocabulary, self.engine, self.partitions)
        notes = (*source.notes, *renamed)
        return WholeLog(protocol, source.fingerprint, train, tuple(pipeline.stages), notes, source.reading)

    def _pieces(self) -> Sequence[Table]:
        """Return the pieces, with users if sessions are users."""
        pieces = self.source.pieces
        if not needs_users(self.source):
            return pieces
        return [one["piece"] for one in self.engine.map(_add_users, [{"piece": piece} for piece in pieces])]

    def _distinct(self, events: PartitionedLog) -> tuple[PartitionedLog, list[str], int]:
        """Separate sessions with equal ids in several parts of a predefined split; see ``distinct_sessions``."""
        if not may_share_sessions(self.source):
            return events, [], 0
        found = events.map(shared_sessions)
        shared = sum(one["shared"] for one in found)
        if not shared:
            return events, [], 0
        self.engine.drop(events.partitions)
        pieces = self.engine.map(_rename, [{"piece": piece} for piece in self.source.pieces])
        events = sort_partitioned(self.engine, [one["piece"] for one in pieces], self.partitions)
        return events, [shared_note(shared)], sum(one["overlapping"] for one in found)

    def _cases(self, pipeline: Pipeline, vocabulary: Vocabulary) -> dict[str, Blocks]:
        """Encode the held-out parts; see ``prepare``."""
        protocol = pipeline.protocol
        found: dict[str, Blocks] = {}
        left = {}
        for part, earlier in held_out_parts(pipeline):
            before = {name: pipeline.parts[name] for name in earlier}
            rules = case_rules(protocol) | {"label_threshold": protocol.cases.label_threshold}
            found[part], left[part] = encode_held_out(
                pipeline.parts[part], before, vocabulary, self.partitions, **rules
            )
        pipeline.record_cases(left)
        cases = {part: blocks for part, blocks in found.items() if n_cases(blocks)}
        require_test_cases("test" in cases)
        if protocol.ranking.labeled:
            check_labels(labels_of(cases["test"]), protocol.ranking.metrics)
        return cases


def _count_pairs(log: pl.DataFrame) -> dict[str, Any]:
    pairs = log.select(SESSION, ITEM).drop_nulls()
    return {"events": pairs.height, "pairs": pairs.n_unique()}


def _add_users(piece: pl.DataFrame) -> dict[str, Any]:
    return {"piece": piece.with_columns(pl.col(SESSION).alias(USER))}


def _rename(piece: pl.DataFrame) -> dict[str, Any]:
    return {"piece": rename_sessions(piece)}
