"""Logs at the borders of types, years, sizes and of what polars stands."""

import gzip
import json
import time
from pathlib import Path

import polars as pl
import pytest

from segue.data.readers.read import read
from segue.data.readers.text import zstd_size
from segue.errors import LogError

HEAD = "session,item,time\n"


def frame(item: pl.Series | None = None, time: pl.Series | None = None) -> pl.DataFrame:
    usual = pl.Series([1_700_000_000, 1_700_000_001])
    item = pl.Series([3, 5]) if item is None else item
    return pl.DataFrame({"session": [1, 1], "item": item, "time": usual if time is None else time})


@pytest.mark.parametrize("dtype", [pl.UInt64, pl.Int128, pl.UInt128])
def test_ids_beyond_64_bits_are_text(tmp_path: Path, dtype: pl.DataType) -> None:
    frame(pl.Series([2**63, 5], dtype=dtype)).write_parquet(tmp_path / "log")
    assert read(tmp_path / "log").frame["item"].to_list() == [str(2**63), "5"]
    frame(pl.Series([7, 5], dtype=dtype)).write_parquet(tmp_path / "log")
    assert read(tmp_path / "log").frame["item"].to_list() == [7, 5]


@pytest.mark.parametrize("item", [2**63, 10**22])
def test_ids_of_json_beyond_64_bits_are_text(tmp_path: Path, item: int) -> None:
    rows = [{"session": 1, "item": one, "time": 1_700_000_000} for one in (item, 5)]
    (tmp_path / "log").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert read(tmp_path / "log").frame["item"].to_list() == [str(item), "5"]


@pytest.mark.parametrize(
    "times",
    [
        pl.Series([-(2**63) + 1, 2**62]).cast(pl.Datetime("us")),
        pl.Series([-(2**63) + 1, 2**62]).cast(pl.Datetime("ms")),
        pl.Series([-(2**31), 2**30], dtype=pl.Int32).cast(pl.Date),
        pl.Series([-99_999_999_999, -99_999_999_998]),
        pl.Series(["0000-01-01T00:00:00", "2020-01-01T00:00:00"]),
        pl.Series(["0001-01-01T00:00:00+10:00", "2020-01-01T00:00:00+10:00"]),
        pl.Series(["9999-12-31T23:59:59-10:00", "2020-01-01T00:00:00+10:00"]),
    ],
)
def test_times_that_python_cannot_hold_are_refused(tmp_path: Path, times: pl.Series) -> None:
    frame(time=times).write_parquet(tmp_path / "log")
    with pytest.raises(LogError, match=r"row.* 0.*, column 'time': must lie between the years 1 and 9999, got "):
        read(tmp_path / "log")


def test_a_feature_of_such_dates_is_refused_too(tmp_path: Path) -> None:
    odd = pl.Series("born", [-(2**63) + 1, 0]).cast(pl.Datetime("us"))
    frame().with_columns(odd).write_parquet(tmp_path / "log")
    with pytest.raises(LogError, match="row 0, column 'born': must lie between the years 1 and 9999"):
        read(tmp_path / "log")


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_the_least_integer_is_no_time_in_1970(tmp_path: Path, unit: str) -> None:
    (tmp_path / "log").write_text(f"{HEAD}1,2,{-(2**63)}\n1,3,{-(2**63)}\n", encoding="utf-8")
    with pytest.raises(LogError, match=r"lines 2 and 3, column 'time': must be .* since 1970"):
        read(tmp_path / "log", time_format=unit)
    with pytest.raises(LogError, match="column 'time'"):
        read(tmp_path / "log")


FIRST_BYTES = [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\x1f\x8b", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"PAR1"]


@pytest.mark.parametrize("content", FIRST_BYTES)
def test_the_first_bytes_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(LogError, match=r"contains only blank lines|damaged"):
        read(tmp_path / "log")


def test_fields_of_200_000_characters(tmp_path: Path) -> None:
    long = "x" * 200_000
    (tmp_path / "log").write_text(f"session,item,{long}\n1,2,3\n", encoding="utf-8")
    assert read(tmp_path / "log").frame.columns == ["session", "item", long]
    (tmp_path / "log").write_text(f'session,item,note\n1,2,"a\n{long}"\n1,3,b\n', encoding="utf-8")
    assert read(tmp_path / "log").frame["note"].to_list() == [f"a\n{long}", "b"]
    (tmp_path / "log").write_text(f"{long},colour\n1,2\n", encoding="utf-8")
    with pytest.raises(LogError, match=r"--columns session=1\n") as caught:
        read(tmp_path / "log")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("depth", [5_000, 100_000])
def test_deep_json(tmp_path: Path, depth: int) -> None:
    (tmp_path / "log").write_text(
        '{"session": 1, "item": 2, "x": ' + "[" * depth + "]" * depth + "}\n", encoding="utf-8"
    )
    with pytest.raises(LogError, match="line 1: must be a JSON object"):
        read(tmp_path / "log")


def test_panics_of_polars_on_damaged_parquet_are_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().write_parquet(tmp_path / "log")

    def panic(*_: object, **__: object) -> pl.DataFrame:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(LogError, match=r"cannot be read as Parquet .*; it is damaged or not Parquet"):
        read(tmp_path / "log")


def test_too_many_open_files_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text(HEAD + "1,2,1700000000\n", encoding="utf-8")

    def refuse(*_: object, **__: object) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(LogError, match=r"cannot be read \(Too many open files\)"):
        read(tmp_path / "log")


def test_files_made_to_fill_the_memory_are_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "log.gz", "wb") as stream:
        stream.write(HEAD.encode())
        for _ in range(50):
            stream.write(b"1,2,1700000000\n" * 70_000)
    with pytest.raises(LogError, match=r"unpacks to more than 50 times its size.*: gunzip .*log.gz"):
        read(tmp_path / "log.gz")
    ones = pl.repeat(1, 12_000_000, dtype=pl.Int8, eager=True)
    pl.DataFrame({"session": ones, "item": ones}).write_csv(tmp_path / "log.zst", compression="zstd")
    with pytest.raises(LogError, match=r"unpacks to more than 50 times its size.*: unzstd .*log.zst"):
        read(tmp_path / "log.zst")


def test_the_size_of_a_zstd_file_is_that_of_its_blocks(tmp_path: Path) -> None:
    frame = pl.DataFrame({"session": range(20_000), "item": range(20_000)})
    frame.write_csv(tmp_path / "plain")
    frame.write_csv(tmp_path / "log.zst", compression="zstd")
    size = (tmp_path / "plain").stat().st_size
    assert size <= zstd_size(tmp_path / "log.zst") <= size + (128 << 10)
    assert len(read(tmp_path / "log.zst")) == 20_000


def test_20_000_columns_take_seconds(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(20_000)]
    (tmp_path / "log").write_text(
        ",".join(["session", "item", *names]) + "\n" + ",".join(["1"] * 20_002) + "\n", encoding="utf-8"
    )
    started = time.process_time()
    assert len(read(tmp_path / "log").frame.columns) == 20_002
    (tmp_path / "log").write_text(",".join(names) + "\n" + ",".join(["1"] * 20_000) + "\n", encoding="utf-8")
    with pytest.raises(LogError, match="and 19,980 more") as caught:
        read(tmp_path / "log")
    assert len(str(caught.value)) < 2_000
    assert time.process_time() - started < 30


@pytest.mark.parametrize("name", ["log[1].csv", "log?.csv", "log*.csv"])
@pytest.mark.parametrize("parquet", [False, True])
def test_a_file_is_never_taken_for_a_pattern(tmp_path: Path, name: str, parquet: bool) -> None:
    for file, item in ((tmp_path / name, 3), (tmp_path / "log1.csv", 4)):
        events = pl.DataFrame({"session": [1], "item": [item]})
        events.write_parquet(file) if parquet else events.write_csv(file)
    assert read(tmp_path / name).frame["item"].to_list() == [3]
