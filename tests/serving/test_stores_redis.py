"""The Redis store when its server stops, is slow, or is set in a way that loses sessions; several processes."""

import asyncio
import time

import pytest
from redis import RedisError
from redis_server import redis_server
from store_kinds import LIFETIMES, Clock, event, exposure, journal_rows, make_store, traces

from segue.errors import ParameterError, SegueError, StorageError
from segue.serving.settings import ServeSettings
from segue.serving.stores import StoreUnavailableError
from segue.serving.stores import redis as redis_store
from segue.serving.stores.redis_journal import RedisJournal, shown
from segue.serving.stores.redis_scripts import DELETIONS, FOLDER, stream


@pytest.fixture
def server(tmp_path):
    with redis_server(tmp_path) as running:
        yield running


def run(server, folder, story, stores=1, **options):
    async def told():
        opened = [make_store("redis", folder, Clock(), server, **options) for _ in range(stores)]
        for store in opened:
            await store.open()
        try:
            return await story(*opened)
        finally:
            for store in opened:
                await store.close()

    return asyncio.run(told())


async def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_a_stopped_server_is_reported_at_once_and_used_again_when_it_is_back(server, tmp_path) -> None:
    async def story(store):
        await store.append("s", [event(1)])
        server.stop()
        start = time.monotonic()
        for _ in range(5):
            with pytest.raises(StoreUnavailableError):
                await store.append("s", [event(2)])
        assert time.monotonic() - start < 1
        await until(lambda: store.problem is not None)
        assert "refused" in store.problem.lower() or "connect" in store.problem.lower()
        for call in (store.read("s"), store.delete("s"), store.committed()):
            with pytest.raises(StoreUnavailableError):
                await call
        store.expose(exposure("s"))
        server.start()
        await until(lambda: store.problem is None)
        assert (await store.append("s", [event(3)]))[0] == ["accepted"]  # The scripts are loaded again, too.

    run(server, tmp_path / "state", story)


def test_a_session_is_deleted_from_the_files_of_a_server_that_lost_its_data(server, tmp_path) -> None:
    state = tmp_path / "state"

    async def story(store):
        for name in ("visitor-8", "visitor-9"):
            await store.append(name, [event(1)])
        store._journal.write()
        with server.client() as client:
            folder = client.get(FOLDER)
            client.flushall()
            await store.delete("visitor-8")
            assert traces(state, "visitor-8") == []
            await until(lambda: client.get(FOLDER) == folder)  # So others know that there is a journal.
        other = make_store("redis", tmp_path / "other", Clock(), server, journal=False)
        await other.open()
        await other.delete("visitor-9")
        await other.close()
        assert (await store.append("visitor-9", [event(1)]))[0] == ["deleted"]
        store._journal.write()
        assert traces(state, "visitor-9") == []

    run(server, state, story)


def test_a_paused_server_is_given_up_within_the_time_of_a_request(server, tmp_path) -> None:
    async def story(store):
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", 1200)
        with pytest.raises(StoreUnavailableError):
            async with asyncio.timeout(ServeSettings.model_fields["deadline"].default):
                await store.append("s", [event(1)])

    run(server, tmp_path / "state", story)


def test_rows_in_files_are_no_longer_listed(server, tmp_path, monkeypatch) -> None:
    async def story(store):
        for number in range(30):
            await store.append("s", [event(number)])
            store.expose(exposure("s"))
        await store._send()
        with server.client() as client:
            rows = store._keys("s").rows
            assert client.llen(rows) == 60
            with monkeypatch.context() as patched:
                patched.setattr("redis.client.Pipeline.lrem", killed)  # The file is written by then.
                with pytest.raises(StorageError):
                    store._journal.write()
            assert client.llen(rows) == 60
            await store.append("s", [event(30)])
            store._journal.write()
            assert client.llen(rows) == client.xlen(stream("events")) == client.xlen(stream("exposures")) == 0
            await store.append("s", [event(31)])
            assert client.llen(rows) == 1

    def killed(*_):
        raise RedisError

    run(server, tmp_path / "state", story)
    assert [row["time"].microsecond for row in journal_rows(tmp_path / "state")] == [*range(0, 32_000, 1000)]
    assert len(journal_rows(tmp_path / "state", "exposures")) == 30


def test_a_slow_server_is_given_up_and_a_retry_is_harmless(server, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(redis_store, "COMMAND_SECONDS", 0.2)
    events = [event(number, event_id=str(number)) for number in range(3)]

    async def story(store):
        with server.client() as client:
            client.execute_command("CLIENT", "PAUSE", 600, "WRITE")
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=r"[Tt]imeout"):
            await store.append("s", events)
        assert time.monotonic() - start < 0.5
        await asyncio.sleep(1.0)
        statuses, found = await store.append("s", events)
        assert set(statuses) <= {"accepted", "duplicate"}
        assert found == events

    run(server, tmp_path / "state", story)
    assert len(journal_rows(tmp_path / "state")) == 3


def test_cancelled_calls_mix_up_no_answers(server, tmp_path) -> None:
    async def story(store):
        await store.append("s", [event(1, "s")])
        await store.append("t", [event(1, "t")])
        for number in range(200):
            task = asyncio.create_task(store.read("s"))
            await asyncio.sleep(0 if number % 2 else 0.0005)
            task.cancel()
            assert [one.item for one in await store.read("t")] == ["t"]

    run(server, tmp_path / "state", story)


def test_two_processes_see_one_session(server, tmp_path) -> None:
    async def story(one, other):
        await asyncio.gather(
            *((one, other)[number % 2].append("s", [event(number, event_id=f"{number // 2}")]) for number in range(40))
        )
        found = await one.read("s")
        assert found == await other.read("s")
        assert len(found) == 20  # Each id is accepted once, whoever sends it first.
        await one.delete("s")
        assert (await other.append("s", [event(1)]))[0] == ["deleted"]

    run(server, tmp_path / "state", story, stores=2)


def test_several_processes_write_each_row_once(server, tmp_path) -> None:
    async def story(*stores):
        for number in range(300):
            await stores[number % 3].append(f"s{number % 5}", [event(number, event_id=str(number))])
        await asyncio.sleep(0.1)

    run(server, tmp_path / "state", story, stores=3, seconds=0.02)
    assert sorted(int(row["event_id"]) for row in journal_rows(tmp_path / "state")) == [*range(300)]


def test_rows_of_a_killed_export_are_not_written_again(server, tmp_path, monkeypatch) -> None:
    state = tmp_path / "state"

    async def story(store):
        await store.append("s", [event(1), event(2)])
        with server.client() as client, monkeypatch.context() as patched:
            before = client.xlen(stream("events"))
            patched.setattr("redis.Redis.xtrim", lambda *args, **more: None)  # As if it were killed before.
            patched.setattr(RedisJournal, "_read", lambda self, key, once=[1]: _once(self, key, once))
            store._journal.write()
            assert client.xlen(stream("events")) == before == 2
        assert len(journal_rows(state)) == 2
        await store.append("s", [event(3)])

    read = RedisJournal._read

    def _once(self, key, once):
        return read(self, key) if once and key == stream("events") and once.pop() else []

    run(server, state, story)
    assert [row["time"].microsecond for row in journal_rows(state)] == [1000, 2000, 3000]


def test_a_deletion_that_a_kill_interrupted_is_finished(server, tmp_path, monkeypatch) -> None:
    state = tmp_path / "state"

    async def story(store):
        await store.append("visitor-9", [event(1)])

    run(server, state, story)

    async def interrupted(store):
        with monkeypatch.context() as patched:
            patched.setattr(RedisJournal, "finish_deletions", lambda self: None)
            await store.delete("visitor-9")
        assert traces(state, "visitor-9")

    run(server, state, interrupted)
    assert traces(state, "visitor-9") == []
    with server.client() as client:
        assert client.llen(DELETIONS) == 0


def test_a_full_server_refuses_events(server, tmp_path) -> None:
    async def story(store):
        with server.client() as client:
            client.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailableError, match=r"[Mm]emory|maxmemory"):
                await store.append("s", [event(1)])
            client.config_set("maxmemory", "0")
        assert (await store.append("s", [event(1)]))[0] == ["accepted"]

    run(server, tmp_path / "state", story)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"], "allkeys-lru, which drops sessions.*noeviction"),
        (["--cluster-enabled", "yes"], "is a cluster"),
        (["--requirepass", "correct-horse"], "refuses the password"),
    ],
)
def test_a_server_that_is_set_otherwise_is_refused(tmp_path, options, message) -> None:
    with (
        redis_server(tmp_path, options) as server,
        pytest.raises(ParameterError, match=f"--store: redis://.*{message}"),
    ):
        run(server, tmp_path / "state", lambda store: asyncio.sleep(0))


def test_what_may_lose_sessions_is_a_warning(tmp_path) -> None:
    async def story(store):
        assert store.problem is None
        assert "volatile-ttl" in store.warning
        assert "appendonly" in store.warning

    with redis_server(tmp_path, ["--maxmemory", "50mb", "--maxmemory-policy", "volatile-ttl"]) as server:
        run(server, tmp_path / "state", story)


def test_a_server_that_never_answers_is_an_error(server, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(redis_store, "START_SECONDS", 0.2)
    server.stop()
    with pytest.raises(StorageError, match=r"cannot be used .*; start it, or choose another store"):
        run(server, tmp_path / "state", lambda store: asyncio.sleep(0))
    server.start()


def test_another_state_folder_is_refused_unless_it_keeps_no_journal(server, tmp_path) -> None:
    async def story(store):
        await store.append("visitor-9", [event(1)])

    run(server, tmp_path / "one", story)
    with pytest.raises(ParameterError, match=f"keeps the journal of another state folder.*redis-cli .* DEL {FOLDER}"):
        run(server, tmp_path / "other", story)

    async def without(store):
        assert "this one does not" in store.warning
        assert len(await store.read("visitor-9")) == 1  # The key of the first folder counts.
        await store.delete("visitor-9")

    run(server, tmp_path / "other", without, journal=False)
    run(server, tmp_path / "one", lambda store: asyncio.sleep(0))
    assert traces(tmp_path / "one", "visitor-9") == []


def test_sessions_leave_nothing_behind(server, tmp_path) -> None:
    async def story(store):
        await store.append("s", [event(1, event_id="1")])
        store.expose(exposure("s"))

    run(server, tmp_path / "state", story)
    server.advance(LIFETIMES.session + LIFETIMES.event_ids + 1)
    with server.client() as client:
        assert not [key for key in client.scan_iter() if key.startswith(b"segue:session")]
        assert client.xlen(stream("events")) == client.xlen(stream("exposures")) == 0


@pytest.mark.parametrize("url", ["redis://", "http://somewhere", "redis://:geheim@host:port/0", "nonsense"])
def test_no_password_is_in_a_message(url, tmp_path, server) -> None:
    assert shown("redis://user:geheim@host:6379/1") == "redis://host:6379/1"
    if url == "redis://":
        return
    server.url = url
    with pytest.raises(SegueError) as caught:
        make_store("redis", tmp_path / "state", Clock(), server)
    assert "geheim" not in str(caught.value)
    assert "--store: must be memory, sqlite or an address such as redis://" in str(caught.value)
