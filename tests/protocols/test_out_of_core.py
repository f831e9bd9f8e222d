"""A data set prepared on disk has the same bytes as one prepared in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from partitioned_logs import PARAMETERS, make_log
from segue.data.array_files import write_sessions, write_tables
from segue.data.events import Events
from segue.data.fingerprint import fingerprint
from segue.data.partitions import InMemory, OnDisk, Table
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import InputError
from segue.protocols.out_of_core import prepare_to_folder
from segue.protocols.prepare import prepare


@dataclass
class Pieces:
    """A log in memory, in pieces."""

    events: Events
    pieces: tuple[Table, ...]

    def __getattr__(self, name: str) -> Any:
        return fingerprint(self.events.frame) if name == "fingerprint" else getattr(self.events, name)


def in_pieces(events: Events, count: int) -> Pieces:
    size = -(-len(events) // count)
    return Pieces(events, tuple(events.frame[start : start + size] for start in range(0, len(events), size)))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def prepared(events: Events, folder: Path, **parameters: Any) -> dict[str, bytes] | str:
    try:
        prepare(events, **parameters).save(folder)
    except InputError as error:
        return str(error)
    return content(folder)


def prepared_on_disk(events: Events, folder: Path, engine: Any, partitions: int, **parameters: Any) -> Any:
    protocol = parameters.pop("protocol", None)
    source: Any = in_pieces(events, partitions)
    try:
        prepare_to_folder(
            source, folder, engine, memory=1 << 30, protocol=protocol, parameters=parameters, partitions=partitions
        )
    except InputError as error:
        return str(error)
    return content(folder)


LOGS: dict[str, Any] = {
    "integers": lambda: Events(make_log(1).drop("part")),
    "text": lambda: Events(make_log(2, ids="text").drop("part")),
    "no times": lambda: Events(make_log(3).drop("part", "time")),
    "given": lambda: Events(make_log(4)),
    "given, shared ids": lambda: Events(make_log(5).with_columns(session=pl.col("session") // 5)),
    "users": lambda: Events(make_log(6).drop("part"), unit="user"),
    "users and sessions": lambda: Events(make_log(7).drop("part").with_columns(user=pl.col("session") // 3)),
    "items": lambda: Events(make_log(8).drop("part"), items=pl.DataFrame({"item": [1, 2, 3], "name": ["a", "b", "c"]})),
    "duplicates": lambda: Events(pl.concat([make_log(1).drop("part"), make_log(1).drop("part")[:99]]), unit="user"),
    "one session": lambda: Events(make_log(9).drop("part").with_columns(session=pl.lit(1, dtype=pl.Int64))),
}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "default": {},
    "leave-one-out": {"protocol": "leave-one-out"},
    "together": {"split": {"kind": "global-time"}, "cases": {"targets": "together"}},
    "labeled": {
        "split": "ratio",
        "ranking": {"candidates": "labeled", "metrics": ["auc"]},
        "cases": {"label": "price", "label_threshold": 2.0},
    },
}


EACH_LOG = [(log, list(PROTOCOLS)[row % len(PROTOCOLS)], (1, 3)) for row, log in enumerate(LOGS)]
EACH_PAIR = [pytest.param(log, protocol, (1, 3, 8), marks=pytest.mark.soak) for log in LOGS for protocol in PROTOCOLS]


@pytest.mark.parametrize(("log", "protocol", "counts"), [*EACH_LOG, *EACH_PAIR])
def test_same_bytes(log: str, protocol: str, counts: tuple[int, ...], tmp_path: Path) -> None:
    events = LOGS[log]()
    expected = prepared(events, tmp_path / "memory", **PROTOCOLS[protocol])
    for partitions in counts:
        engine = OnDisk(tmp_path / f"work-{partitions}") if partitions == 3 else InMemory()
        found = prepared_on_disk(events, tmp_path / f"disk-{partitions}", engine, partitions, **PROTOCOLS[protocol])
        assert found == expected


@pytest.mark.parametrize("partitions", [2, pytest.param(4, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", PARAMETERS)
def test_same_bytes_with_each_step_and_split(name: str, partitions: int, tmp_path: Path) -> None:
    events = Events(make_log(1) if name == "given" else make_log(1).drop("part"))
    parameters = {"protocol": "session-next", **PARAMETERS[name]}
    expected = prepared(events, tmp_path / "memory", **parameters)
    found = prepared_on_disk(events, tmp_path / "disk", OnDisk(tmp_path / "work"), partitions, **parameters)
    assert found == expected


def test_days_before_1970(tmp_path: Path) -> None:
    log = make_log(1).drop("part").with_columns(pl.col("time") - pl.duration(days=60 * 365))
    events = Events(log.filter(pl.int_range(pl.len()) % 40 == 0).vstack(log[:300]))
    parameters: dict[str, Any] = {"split": {"kind": "last-days", "test_days": 3.0}}
    expected = prepared(events, tmp_path / "memory", **parameters)
    assert isinstance(expected, dict), expected
    assert prepared_on_disk(events, tmp_path / "disk", InMemory(), 4, **parameters) == expected


def test_new_sessions_of_sessions_with_equal_ids_in_both_parts(tmp_path: Path) -> None:
    log = make_log(5).with_columns(session=pl.col("session") // 5)
    parameters = {"protocol": "session-next", "cleaning": {"session_gap": 3000.0}}
    expected = prepared(Events(log), tmp_path / "memory", **parameters)
    assert isinstance(expected, dict), expected
    assert prepared_on_disk(Events(log), tmp_path / "disk", InMemory(), 4, **parameters) == expected


@pytest.mark.parametrize(
    ("share", "ids"), [(0.9, pl.String), (0.05, pl.Int64)], ids=["two parts", "the validation part"]
)
def test_equal_ids_in_parts_that_are_all_trained_on(share: float, ids: Any, tmp_path: Path) -> None:
    """Sessions of several parts cannot have their original ids, which are unique in a part only."""
    n = 400
    log = pl.DataFrame(
        {
            "session": [row // 4 % 20 for row in range(n)],
            "item": [row % 7 for row in range(n)],
            "time": pl.Series(range(n)) * 60_000_000,
            "part": ["train"] * 200 + ["valid"] * 100 + ["test"] * 100,
        }
    ).cast({"time": pl.Datetime("us")})
    steps = ["incomplete", "hold-out-test", "recent-share"]
    parameters: dict[str, Any] = {"split": "given", "cleaning": {"order": steps, "recent_share": share}}
    expected = prepared(Events(log), tmp_path / "memory", **parameters)
    assert isinstance(expected, dict), expected
    sessions = pl.read_parquet(tmp_path / "memory" / "train" / "sessions.parquet")["session"]
    assert sessions.dtype == ids
    assert sessions.is_unique().all()
    assert prepared_on_disk(Events(log), tmp_path / "disk", OnDisk(tmp_path / "work"), 3, **parameters) == expected


def test_lists_in_several_row_groups(tmp_path: Path) -> None:
    n = 600_000
    numbers = pl.int_range(n, eager=True).alias("numbers").to_frame()
    frame = numbers.select(lists=pl.concat_list("numbers", "numbers"), pairs=pl.struct(pl.concat_list("numbers")))
    sessions = Sessions(np.ones(n, np.int32), np.array([0, n]), None, Vocabulary.from_items(pl.Series([1])), frame)
    write_sessions(sessions, tmp_path / "memory")
    (tmp_path / "disk").mkdir()
    write_tables(tmp_path / "disk", [frame[:250_000], frame[250_000:]], None, ())
    assert content(tmp_path / "disk")["columns.parquet"] == content(tmp_path / "memory")["columns.parquet"]
