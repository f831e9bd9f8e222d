"""A log is read as an earlier one was."""

from functools import partial
from pathlib import Path

import polars as pl
import pytest

from segue.data.partitions import InMemory, load
from segue.data.readers import staged_tables, staging
from segue.data.readers.read import read
from segue.data.readers.staging import stage
from segue.data.reading import Reading
from segue.errors import LogError, ParameterError, UnknownNameError


@pytest.mark.parametrize("separator", [",", "\t", " ", "::"])
def test_numbers_of_an_earlier_log_hide_no_header(separator: str, tmp_path: Path) -> None:
    """A log without a header is followed by one with other names, or with its columns the other way round."""
    earlier, later = tmp_path / "earlier.csv", tmp_path / "later.csv"
    earlier.write_text("10,7\n10,8\n")
    like = read(earlier, columns={"session": "1", "item": "2"}).reading
    rows = [["visit_key", "sku"], ["10", "7"], ["11", "8"]]
    later.write_text("".join(f"{separator.join(row)}\n" for row in rows))
    with pytest.raises(LogError, match="has no column for the session or user; it has 'visit_key', 'sku'"):
        read(later, like=like)
    events = read(later, columns={"session": "visit_key"}, like=like)
    assert events.frame.select("session", "item").rows() == [(10, 7), (11, 8)]
    later.write_text("".join(f"{separator.join([row[1], row[0]])}\n" for row in [["session", "sku"], *rows[1:]]))
    assert read(later, like=like).frame.select("session", "item").rows() == [(10, 7), (11, 8)]


def test_text_after_a_log_without_a_header_is_no_header(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.csv"
    earlier.write_text("anna,pan\nanna,lid\n")
    like = read(earlier, columns={"session": "1", "item": "2"}).reading
    assert read(earlier, like=like).frame.rows() == [("anna", "pan"), ("anna", "lid")]


@pytest.mark.parametrize("session", [1, 12])
def test_columns_by_number_are_those_of_a_table(session: int, tmp_path: Path) -> None:
    """Whatever the first line holds: here the number of a column, and none."""
    path = tmp_path / "log.txt"
    path.write_text(f"{session} 5 x\n{session} 6 x\n70 5 y\n")
    with pytest.raises(LogError, match="give columns by number"):
        read(path)
    events = read(path, columns={"session": "1", "item": "2"})
    assert events.frame["item"].to_list() == [5, 6, 5]
    assert read(path, like=events.reading).frame.equals(events.frame)


@pytest.mark.parametrize("time_format", ["%d/%m/%Y", "s"])
def test_the_time_format_is_that_of_every_piece(
    time_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No column of times is parsed as a whole."""
    times = [f"0{1 + row % 9}/01/2024" if "%" in time_format else str(row) for row in range(60)]
    log = pl.DataFrame({"session": range(60), "item": range(60), "time": times})
    log.write_csv(tmp_path / "log.csv")
    requested = read(tmp_path / "log.csv", time_format=time_format)
    monkeypatch.setattr(staged_tables, "parse_whole", None)
    monkeypatch.setattr(staging, "read", None)
    staged = stage(tmp_path / "log.csv", InMemory(), piece_bytes=200, like=requested.reading)
    assert len(staged.pieces) > 2
    assert pl.concat([load(piece) for piece in staged.pieces]).equals(requested.frame)
    assert (staged.notes, staged.reading) == (requested.notes, requested.reading)


def test_the_quoting_is_said_with_the_way_to_another(tmp_path: Path) -> None:
    """Quotes that belong to the ids of one log enclose those of the next."""
    path = tmp_path / "log.csv"
    path.write_text('session,item\n1,"a"\n1,"b"\n')
    like = read(path, quoting="none").reading
    said = "quoting: none, as it was given for the log of the model; --quoting double (quoting=) overrides it"
    staged = stage(path, InMemory(), piece_bytes=1000, like=like)
    for log in (read(path, like=like), staged):
        assert log.notes[0] == said
    assert read(path, like=like).frame["item"].to_list() == ['"a"', '"b"']
    events = read(path, quoting="double", like=like)
    assert (events.frame["item"].to_list(), said in events.notes) == (["a", "b"], False)


def test_a_format_that_there_is_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("session,item\n1,2\n")
    like = read(path).reading.model_copy(update={"format": "xml"})
    for reader in (read, partial(stage, engine=InMemory(), piece_bytes=1000)):
        with pytest.raises(UnknownNameError, match="unknown format 'xml'"):
            reader(path, like=like)


def test_a_reading_without_sessions_is_refused() -> None:
    with pytest.raises(ValueError, match="must name the column of the session or of the user"):
        Reading(columns={"item": "sku"}, unit="user")


def test_data_in_memory_have_no_format_of_files() -> None:
    log = {"session": [1, 1], "item": [2, 3]}
    reading = read(log).reading
    assert read(log, like=reading.model_copy(update={"format": "csv"})).reading == reading


def test_the_reading_in_the_facts_of_a_model_will_do(tmp_path: Path) -> None:
    log = {"basket": [1, 1], "user": [1, 1], "sku": [2, 3]}
    events = read(log, columns={"session": "basket"})
    assert read(log, like=events.reading.model_dump()).reading == events.reading
    for given in ({"columns": {}}, {"columns": {"item": "sku"}, "unit": "user"}):
        with pytest.raises(ParameterError, match="like: must be the reading of a log or a model"):
            read(log, like=given)
