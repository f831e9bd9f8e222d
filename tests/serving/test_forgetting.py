"""``segue sessions forget``: from a folder and from Redis."""

import asyncio
import time

import pytest
from command_line import segue
from redis_server import redis_server
from store_kinds import event, exposure, journal_rows, make_store, seen, traces

from segue.serving.journal import owner
from segue.serving.secrets import KeyedHash
from segue.serving.stores import DAY, Lifetimes, SteadyClock
from segue.serving.stores.redis_scripts import SECRET, Keys

LONG = Lifetimes()
NOW = int(time.time()) * 1000


@pytest.fixture(params=["memory", "sqlite", "redis"])
def kind(request):
    return request.param


@pytest.fixture
def server(kind, tmp_path):
    if kind != "redis":
        yield None
        return
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def told(kind, server, tmp_path):
    """Tell a story with an open store; its clock can be set back."""

    def told(story, ago=0.0):
        async def main():
            clock = SteadyClock(lambda: time.time() - ago)
            store = make_store(kind, tmp_path / "state", clock, server, lifetimes=LONG)
            await store.open()
            try:
                return await story(store)
            finally:
                await store.close()

        return asyncio.run(main())

    return told


@pytest.fixture
def forget(server, tmp_path):
    def forget(*arguments):
        where = [] if server is None else ["--store", server.url]
        return segue("sessions", "forget", *arguments, "--state", tmp_path / "state", *where)

    return forget


def test_a_forgotten_session_leaves_no_trace(told, forget, kind, tmp_path) -> None:
    async def story(store):
        await store.append("visitor-9", [event(NOW)])
        await store.append("other", [event(NOW)])
        store.expose(exposure("visitor-9"))
        store.expose(seen("visitor-9"))

    told(story)
    outcome = forget("visitor-9")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Deleted the session visitor-9 from ")
    assert traces(tmp_path / "state", "visitor-9") == []
    assert len(journal_rows(tmp_path / "state")) == 1
    outcome = forget("visitor-8")
    assert outcome.code == 2
    assert "error: ID: must be a session in " in outcome.err

    async def later(store):
        assert (await store.append("visitor-9", [event(NOW)]))[0] == ["deleted"]
        assert len(await store.read("other")) == 1

    if kind != "memory":
        told(later)


def recommendations(folder, kind="exposures"):
    return sorted(row["recommendation_id"] for row in journal_rows(folder, kind))


@pytest.mark.parametrize("when", ["waiting", "written"])
def test_what_was_seen_goes_with_its_session(told, kind, when, tmp_path) -> None:
    """Also where only the id of the recommendation says whose it is."""

    async def show(store):
        await store.append("visitor-9", [event(NOW)])
        for session, name in (("visitor-9", "r1"), ("other", "r2"), (None, "r3")):
            store.expose(exposure(session, name))

    async def story(store):
        if when == "waiting":
            await show(store)
        for name in ("r1", "r2", "r3"):
            store.expose(seen(None, name))
        await store.delete("visitor-9")

    if when == "written":
        told(show)
    told(story)
    folder = tmp_path / "state"
    assert recommendations(folder) == recommendations(folder, "seen") == ["r2", "r3"]
    assert journal_rows(folder) == []


@pytest.mark.parametrize("how", ["service", "command"])
def test_a_user_is_forgotten(told, forget, how, kind, tmp_path) -> None:
    async def show(store):
        await store.append("s", [event(NOW)])
        for session, name, user in ((None, "r1", "ann"), ("s", "r2", "ann"), (None, "r3", "bob"), ("s", "r4", None)):
            store.expose(exposure(session, name, None if user is None else store.pseudonym(user)))
            store.expose(seen(None, name))
        if how == "service":
            await store.delete(owner(store.pseudonym("ann")))
            assert len(await store.read("s")) == 1

    told(show)
    folder = tmp_path / "state"
    if how == "command":
        outcome = forget("--user", "ann")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("Deleted the user ann from ")
    assert recommendations(folder) == recommendations(folder, "seen") == ["r3", "r4"]
    assert len(journal_rows(folder)) == 1
    outcome = forget("--user", "ann")
    assert outcome.code == 2
    assert "error: --user: must be a user in " in outcome.err


def age(server, session, days):
    """Let days pass for a session on a server, whose clock cannot be set."""
    keys = Keys.of(KeyedHash(server.client().get(SECRET))(session))
    with server.client() as client:
        client.decrby(keys.touched, int(1000 * days * DAY))


def test_old_sessions_are_forgotten(told, forget, kind, server, tmp_path) -> None:
    """What counts is when the last event arrived, not when it happened."""

    async def before(store):
        await store.append("old", [event(NOW - int(10_000 * DAY), event_id="1")])

    async def now(store):
        await store.append("new", [event(NOW)])
        await store.append("imported", [event(NOW - int(10_000 * DAY), event_id="1")])

    told(before, ago=10 * DAY)
    if server is not None:
        age(server, "old", 10)
    told(now)
    outcome = forget("--older-than", "5")
    count = 0 if kind == "memory" else 1
    assert outcome.out == f"Deleted {count} sessions and 2 rows of the journal that were older than 5 days.\n"
    assert forget("--older-than", "5").out.startswith("Deleted 0 sessions and 0 rows ")
    assert [row["session"] for row in journal_rows(tmp_path / "state")] == ["new"]

    async def later(store):
        assert len(await store.read("new")) == 1
        assert list(await store.read("old")) == []
        assert len(await store.read("imported")) == 1
        for name in ("old", "imported"):  # Ids are remembered for as long as always.
            assert (await store.append(name, [event(NOW - int(10_000 * DAY), event_id="1")]))[0] == ["duplicate"]

    if kind != "memory":
        told(later)


def test_a_session_that_goes_on_meanwhile_is_kept(tmp_path) -> None:
    with redis_server(tmp_path) as server:

        async def story():
            store = make_store("redis", tmp_path / "state", SteadyClock(), server, lifetimes=LONG)
            await store.open()
            await store.append("s", [event(1)])
            age(server, "s", 10)
            loop, scan = asyncio.get_running_loop(), store._journal._client.scan_iter

            def found(*arguments, **named):
                yield from list(scan(*arguments, **named))
                asyncio.run_coroutine_threadsafe(store.append("s", [event(2)]), loop).result()

            store._journal._client.scan_iter = found
            before = int(1000 * (time.time() - 5 * DAY))
            assert await asyncio.to_thread(store._journal.delete_before, before) == (0, 1)
            assert len(await store.read("s")) == 2
            await store.close()

        asyncio.run(story())


def test_a_running_service_is_named_with_what_to_call(told, forget, kind) -> None:
    async def story(store):
        await store.append("a/b", [event(NOW)])
        outcome = await asyncio.to_thread(forget, "a/b")
        if kind == "redis":
            assert outcome.code == 0
            assert (await store.append("a/b", [event(NOW)]))[0] == ["deleted"]
            return
        assert outcome.code == 2
        assert "is being written by segue serve, started by process" in outcome.err
        assert "curl -X DELETE http://127.0.0.1:8000/v1/sessions/a%2Fb" in outcome.err

    told(story)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forget", "s", "--state", "nowhere"], "--state: nowhere must be the folder of a service"),
        (["forget"], "ID: give either a session"),
        (["forget", "s", "--older-than", "3"], "ID: give either a session"),
        (["forget", "s", "--user", "u"], "ID: give either a session"),
        (["forgot", "s"], "unknown action 'forgot': did you mean 'forget'?"),
        (["forget", "s", "--store", "postgres"], "--store: must be memory, sqlite or an address"),
    ],
)
def test_what_is_wrong_is_said(arguments, message, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "segue-state").mkdir()
    (tmp_path / "segue-state" / "key").write_bytes(b"k" * 32)
    outcome = segue("sessions", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "nowhere").exists()
