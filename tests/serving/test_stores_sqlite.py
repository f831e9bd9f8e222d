"""The SQLite store when its disk is full, slow or damaged, or another program reads its file."""

import asyncio
import logging
import sqlite3
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest
from store_kinds import LIFETIMES, Clock, event, exposure, journal_rows, make_store, traces

from segue.errors import ArtifactError, SegueError, StorageError
from segue.serving.secrets import KeyedHash
from segue.serving.stores import StoreUnavailableError, database, local, sqlite
from segue.serving.stores.database import Database


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@contextmanager
def mounted(folder, size):
    """Mount a small disk."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def run(state, story, **options):
    async def told():
        store = make_store("sqlite", state, Clock(), **options)
        await store.open()
        try:
            return await story(store)
        finally:
            await store.close()

    return asyncio.run(told())


async def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def refused(store):
    with pytest.raises(StoreUnavailableError) as caught:
        await store.committed()
    return str(caught.value)


def failing(monkeypatch, error):
    """Let commits fail; return what ends that."""
    broken, commit = [True], Database.commit

    def perhaps(self, batch):
        if broken:
            raise error
        commit(self, batch)

    monkeypatch.setattr(Database, "commit", perhaps)
    return broken.clear


def test_a_full_disk_holds_events_back_and_loses_none(tmp_path, state, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sqlite, "MAX_HELD", 300)
    monkeypatch.setattr(local, "MAX_HELD", 300)
    accepted = []

    async def story(store):
        async def append(count):
            for _ in range(count):
                number = len(accepted)
                one = event(number, "x" * 200, str(number))
                assert (await store.append(f"s{number % 7}", [one]))[0] == ["accepted"]
                accepted.append(number)

        await append(50)
        await store.committed()
        filler = state / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as stream:
            while stream.write(b"0" * 4096):
                pass
        while store.warning is None:  # There may be room in pages that the log has already.
            await append(5)
            await asyncio.sleep(0.05)
        assert "full" in store.warning
        assert store.problem is None
        assert "full" in await refused(store)
        with pytest.raises(StoreUnavailableError):
            await asyncio.wait_for(append(10_000), 10)
        assert 300 <= store._held < 400
        for _ in range(1000):
            store.expose(exposure("s1"))
        assert len(store._rows) <= 300
        assert "full" in store.problem
        assert len(await store.read("s1")) == len([number for number in accepted if number % 7 == 1])
        filler.unlink()
        await until(lambda: store.warning is None)
        await store.committed()
        await append(20)

    with mounted(state, "1500k"):
        run(state, story)
        assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
        rows = [int(row["event_id"]) for row in journal_rows(state)]
        assert sorted(rows) == sorted(accepted)

        async def again(store):
            for number in accepted:
                one = event(number, "x" * 200, str(number))
                assert (await store.append(f"s{number % 7}", [one]))[0] == ["duplicate"]

        run(state, again)


def test_what_cannot_be_written_is_refused_when_it_must_be_durable(state, monkeypatch) -> None:
    mend = failing(monkeypatch, sqlite3.OperationalError("attempt to write a readonly database"))

    async def story(store):
        await store.append("s", [event(1, event_id="1")])
        await until(lambda: store.warning is not None)
        assert await refused(store) == store.warning == "attempt to write a readonly database"
        with pytest.raises(StoreUnavailableError):
            await store.delete("t")
        assert (await store.append("t", [event(1)]))[0] == ["deleted"]
        mend()
        await until(lambda: store.warning is None)
        await store.committed()

    run(state, story)
    with sqlite3.connect(state / "sessions.sqlite") as connection:
        assert connection.execute("SELECT id FROM sessions").fetchall() == [("s",)]
        assert connection.execute("SELECT count(*) FROM tombstones").fetchone() == (1,)
    connection.close()


def test_a_stuck_disk_delays_the_end_by_seconds_only(state, monkeypatch, caplog) -> None:
    monkeypatch.setattr(sqlite, "_CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(sqlite, "MAX_HELD", 3)
    monkeypatch.setattr(Database, "commit", lambda self, batch: time.sleep(3))
    times = []

    async def story(store):
        await store.append("s", [event(1), event(2), event(3)])
        with pytest.raises(StoreUnavailableError, match="too slowly"):
            await store.append("s", [event(4)])
        assert "too slowly" in store.problem
        assert len(await store.read("s")) == 3
        times.append(time.monotonic())

    run(state, story)
    assert time.monotonic() - times[0] < 2
    assert "the last 3 events are lost" in caplog.text


def test_a_deletion_reaches_batches_under_way(state, monkeypatch) -> None:
    commit = Database.commit
    monkeypatch.setattr(Database, "commit", lambda self, batch: (time.sleep(0.1), commit(self, batch)))

    async def story(store):
        await store.append("visitor-9", [event(1)])
        await asyncio.sleep(0.05)  # The batch with it is being written.
        await asyncio.gather(store.delete("visitor-9"), store.append("visitor-9", [event(2)]))
        assert (await store.append("visitor-9", [event(3)]))[0] == ["deleted"]

    run(state, story, seconds=0.01)
    assert traces(state, "visitor-9") == []


def test_a_deletion_that_a_kill_interrupted_is_finished(state, monkeypatch) -> None:
    async def story(store):
        await store.append("visitor-9", [event(1)])
        await store.append("other", [event(1)])

    run(state, story)
    assert traces(state, "visitor-9")

    async def interrupted(store):
        monkeypatch.setattr(Database, "finish_deletions", lambda self, journal: None)
        await store.delete("visitor-9")

    run(state, interrupted)
    assert traces(state, "visitor-9")
    monkeypatch.undo()
    run(state, lambda store: asyncio.sleep(0.1))
    assert traces(state, "visitor-9") == []
    assert [row["session"] for row in journal_rows(state)] == ["other"]


def test_a_long_reader_cannot_make_the_log_grow_without_bound(state, monkeypatch) -> None:
    for name, size in (("_LOG", 50_000), ("_LONG_LOG", 100_000), ("_MAX_LOG", 300_000), ("_AGAIN_SECONDS", 0)):
        monkeypatch.setattr(database, name, size)
    log = state / "sessions.sqlite-wal"

    async def story(store):
        async def append(rounds):
            for number in range(rounds):
                await store.append(f"s{number}", [event(number, "x" * 10_000)])
                await asyncio.sleep(0.025)

        await append(40)
        assert log.stat().st_size < 200_000
        reader = sqlite3.connect(state / "sessions.sqlite", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM sessions").fetchall()
        while store.warning is None:
            await append(5)
        assert "another program keeps reading the database" in store.warning
        size = log.stat().st_size
        await append(20)
        assert log.stat().st_size == size < 600_000
        reader.close()
        await until(lambda: store.warning is None)
        await append(5)
        await store.committed()
        assert log.stat().st_size < 300_000

    run(state, story)


def test_rows_go_on_after_the_files_of_an_earlier_database(state) -> None:
    async def story(store):
        await store.append("s", [event(1), event(2)])

    run(state, story)
    for file in state.glob("sessions.sqlite*"):
        file.unlink()
    run(state, story)
    assert len(journal_rows(state)) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no database at all" * 100, "cannot be used .file is not a database"),
        ("CREATE TABLE sessions (name TEXT)", "is the database of another program"),
        ("PRAGMA user_version = 99", "has format 99, this version of segue reads 1; choose another folder"),
        ("UPDATE key SET hash = x'00'", "belongs to another key"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(state, content, message) -> None:
    file = state / "sessions.sqlite"
    if isinstance(content, bytes):
        state.mkdir()
        file.write_bytes(content)
    else:
        if "CREATE" not in content:
            run(state, lambda store: asyncio.sleep(0))
        state.mkdir(exist_ok=True)
        with sqlite3.connect(file) as connection:
            connection.execute(content)
        connection.close()
    for _ in range(2):
        with pytest.raises(SegueError, match=f"{file}: {message}"):
            run(state, lambda store: asyncio.sleep(0))


def test_a_damaged_file_is_refused(state) -> None:
    async def story(store):
        for number in range(300):
            await store.append(f"s{number}", [event(1, "x" * 200)])

    run(state, story)
    file = state / "sessions.sqlite"
    content = bytearray(file.read_bytes())
    content[8192:20480] = b"\xff" * 12288
    file.write_bytes(content)
    with pytest.raises(StorageError, match=r"sessions.sqlite: cannot be used"):
        run(state, story)


def test_a_read_only_disk_is_refused_at_the_start(state) -> None:
    with mounted(state, "5m"):
        run(state, lambda store: store.append("s", [event(1)]))
        subprocess.run(["mount", "-o", "remount,ro", state], check=True)
        with pytest.raises(StorageError, match="cannot be written"):
            run(state, lambda store: asyncio.sleep(0))


def test_an_empty_key_is_refused(state) -> None:
    state.mkdir()
    (state / "key").write_bytes(b"")
    with pytest.raises(ArtifactError, match="must hold 32 bytes, got 0"):
        KeyedHash.of(state / "key")


def test_a_set_clock_ends_no_session_on_the_disk(state) -> None:
    clock = Clock()

    async def story(store):
        await store.append("s", [event(1)])

    async def later(store):
        await asyncio.sleep(0.1)
        return list(await store.read("s"))

    async def told(told_story):
        store = make_store("small-sqlite", state, clock, seconds=0.01)
        await store.open()
        try:
            return await told_story(store)
        finally:
            await store.close()

    asyncio.run(told(story))
    clock.now -= 10 * LIFETIMES.session  # It was ahead before the restart.
    assert asyncio.run(told(later)) == [event(1)]
