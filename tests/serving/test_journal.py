"""The files of the journal: what they hold, how long, and that they are read like any log."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from command_line import segue
from store_kinds import Clock, event, exposure, journal_rows, make_store

from segue.errors import ArtifactError
from segue.serving.journal import Journal, event_row, shown_row

DAY_MS = 86_400_000


def rows(*sessions):
    return [event_row(name, event(number)) for number, name in enumerate(sessions)]


def test_a_row_has_all_of_an_event_and_an_exposure(tmp_path) -> None:
    journal = Journal(tmp_path)
    full = event(1_764_000_000_123, "a", "e1", type="cart", recommendation_id="r", context={"b": 1, "a": None})
    journal.write("events", 1, 1, [event_row("s", full)])
    journal.write("exposures", 2, 2, [shown_row(exposure(None))[2]])
    (row,) = journal_rows(tmp_path)
    assert row == {
        "session": "s",
        "item": "a",
        "time": datetime(2025, 11, 24, 16, 0, 0, 123_000, UTC),
        "type": "cart",
        "event_id": "e1",
        "recommendation_id": "r",
        "context": '{"a": null, "b": 1}',
    }
    (row,) = journal_rows(tmp_path, "exposures")
    assert (row["recommendation_id"], row["session"], row["items"]) == ("r1", None, ["a", "b"])


def test_numbers_are_in_the_names(tmp_path) -> None:
    journal = Journal(tmp_path)
    assert journal.last_row("events") == 0
    journal.write("events", 1, 12, rows("s"))
    journal.write("events", 13, 2_000_000_000_000_000_001, rows("s"))
    journal.write("events", 2_000_000_000_000_000_002, 2_000_000_000_000_000_002, [])
    (tmp_path / "events" / "mine.parquet").write_bytes(b"not of the journal")
    assert journal.last_row("events") == 2_000_000_000_000_000_001
    assert journal.last_row("exposures") == 0


def test_sessions_and_old_rows_are_removed_from_all_files(tmp_path) -> None:
    journal = Journal(tmp_path)
    journal.write("events", 1, 3, rows("a", "b", "c"))
    journal.write("events", 4, 4, rows("b"))
    journal.write("exposures", 5, 6, [shown_row(exposure("b"))[2], shown_row(exposure(None))[2]])
    assert journal.delete(["b", "nobody"]) == 3
    assert [row["session"] for row in journal_rows(tmp_path)] == ["a", "c"]
    assert [row["session"] for row in journal_rows(tmp_path, "exposures")] == [None]
    assert journal.last_row("events") == 3  # A file without rows is removed.
    assert journal.delete_before(1) == 1
    assert [row["session"] for row in journal_rows(tmp_path)] == ["c"]


def test_a_damaged_file_is_named(tmp_path) -> None:
    journal = Journal(tmp_path)
    journal.write("events", 1, 1, rows("a"))
    journal.write("events", 2, 2, rows("b"))
    file = sorted((tmp_path / "events").iterdir())[1]
    file.write_bytes(b"PAR1 damaged")
    with pytest.raises(ArtifactError, match=f"{file}: is damaged .*; remove it"):
        journal.delete(["a"])


def test_files_are_kept_for_some_days(tmp_path) -> None:
    journal = Journal(tmp_path, days=2)
    for number, age in enumerate((0, 2, 3), start=1):
        journal.write("events", number, number, rows(f"{age}"))
        day = (datetime.now(UTC) - timedelta(days=age)).date().isoformat()
        (file,) = (tmp_path / "events").glob(f"*{number}.parquet")
        file.rename(file.with_name(day + file.name[10:]))
    journal.expire()
    assert {row["session"] for row in journal_rows(tmp_path)} == {"0", "2"}


@pytest.mark.parametrize(
    "command", ["prepare", pytest.param("run --model popularity", marks=pytest.mark.soak)], ids=lambda one: one[:7]
)
def test_the_files_are_a_log_that_needs_no_option(command, tmp_path, monkeypatch) -> None:
    """``segue data`` and ``segue run`` read what a store wrote, in the order of arrival."""
    monkeypatch.chdir(tmp_path)
    draw, accepted = random.Random(0), []

    async def story():
        store = make_store("sqlite", tmp_path / "state", Clock(), seconds=0.05)
        await store.open()
        for number in range(300):
            for click in range(draw.randint(2, 5)):
                time = 1_764_000_000_000 + number * DAY_MS // 30
                context = {"page": click} if number % 3 else None
                one = event(time, f"i{(number + click) % 12}", f"{number}-{click}", type="view", context=context)
                await store.append(f"s{number}", [one])
                accepted.append((f"s{number}", one.item))
            if number % 60 == 0:
                await asyncio.sleep(0.15)
        store.expose(exposure("s1"))
        await store.close()

    asyncio.run(story())
    files = sorted((tmp_path / "state" / "events").iterdir())
    assert len(files) > 2
    assert [*pl.read_parquet(files).select("session", "item").iter_rows()] == accepted
    shown = segue("data", "state/events")
    assert shown.code == 0
    assert "session is 'session', item is 'item', time is 'time' (dates), type is 'type'" in shown.err + shown.out
    assert segue(*command.split(), "state/events", "--out", "out").code == 0
