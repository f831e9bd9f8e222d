"""Sessions and cases of a partitioned log in the order of their end, and in the files of a data set.

Each partition is encoded by itself. Its sessions, in order of their end, are divided among blocks, which are ranges of
ends; a block is the merged sessions of all partitions, and the blocks, one after the other, are the arrays of
``Sessions`` or ``Cases``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from segue.data.array_files import ArrayFile, write_tables
from segue.data.arrays import concatenate_ranges
from segue.data.cases import Cases
from segue.data.events import ROW, SESSION, TIME, SessionBounds, end_times
from segue.data.partitions import PartitionedLog, Table, load, slice_table
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.protocols.cases import EncodedCases, encode, encode_cases_of
from segue.protocols.prepare import original_session_ids, with_label_threshold

_SAMPLES_PER_BLOCK = 200
_OWN = ("item", "time")
"""Columns of a block that become arrays; the others are the further columns of the log."""

Blocks = Sequence[Mapping[str, Table]]
"""The tables of each block: ``events``, ``sessions``, and of cases ``cases`` and ``targets``."""


def encode_sessions(
    log: PartitionedLog, vocabulary: Vocabulary, blocks: int, original_ids: pl.Series | None = None
) -> Blocks:
    """Encode the sessions of a log; see ``cases.encode``.

    Args:
        log: the log.
        vocabulary: the catalogue.
        blocks: how many blocks to make; there may be fewer if sessions are few.
        original_ids: a series of the type of the ids in the log, if ``rename_sessions`` has changed them.
    """
    cuts = _cuts(log, blocks)
    found = log.map(_encode_sessions, catalogue=vocabulary.table, cuts=cuts, original_ids=original_ids)
    return _merge(log, found, cuts, ("events", "sessions"))


def encode_held_out(
    log: PartitionedLog, earlier: Mapping[str, PartitionedLog], vocabulary: Vocabulary, blocks: int, **rules: Any
) -> tuple[Blocks, PartitionedLog]:
    """Encode the cases of a held-out part; see ``cases.encode_cases``.

    Args:
        log: the held-out events.
        earlier: logs with earlier events by their names, oldest first.
        vocabulary: the catalogue.
        blocks: how many blocks to make.
        **rules: see ``encode_cases``.

    Returns:
        The blocks, and the events that are left in sessions with a case.
    """
    cuts = _cuts(log, blocks)
    each = [
        {"earlier": list(tables)} for tables in zip(*(one.partitions for one in earlier.values()), strict=True)
    ] or [{"earlier": []}] * len(log.partitions)
    found = log.map(_encode_held_out, each, catalogue=vocabulary.table, cuts=cuts, rules=rules)
    left = log.with_partitions(one.pop("left") for one in found)
    return _merge(log, found, cuts, ("events", "sessions", "cases", "targets")), left


def n_cases(blocks: Blocks) -> int:
    """Return the number of cases."""
    return sum(block["cases"].height for block in blocks)


def write_session_blocks(blocks: Blocks, folder: Path) -> None:
    """Write the files of ``array_files.write_sessions``."""
    folder.mkdir()
    sizes = {"events": sum(block["events"].height for block in blocks)}
    sizes["sessions"] = sum(block["sessions"].height for block in blocks)
    timed = "time" in blocks[0]["events"].columns
    with (
        ArrayFile(folder / "items.npy", "<i4", sizes["events"]) as items,
        ArrayFile(folder / "times.npy", "<i8", sizes["events"], written=timed) as times,
        ArrayFile(folder / "offsets.npy", "<i8", sizes["sessions"] + 1) as offsets,
    ):
        offsets.append(np.zeros(1, dtype=np.int64))
        before = 0
        for block in blocks:
            events, sessions = load(block["events"]), load(block["sessions"])
            items.append(events["item"].to_numpy())
            if timed:
                times.append(events["time"].to_numpy())
            ends = before + np.cumsum(sessions["length"].to_numpy())
            offsets.append(ends)
            before = int(ends[-1]) if len(ends) else before
    write_tables(folder, [block["events"] for block in blocks], [block["sessions"] for block in blocks], _OWN)


def write_case_blocks(blocks: Blocks, folder: Path, *, several: bool, labelled: bool) -> None:
    """Write the files of ``array_files.write_cases``.

    Args:
        blocks: the cases.
        folder: the folder to make.
        several: whether a case may have several targets.
        labelled: whether targets have labels.
    """
    folder.mkdir()
    n_events, cases, targets = (sum(block[name].height for block in blocks) for name in ("events", "cases", "targets"))
    timed = "time" in blocks[0]["events"].columns
    with (
        ArrayFile(folder / "items.npy", "<i4", n_events) as items,
        ArrayFile(folder / "times.npy", "<i8", n_events, written=timed) as times,
        ArrayFile(folder / "starts.npy", "<i8", cases) as starts,
        ArrayFile(folder / "ends.npy", "<i8", cases) as ends,
        ArrayFile(folder / "groups.npy", "<i8", cases) as groups,
        ArrayFile(folder / "targets.npy", "<i4", targets) as items_wanted,
        ArrayFile(folder / "offsets.npy", "<i8", cases + 1, written=several) as offsets,
        ArrayFile(folder / "labels.npy", "<f8", cases, written=labelled) as labels,
    ):
        if several:
            offsets.append(np.zeros(1, dtype=np.int64))
        first_event = first_session = first_target = 0
        for block in blocks:
            events, sessions, found = (load(block[name]) for name in ("events", "sessions", "cases"))
            items.append(events["item"].to_numpy())
            if timed:
                times.append(events["time"].to_numpy())
            lengths, counts = sessions["length"].to_numpy(), sessions["cases"].to_numpy()
            start = np.repeat(first_event + np.cumsum(lengths) - lengths, counts)
            starts.append(start)
            ends.append(start + found["length"].to_numpy())
            groups.append(np.repeat(first_session + np.arange(len(lengths)), counts))
            items_wanted.append(load(block["targets"])["item"].to_numpy())
            if several:
                offsets.append(first_target + np.cumsum(found["targets"].to_numpy()))
            if labelled:
                labels.append(found["label"].to_numpy())
            first_event, first_session = first_event + events.height, first_session + sessions.height
            first_target += block["targets"].height
    write_tables(folder, [block["events"] for block in blocks], None, _OWN)


def labels_of(blocks: Blocks) -> np.ndarray:
    """Return the labels of all cases."""
    return np.concatenate([load(block["cases"])["label"].to_numpy() for block in blocks])


def _cuts(log: PartitionedLog, blocks: int) -> pl.DataFrame:
    """Return end and row of the first session of each block but the first, so that blocks have about equal sizes."""
    step = max(1, log.height // (blocks * _SAMPLES_PER_BLOCK))
    sample = pl.concat([load(one["sample"]) for one in log.map(_sample, columns=(ROW, SESSION, TIME), step=step)]).sort(
        "end", "row"
    )
    places = [sample.height * number // blocks for number in range(1, blocks)]
    return sample[[place for place in places if place < sample.height]].unique(maintain_order=True)


def _sample(log: pl.DataFrame, step: int) -> dict[str, Any]:
    """Return the session end of every ``step``-th event."""
    bounds = SessionBounds.of(log)
    rows = log[ROW].gather(bounds.ends - 1).cast(pl.Int64)
    ends = pl.DataFrame({"end": end_times(log, bounds), "row": rows})
    return {"sample": ends[np.repeat(np.arange(len(ends)), bounds.lengths)[::step]]}


def _encode_sessions(
    log: pl.DataFrame, catalogue: pl.DataFrame, cuts: pl.DataFrame, original_ids: pl.Series | None
) -> dict[str, Any]:
    sessions, rows = encode(log, Vocabulary(catalogue))
    tables = _tables(sessions, log, rows)
    if original_ids is not None:
        ids = original_session_ids(tables["sessions"][SESSION], original_ids)
        tables["sessions"] = tables["sessions"].with_columns(ids)
    return _divide(tables, cuts)


def _encode_held_out(
    log: pl.DataFrame, earlier: Sequence[Table], catalogue: pl.DataFrame, cuts: pl.DataFrame, rules: Mapping[str, Any]
) -> dict[str, Any]:
    rules = dict(rules)
    threshold = rules.pop("label_threshold", None)
    encoded = encode_cases_of(log, [load(table) for table in earlier], Vocabulary(catalogue), **rules)
    encoded = replace(encoded, cases=with_label_threshold(encoded.cases, threshold))
    tables = _tables(encoded.sessions, encoded.log, encoded.rows) | _case_tables(encoded)
    counts = np.bincount(encoded.cases.groups, minlength=len(encoded.sessions))
    wanted = np.bincount(encoded.cases.groups, weights=encoded.cases.counts, minlength=len(encoded.sessions))
    tables["sessions"] = tables["sessions"].with_columns(
        cases=pl.Series(counts, dtype=pl.Int64), targets=pl.Series(wanted.astype(np.int64))
    )
    return {"left": encoded.left, **_divide(tables, cuts)}


def _case_tables(encoded: EncodedCases) -> dict[str, pl.DataFrame]:
    cases: Cases = encoded.cases
    columns = {"length": cases.prefixes.lengths, "targets": cases.counts}
    if cases.labels is not None:
        columns["label"] = cases.labels
    return {"cases": pl.DataFrame(columns), "targets": pl.DataFrame({"item": cases.targets})}


def _tables(sessions: Sessions, log: pl.DataFrame, rows: Int64[np.ndarray, "n"]) -> dict[str, pl.DataFrame]:
    """Return encoded events, and the length, id and end of each session; ``rows`` are those of ``log`` encoded."""
    last = rows[sessions.offsets[1:] - 1]
    clock = log[TIME].to_physical() if TIME in log.columns else log[ROW]
    assert isinstance(sessions.keys, pl.DataFrame)
    ends = sessions.keys.with_columns(
        length=pl.Series(sessions.lengths),
        end=clock.gather(last).cast(pl.Int64),
        row=log[ROW].gather(last).cast(pl.Int64),
    )
    events = pl.DataFrame({"item": sessions.items} | ({} if sessions.times is None else {"time": sessions.times}))
    if sessions.columns is not None:
        assert isinstance(sessions.columns, pl.DataFrame)
        events = events.hstack(sessions.columns.get_columns())
    return {"events": events, "sessions": ends}


_SIZES = {"events": "length", "cases": "cases", "targets": "targets"}
"""Column of ``sessions`` with the number of rows of a session in each other table."""


def _divide(tables: Mapping[str, pl.DataFrame], cuts: pl.DataFrame) -> dict[str, Any]:
    """Return tables, and the first row of each block in each of them (``bounds`` by table)."""
    sessions = tables["sessions"]
    ends, rows = sessions["end"].to_numpy(), sessions["row"].to_numpy()
    found = [np.count_nonzero((ends < end) | ((ends == end) & (rows < row))) for end, row in cuts.iter_rows()]
    of_sessions = np.array([0, *found, sessions.height])
    bounds = {"sessions": of_sessions.tolist()}
    for name in tables.keys() - bounds.keys():
        sizes = sessions[_SIZES[name]].to_numpy()
        bounds[name] = np.concatenate([[0], np.cumsum(sizes)])[of_sessions].tolist()
    return {**tables, "bounds": bounds}


def _merge(log: PartitionedLog, found: Sequence[Mapping[str, Any]], cuts: pl.DataFrame, names: Sequence[str]) -> Blocks:
    each = [
        {name: [slice_table(one[name], *one["bounds"][name][block : block + 2]) for one in found] for name in names}
        for block in range(cuts.height + 1)
    ]
    merged = log.engine.map(_merge_block, each)
    log.engine.drop([one[name] for one in found for name in names])
    return merged


def _merge_block(sessions: Sequence[Table], **others: Sequence[Table]) -> dict[str, Any]:
    """Merge the sessions of one block in order of their end."""
    all_sessions = pl.concat([load(table) for table in sessions])
    order = all_sessions.select(pl.arg_sort_by("end", "row").cast(pl.Int64)).to_series().to_numpy()
    merged: dict[str, Any] = {"sessions": all_sessions[order]}
    for name, tables in others.items():
        sizes = all_sessions[_SIZES[name]].to_numpy()
        starts = (np.cumsum(sizes) - sizes)[order]
        merged[name] = pl.concat([load(table) for table in tables])[concatenate_ranges(starts, sizes[order])]
    return merged
