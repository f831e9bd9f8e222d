"""The memory of a Parquet file is known before it is decoded, whatever its footer says."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from forged_parquet import forge
from segue import memory
from segue.data import parquet
from segue.data.parquet import column_memory, require_memory
from segue.data.readers import formats
from segue.errors import LogError
from segue.memory import available_memory

ROWS = 3_000_000
NUMBERS = b"PAR1" + (footer := b"\x29\x25\x02\x04\x16\x02\x19\x15\x02\x00") + bytes([len(footer), 0, 0, 0]) + b"PAR1"
"""A footer that has numbers where the elements of the schema should be."""


def footer_sizes(file: Path) -> dict[int, int]:
    """Return a number of 8 for each decompressed size in the footer."""
    footer = pq.ParquetFile(file).metadata
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    return {group.column(place).total_uncompressed_size: 8 for group in groups for place in range(group.num_columns)}


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    """3 million rows of the same text in 32 KiB."""
    file = tmp_path / "bomb.parquet"
    texts = pl.Series(["x" * 40]).extend_constant("x" * 40, ROWS - 1)
    pl.DataFrame({"item": texts, "support": pl.repeat(1, ROWS, eager=True, dtype=pl.Int64)}).write_parquet(
        file, row_group_size=ROWS
    )
    assert file.stat().st_size < 32_000
    return file


def test_each_value_counts_with_its_width(tmp_path: Path) -> None:
    table = pl.DataFrame({"number": [1.5, 2.5, None], "text": ["a", "bc", "def"], "list": [[1], [], [2, 3]]})
    table.write_parquet(tmp_path / "a.parquet", compression="uncompressed", statistics=False)
    footer = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    stored = [footer.column(place).total_uncompressed_size for place in range(3)]
    found = column_memory(tmp_path / "a.parquet", by_polars=True)
    # Numbers take 8 bytes; texts 16 besides their letters, here in a dictionary and in the rows; each of 4 values of
    # lists (an empty one is one) 8, and 8 for its place.
    assert (np.array(found) - stored).tolist() == [3 * 8, (3 + 3) * 16, 4 * (8 + 8)]


def test_a_footer_that_says_less_changes_nothing(bomb: Path) -> None:
    honest = column_memory(bomb, by_polars=True)
    assert honest[0] >= 16 * ROWS
    assert honest[1] >= 8 * ROWS
    forge(bomb, footer_sizes(bomb))
    assert column_memory(bomb, by_polars=True) == pytest.approx(honest, rel=0.001)
    forge(bomb, {ROWS: 32})
    assert column_memory(bomb, by_polars=True) == pytest.approx(honest, rel=0.001)


def test_long_texts_whose_footer_is_forged_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "long.parquet"
    pl.DataFrame({"name": [f"{row:06d}" + "x" * 20_000 for row in range(20_000)]}).write_parquet(
        file, row_group_size=20_000, statistics=False
    )
    forge(file, footer_sizes(file))
    assert file.stat().st_size < 500_000
    with pytest.raises(ValueError, match=r"it would take 38\d MiB of memory, more than 1\d\d MiB"):
        require_memory(file, file.stat().st_size)


def test_columns_that_are_read_one_by_one_are_limited_one_by_one(tmp_path: Path) -> None:
    file, rows = tmp_path / "a.parquet", 5_000_000
    pl.DataFrame({name: pl.repeat(1, rows, eager=True) for name in "abcd"}).write_parquet(file)
    require_memory(file, 0, by_column=True)
    with pytest.raises(ValueError, match=r"it would take 15\d MiB of memory, more than 128 MiB"):
        require_memory(file, 0)


def test_the_limit_is_what_is_available_however_large_the_folder(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_memory(bomb, 10**15)
    monkeypatch.setattr("segue.data.parquet.available_memory", lambda: 10 << 20)
    with pytest.raises(ValueError, match="it would take 68 MiB of memory, more than 10 MiB"):
        require_memory(bomb, 10**15)


def test_wide_values_of_a_dictionary_count_in_each_row(tmp_path: Path) -> None:
    values = pa.array([b"x" * 10_000], pa.binary(10_000)).take(pa.array(np.zeros(50_000, dtype=np.int64)))
    pq.write_table(pa.table({"a": values}), tmp_path / "wide.parquet")
    assert (tmp_path / "wide.parquet").stat().st_size < 2_000
    assert sum(column_memory(tmp_path / "wide.parquet", by_polars=False)) >= 500_000_000


def test_encodings_that_polars_does_not_write_are_refused(tmp_path: Path) -> None:
    texts = pa.table({"a": ["z" * 20_000 + str(row) for row in range(1_000)]})
    encoding = {"a": "DELTA_BYTE_ARRAY"}
    pq.write_table(texts, tmp_path / "a.parquet", use_dictionary=False, column_encoding=encoding)
    with pytest.raises(ValueError, match="it has a page of encoding 7, which segue does not write"):
        column_memory(tmp_path / "a.parquet", by_polars=True)
    assert column_memory(tmp_path / "a.parquet", by_polars=False)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_files_of_other_programs_are_measured(tmp_path: Path, version: str, compression: str) -> None:
    rng = np.random.default_rng(0)
    columns = {
        "number": rng.integers(0, 9, 100_000),
        "text": [None if row % 7 == 0 else f"text {row}" for row in range(100_000)],
        "pairs": [{"a": row, "b": [row, row]} for row in range(100_000)],
    }
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table(columns), file, data_page_version=version, compression=compression, row_group_size=30_000)
    footer = pq.ParquetFile(file).metadata
    assert footer.num_row_groups == 4
    found = column_memory(file, by_polars=False)
    assert len(found) == footer.num_columns == 4
    size = pl.read_parquet(file).estimated_size()
    assert size <= sum(found) <= 3 * size


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" * 3, b"PAR1" + bytes(100) + b"PAR1", b"\x19\xfc\xff\xff\xff\x0f" * 20, NUMBERS]
)
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"empty file|it does not end with a footer|damaged"):
        column_memory(tmp_path / "a.parquet", by_polars=True)


@pytest.mark.parametrize("free", [5_000, pytest.param(parquet._FREE_VALUES, marks=pytest.mark.soak)])
def test_a_footer_of_very_many_fields_is_refused(free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_FREE_VALUES", free)
    footer = b"\x29\xfc" + b"\xff\xff\xff\x0f" + bytes(8 * free)  # A list of structures without fields.
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="it has too many columns, row groups or pages for its size"):
        column_memory(tmp_path / "a.parquet", by_polars=False)


def test_a_log_that_takes_more_memory_than_there_is_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, rows = tmp_path / "log.parquet", 200_000
    log = pl.DataFrame({"session": np.arange(rows) // 4, "item": np.arange(rows) % 9, "time": np.arange(rows)})
    log.write_parquet(file)
    forge(file, footer_sizes(file))
    monkeypatch.setattr(formats, "available_memory", lambda: 5 << 20)
    with pytest.raises(LogError) as caught:
        segue.read(file)
    assert str(caught.value) == (
        f"{file}: takes 7 MiB of memory once it is decoded, and 5 MiB are available; leave out columns that are not "
        "needed, or take part of the log"
    )
    pieces = [tmp_path / "log-1.parquet", tmp_path / "log-2.parquet"]
    for piece in pieces:
        log.head(rows // 2).write_parquet(piece)
    monkeypatch.setattr(formats, "available_memory", lambda: 6 << 20)
    assert len(segue.read(pieces[0])) == rows // 2
    with pytest.raises(LogError, match="takes 7 MiB of memory once it is decoded, and 6 MiB are available"):
        formats.read_parquet(tmp_path, pieces)


def test_the_least_of_machine_and_control_groups_is_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    group = tmp_path / "groups" / "a" / "b"
    (tmp_path / "proc" / "self").mkdir(parents=True)
    group.mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  90 kB\nMemAvailable:  80 kB\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/a/b\n")
    assert available_memory() == 80 << 10
    for folder, most in ((group, "max\n"), (group.parent, "70000\n")):
        (folder / "memory.max").write_text(most)
        (folder / "memory.current").write_text("50000\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 30000\nactive_file 5\n")
    assert available_memory() == 70_000 - 50_000 + 30_000
    (group.parent / "memory.current").write_text("900000\n")
    assert available_memory() == 0


def test_a_limit_of_the_process_counts() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 44, before[1]))
    try:
        assert 0 < next(iter(memory._of_process())) < 1 << 44
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
