"""Stores while something fails that nobody expected, and the one in memory while its files cannot be written."""

import asyncio
import logging
import sys
import time

import pytest
from redis_server import redis_server
from store_kinds import KINDS, Clock, event, exposure, journal_rows, make_store, traces

from segue.serving.journal import Journal, event_row
from segue.serving.stores import StoreUnavailableError, local, sqlite
from segue.serving.stores.database import Database
from segue.serving.stores.local import LocalStore
from segue.serving.stores.redis_journal import RedisJournal


@pytest.fixture
def told(tmp_path):
    """Return a function that tells a story with an open store, and closes it."""

    def told(kind, story, **options):
        async def main(server=None):
            store = make_store(kind, tmp_path / "state", Clock(), server, **options)
            await store.open()
            try:
                await asyncio.wait_for(story(store), 20)
            finally:
                await asyncio.wait_for(store.close(), 20)

        if kind != "redis":
            asyncio.run(main())
            return
        with redis_server(tmp_path) as server:
            asyncio.run(main(server))

    return told


async def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def bug(*_, **__):
    raise RuntimeError("a bug")


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_cannot_be_written_fails_alone(kind, told, tmp_path) -> None:
    async def story(store):
        for number in (2**80, "\ud800"):
            with pytest.raises((OverflowError, UnicodeEncodeError)):
                await store.append("s", [event(1), event(2, context={"x": number})])
        assert list(await store.read("s")) == []
        await store.append("t", [event(1)])
        await store.committed()
        assert (store.problem, list(await store.read("t"))) == (None, [event(1)])

    told(kind, story)
    assert [row["session"] for row in journal_rows(tmp_path / "state")] == ["t"]


def test_an_unexpected_error_of_the_loop_is_the_problem_of_the_store(told, tmp_path, monkeypatch, caplog) -> None:
    async def story(store):
        with monkeypatch.context() as patched:
            patched.setattr(sqlite, "encode", bug)
            await store.append("s", [event(1)])
            waiting = asyncio.create_task(store.committed())
            with pytest.raises(StoreUnavailableError, match="a bug"):
                await waiting
            assert store.problem == store.warning == "a bug"
            for call in (store.append("s", [event(2)]), store.committed()):
                with pytest.raises(StoreUnavailableError, match="a bug"):
                    await call
            await asyncio.sleep(0.6)
        await until(lambda: store.problem is None)
        await store.committed()

    told("sqlite", story)
    assert len(journal_rows(tmp_path / "state")) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]  # Once, with a traceback.
    assert "in bug" in caplog.text


def test_a_store_with_an_unexpected_error_can_be_closed(told, tmp_path, monkeypatch, caplog) -> None:
    async def story(store):
        await store.append("s", [event(1)])
        await store.committed()
        monkeypatch.setattr(sqlite, "encode", bug)
        await store.append("s", [event(2)])

    told("sqlite", story)
    assert "the last 1 events are lost: a bug" in caplog.text
    assert len(journal_rows(tmp_path / "state")) == 1


@pytest.mark.parametrize("method", ["commit", "sync", "finish_deletions"])
def test_nobody_waits_for_a_thread_with_an_unexpected_error(method, told, monkeypatch) -> None:
    async def story(store):
        await store.append("s", [event(1)])
        with monkeypatch.context() as patched:
            patched.setattr(Database, method, bug)
            with pytest.raises(StoreUnavailableError, match="a bug"):
                await store.delete("s")
        await until(lambda: store._failure is None)
        await store.delete("s")

    told("sqlite", story)


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_journal_with_an_unexpected_error_is_written_later(kind, told, tmp_path, monkeypatch) -> None:
    async def story(store):
        with monkeypatch.context() as patched:
            patched.setattr(Journal if kind == "memory" else RedisJournal, "write", bug)
            await store.append("s", [event(1)])
            await until(lambda: "a bug" in (store.warning or ""))
            assert (store.problem, journal_rows(tmp_path / "state")) == (None, [])
        await until(lambda: "a bug" not in (store.warning or ""))
        assert len(journal_rows(tmp_path / "state")) == 1

    told(kind, story, seconds=0.05)


def test_the_store_in_memory_reports_an_unexpected_error_of_its_loop(told, tmp_path, monkeypatch) -> None:
    async def story(store):
        with monkeypatch.context() as patched:
            patched.setattr(LocalStore, "_sweep", bug)
            await until(lambda: store.problem == "a bug")
            with pytest.raises(StoreUnavailableError, match="a bug"):
                await store.append("s", [event(1)])
        await until(lambda: store.problem is None)
        await store.append("s", [event(1)])

    told("memory", story, seconds=0.05)
    assert len(journal_rows(tmp_path / "state")) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="another error")
def test_the_store_in_memory_holds_events_back_and_loses_none(told, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(local, "MAX_HELD", 100)
    monkeypatch.setattr(local, "_CHECK_SECONDS", 0.02)
    accepted, state = [], tmp_path / "state"

    async def append(store, count):
        for _ in range(count):
            assert (await store.append("s", [event(len(accepted))]))[0] == ["accepted"]
            accepted.append(len(accepted))

    async def story(store):
        (state / "events").write_text("in the way")
        await append(store, 60)
        await store._write()
        assert store.problem is None
        assert "events" in store.warning
        with pytest.raises(StoreUnavailableError, match="events"):
            await append(store, 1000)
        assert (len(accepted), len(store._rows)) == (100, 100)
        store.expose(exposure("s"))
        assert len(store._rows) == 100
        assert store.problem == store.warning
        assert len(await store.read("s")) == 100
        await store._write()
        (state / "events").unlink()
        await store._write()
        assert (store.problem, store.warning) == (None, None)
        await append(store, 5)

    told("memory", story)
    assert [row["time"].microsecond // 1000 for row in journal_rows(state)] == accepted
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_the_store_in_memory_writes_early_when_much_waits(told, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(local, "MAX_WAITING", 50)
    monkeypatch.setattr(local, "_CHECK_SECONDS", 0.02)

    async def story(store):
        await store.append("s", [event(1)])
        await asyncio.sleep(0.1)
        assert not journal_rows(tmp_path / "state")
        await store.append("s", [event(number) for number in range(50)])
        await until(lambda: len(journal_rows(tmp_path / "state")) == 51)
        (tmp_path / "state" / "exposures").write_text("in the way")
        for _ in range(50):
            store.expose(exposure("s"))
        await until(lambda: store.warning is not None)
        tried = store._written
        await asyncio.sleep(0.1)
        assert store._written == tried
        monkeypatch.setattr(local, "_RETRY_SECONDS", 0.1)
        (tmp_path / "state" / "exposures").unlink()
        await until(lambda: len(journal_rows(tmp_path / "state", "exposures")) == 50)

    told("memory", story, seconds=600.0)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_without_a_journal_sessions_are_deleted_from_earlier_files(kind, told, tmp_path) -> None:
    rows = [event_row(name, event(1)) for name in ("visitor-9", "other")]
    Journal(tmp_path / "state").write("events", 1, 2, rows)
    told(kind, lambda store: store.delete("visitor-9"), journal=False)
    assert traces(tmp_path / "state", "visitor-9") == []
    assert len(journal_rows(tmp_path / "state")) == 1
