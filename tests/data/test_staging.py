"""A log in pieces equals the log that ``segue.read`` returns, and what it refuses is refused in the same words."""

import errno
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from segue.data.fingerprint import fingerprint
from segue.data.partitions import Engine, InMemory, OnDisk, load
from segue.data.readers import staging
from segue.data.readers.read import read
from segue.data.readers.staging import stage
from segue.errors import LogError, StorageError
from segue.progress import Progress

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"


def equal(left: pl.DataFrame | None, right: pl.DataFrame | None) -> bool:
    if left is None or right is None:
        return left is right
    key = left.columns[0]
    return left.sort(key).equals(right.sort(key)) and left.schema == right.schema


def check(source: Path, engine: Engine, piece_bytes: int, **given: Any) -> int:
    """Compare a staged log with one that is read; return the number of pieces."""
    events = read(source, **given)
    staged = stage(source, engine, piece_bytes=piece_bytes, **given)
    frame = pl.concat([load(piece) for piece in staged.pieces])
    assert staged.schema == events.frame.schema == frame.schema
    assert frame.columns == events.frame.columns
    assert frame.equals(events.frame)
    assert staged.notes == events.notes
    assert staged.unit == events.unit
    assert equal(staged.items, events.items)
    assert equal(staged.users, events.users)
    assert (len(staged), staged.has_time, staged.has_parts) == (len(events), events.has_time, events.has_parts)
    assert staged.fingerprint == fingerprint(events.frame)
    return len(staged.pieces)


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a log be read in pieces only."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the log was read as a whole")

    monkeypatch.setattr(staging, "read", refuse)


@pytest.mark.parametrize("path", sorted(LOGS.glob("[!c]*")) + sorted(LOGS.glob("clicks*")), ids=lambda path: path.name)
@pytest.mark.parametrize("on_disk", [False, True], ids=["in memory", "on disk"])
@pytest.mark.usefixtures("in_pieces")
def test_every_format(path: Path, tmp_path: Path, on_disk: bool) -> None:
    if path.suffix == ".item":
        pytest.skip("metadata")
    engine = OnDisk(tmp_path / "work") if on_disk else InMemory()
    given = {"format": "space"} if "space" in path.name else {}
    assert check(path, engine, piece_bytes=20, **given) > 1


def rows(header: str, columns: Callable[[int], str], n: int = 60) -> str:
    return header + "\n" + "".join(columns(row) + "\n" for row in range(n))


T = 1_700_000_000
LOG = rows("session,item,time", lambda row: f"{row // 4},{row % 7},{T + row}")
GENERATED: dict[str, str | bytes] = {
    "integers": LOG,
    "text ids": rows("session,item,time", lambda row: f"s{row // 4},i{row % 7},{T + row}"),
    "no times": rows("session,item", lambda row: f"{row // 4},{row % 7}"),
    "blank first lines": "\n  \n" + "".join(f'{{"session": {row // 4}, "item": {row}}}\n' for row in range(60)),
    "no header": rows("1::2::3::978300760", lambda row: f"{row // 4}::{row % 7}::5::{T + row}"),
    "text only in the last piece": rows("session,item,time", lambda row: f"{row // 4},{row if row < 59 else 'x'},{T}"),
    "leading zeros only in the last piece": rows("session,item", lambda row: f"{row},{row if row < 59 else '007'}"),
    "decimals": rows("session,item", lambda row: f"{row // 4},{row}{'.0' if row > 40 else ''}"),
    "decimals and text": rows("session,item", lambda row: f"{row // 4},{row}.0{'' if row < 50 else 'x'}"),
    "missing ids": rows("session,item", lambda row: f"{row // 4},{['NA', ' nan ', row][min(row % 9, 2)]}"),
    "missing and blank": rows("session,item", lambda row: f"{row // 4},{['', 'NA', row][min(row % 9, 2)]}")
    + "\n\n7,\n",
    "features": rows(
        "session,item,price,size,zip,all,none,word",
        lambda row: (
            f"{row // 4},{row},{row if row % 20 else 0.5},{'NA' if row == 3 else row},{'01' if row == 50 else ' 7'}"
            f",{'' if row < 40 else '-0'},,{'' if row < 30 else 'w'}"
        ),
    ),
    "decimal commas": rows(
        "session;item;price;weight", lambda row: f"{row};{row};{row},5;{row if row < 40 else '7,25'}"
    ),
    "NaN and a word": rows(
        "session,item,price", lambda row: f"{row},{row},{'NaN' if row == 2 else 'NA' if row == 50 else 5}"
    ),
    "ISO": rows("session,item,time", lambda row: f"{row},{row},2024-01-{1 + row % 28:02} 10:00:00"),
    "ISO with an odd year": rows("session,item,time", lambda row: f"{row},{row},{1900 if row == 33 else 2024}-01-01"),
    "ISO with and without seconds": rows(
        "session,item,time", lambda row: f"{row},{row},2024-01-01T10:{row:02}{':00.5' if row > 30 else ''}"
    ),
    "day first": rows("session,item,time", lambda row: f"{row},{row},{1 + row // 3:02}/01/2024 10:00"),
    "compact dates": rows("session,item,time", lambda row: f"{row},{row},202401{1 + row % 28:02}"),
    "floats": rows("session,item,time", lambda row: f"{row},{row},{T + row}{'.25' if row > 30 else ''}"),
    "several times": rows("session,item,date,timestamp", lambda row: f"{row},{row},2023-11-14,{T + row}"),
    "a time that is not used": rows("session,item,when", lambda row: f"{row},{row},2024-01-01 10:00:{row % 60:02}"),
    "visits of users": rows("visit,user,item", lambda row: f"{row % 3},{row // 9},{row}"),
    "visits of visitors": rows("visitor,visit_no,sku", lambda row: f"{row // 6},{'' if row == 9 else row // 3},{row}"),
    "numbers of visits": rows("visitor;order_no;cart;sku", lambda row: f"{row // 9};{row // 3 % 3},0;{row % 3};{row}"),
    "few shared baskets": rows("user,basket,item", lambda row: f"{row // 6 + (row == 1)},b{row // 2},{row}"),
    "few shared visits": rows("visit,user,item", lambda row: f"{row // 2},{(row + (row == 1)) // 2},{row}"),
    "blank lines": LOG.replace("\n9,", "\n\n\n9,").replace("\n13,", "\n\n13,") + "\n\n",
    "quotes": rows("session,item,title", lambda row: f'{row},{row},"a, ""{row}"""'),
    "quoted line ends": rows(
        "session,item,title", lambda row: f'{row},{row},"a\n{row} b"' if row % 5 else f"{row},{row},"
    ),
    "Latin-1": rows("session,item,title", lambda row: f"{row},{row},{'café' if row > 30 else 'tea'}").encode("latin-1"),
    "carriage returns": LOG.replace("\n", "\r"),
    "byte order marks": LOG.replace("\n9,", "\n\ufeff9,"),
    "gzip": gzip.compress(LOG.encode()),
    "JSON": "".join(
        json.dumps({"session": row // 4, "item": row if row < 50 else "x", **({"n": row / 2} if row > 30 else {})})
        + "\n"
        for row in range(60)
    ),
}


@pytest.mark.parametrize("name", GENERATED)
@pytest.mark.usefixtures("in_pieces")
def test_generated_logs(name: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = GENERATED[name]
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(content)
    size = len(LOG) if name == "gzip" else len(content)
    for parts in (3, 8):
        assert check(path, InMemory(), piece_bytes=size // parts) >= 2
    assert check(path, OnDisk(tmp_path / "work"), piece_bytes=size // 5) >= 2


def test_mistakes_in_several_pieces(tmp_path: Path) -> None:
    text = rows("session,item,time", lambda row: f"{row},{row},{'noon' if row in (5, 31, 58) else T}")
    for content in (
        text,
        text.replace("\n40,40,", "\n40,"),
        text + "session,item,time\n",
        text.replace("time", "colour,"),
    ):
        (tmp_path / "log").write_text(content, encoding="utf-8")
        with pytest.raises(LogError) as expected:
            read(tmp_path / "log")
        with pytest.raises(LogError) as caught:
            stage(tmp_path / "log", InMemory(), piece_bytes=len(text) // 5)
        assert caught.value.lines == expected.value.lines
        assert getattr(caught.value, "__notes__", []) == getattr(expected.value, "__notes__", [])


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\r", b"\nsession,item\n1,2\n", gzip.compress(b"", mtime=0)]
)
def test_files_without_events(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(LogError) as expected:
        read(tmp_path / "log")
    with pytest.raises(LogError) as caught:
        stage(tmp_path / "log", InMemory(), piece_bytes=100)
    assert caught.value.lines == expected.value.lines


def stored_in_zstd(raw: bytes) -> bytes:
    """A frame of one block without compression (RFC 8878)."""
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(raw)]) + (len(raw) << 3 | 1).to_bytes(3, "little") + raw


@pytest.mark.parametrize(
    "content",
    [stored_in_zstd(b"session,item\n1,2\n")[:-4], stored_in_zstd(b"session,item\n1,caf\xe9\n")],
    ids=["cut off", "Latin-1"],
)
def test_a_damaged_log_is_no_full_disk(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(LogError) as expected:
        read(tmp_path / "log")
    with pytest.raises(LogError) as caught:
        stage(tmp_path / "log", OnDisk(tmp_path / "work"), piece_bytes=100)
    assert caught.value.lines == expected.value.lines


def test_a_full_disk_is_no_damaged_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_bytes(stored_in_zstd(b"session,item\n1,2\n"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_csv", full)
    with pytest.raises(StorageError, match="No space left on device"):
        stage(tmp_path / "log", OnDisk(tmp_path / "work"), piece_bytes=100)


@pytest.mark.usefixtures("in_pieces")
def test_folders(tmp_path: Path) -> None:
    for part, ids in (("train", "s"), ("valid", ""), ("test", "")):
        (tmp_path / f"{part}.csv").write_text(LOG.replace("\n", f"\n{ids}")[: -len(ids) or None], encoding="utf-8")
    assert check(tmp_path, OnDisk(tmp_path / "work"), piece_bytes=200) > 6
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    for number in range(3):
        events = pl.DataFrame({"session": range(40), "item": [f"i{number}"] * 40, "time": [T + number] * 40})
        events.write_parquet(pieces / f"{number}.parquet", row_group_size=10)
    pl.DataFrame({"session": [1, 2], "item": ["a", "b"], "time": [None, None]}).write_parquet(pieces / "3.parquet")
    pl.DataFrame(schema={"session": pl.String, "more": pl.Int8}).write_parquet(pieces / "4.parquet")
    assert check(pieces, InMemory(), piece_bytes=500) > 6


@pytest.mark.usefixtures("in_pieces")
def test_files_whose_values_have_different_types(tmp_path: Path) -> None:
    for number, (item, price) in enumerate(((1, 2), ("x", 0.5), (2, None))):
        lines = [{"session": row // 4, "item": item, "time": T + row, "price": price} for row in range(30)]
        lines = lines if number else [dict(reversed(line.items())) for line in lines]
        (tmp_path / f"{number}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    assert check(tmp_path / "*.jsonl", OnDisk(tmp_path / "work"), piece_bytes=400) > 6


@pytest.mark.usefixtures("in_pieces")
def test_metadata(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG, encoding="utf-8")
    items = pl.DataFrame({"item": range(9), "title": list("abcdefghi")})
    vectors = {"item": list(range(5)), "vector": [[1.0, float(item)] for item in range(5)]}
    assert check(tmp_path / "log.csv", InMemory(), piece_bytes=200, items=items, item_vectors=vectors) > 3


class StoppedError(Exception):
    pass


class _Counted(Progress):
    """Counts the calls that end, and stops after some of them."""

    def __init__(self, calls: list[str], stop: int) -> None:
        self.calls = calls
        self.stop = stop

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Any]:
        """Count the calls that are run here, not those that are finished already."""
        self._name, self._begun = name, False
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count a call; the first report is of those that were finished before."""
        if not self._begun:
            self._begun = True
            return
        self.calls.append(self._name)
        if len(self.calls) == self.stop:
            raise StoppedError


def test_an_interrupted_log_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(GENERATED["visits of users"].encode()))  # type: ignore[union-attr]
    calls: list[str] = []

    def staged(stop: int) -> str:
        calls.clear()
        return stage(path, OnDisk(tmp_path / "work", _Counted(calls, stop)), piece_bytes=150).fingerprint

    finished = 0
    for stop in (1, 2, 5, 4, 3):
        with pytest.raises(StoppedError):
            staged(stop)
        finished += stop
    result = staged(0)
    total = finished + len(calls)
    assert result == fingerprint(read(path).frame)
    assert staged(0) == result
    assert not calls
    OnDisk(tmp_path / "other")
    counted: list[str] = []
    stage(path, OnDisk(tmp_path / "other", _Counted(counted, 0)), piece_bytes=150)
    assert total == len(counted)


@pytest.mark.parametrize("item", ["i{}", ""], ids=["others", "none"])
def test_vectors_of_no_item_of_the_log(item: str, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(rows("session,item,time", lambda row: f"{row},{item.format(row)},{T + row}"), encoding="utf-8")
    vectors = {"item": ["a"], "vector": [[1.0]]}
    with pytest.raises(LogError, match="has vectors of none of the") as expected:
        read(log, item_vectors=vectors)
    with pytest.raises(LogError) as caught:
        stage(log, InMemory(), piece_bytes=200, item_vectors=vectors)
    assert caught.value.lines == expected.value.lines
    assert ("'i0'" in str(expected.value)) == bool(item)
