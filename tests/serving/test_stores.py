"""What every store does, one behaviour after the other; ``test_stores_machine`` combines them at random."""

import asyncio

import pytest
from redis_server import redis_server
from store_kinds import KINDS, Clock, event, exposure, journal_rows, make_store, seen, traces

from segue.errors import ParameterError
from segue.serving.sessions import Session
from segue.serving.stores import Lifetimes, SteadyClock
from segue.serving.stores.table import SessionTable


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param == "redis":
        with request.getfixturevalue("server").client() as client:
            client.flushall()
    return request.param


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(kind, clock, tmp_path, request):
    def make(**options):
        server = request.getfixturevalue("server") if kind == "redis" else None
        return make_store(kind, tmp_path / "state", clock, server, **options)

    return make


def run(make, story, **options):
    """Run a story with an open store."""

    async def told():
        store = make(**options)
        await store.open()
        try:
            return await story(store)
        finally:
            await store.close()

    return asyncio.run(told())


def test_a_read_sees_every_accepted_event(make) -> None:
    async def story(store):
        first = event(10, "a", "1", context={"page": 3, "ö": None})
        assert await store.append("s", [first]) == (["accepted"], [first])
        assert await store.read("s") == [first]
        assert list(await store.read("another")) == []
        late = event(5, "b", recommendation_id="r")
        assert await store.append("s", [late, first]) == (["accepted", "duplicate"], [late, first])

    run(make, story)


def test_concurrent_appends_lose_nothing(make) -> None:
    async def story(store):
        await asyncio.gather(*(store.append("s", [event(time, f"i{time}")]) for time in range(100)))
        assert [one.time for one in await store.read("s")] == list(range(100))

    run(make, story)


def test_events_end_before_their_ids(make, clock, kind, request) -> None:
    def advance(seconds):
        clock.now += seconds
        if kind == "redis":
            request.getfixturevalue("server").advance(seconds)

    async def story(store):
        await store.append("s", [event(1, "a", "1")])
        await store.committed()
        advance(1001)
        assert list(await store.read("s")) == []
        statuses, events = await store.append("s", [event(1, "a", "1")])
        assert (statuses, list(events)) == (["duplicate"], [])
        advance(500)
        assert (await store.append("s", [event(1, "a", "1")]))[0] == ["accepted"]

    run(make, story)


def test_a_deleted_session_leaves_no_trace_and_stays_away(make, tmp_path, clock, kind, request) -> None:
    async def story(store):
        for part in range(3):
            await store.append("secret-visitor", [event(part, "a", f"secret-visitor-{part}")])
            await store.append("other", [event(part)])
            store.expose(exposure("secret-visitor", f"r{part}"))
            store.expose(exposure(None, f"n{part}"))
            assert store.expose(seen("secret-visitor", f"r{part}"))
            assert store.expose(seen("other", f"s{part}"))
            await asyncio.sleep(0.15)  # The journal is written in between.
        await store.append("secret-visitor", [event(9, "a")])
        await store.delete("secret-visitor")
        assert list(await store.read("secret-visitor")) == []
        assert await store.append("secret-visitor", [event(99)]) == (["deleted"], ())
        store.expose(exposure("secret-visitor", "late"))
        assert store.expose(seen("secret-visitor", "late")) == (kind == "redis")  # The server drops it.
        assert traces(tmp_path / "state", "secret-visitor") == []

    run(make, story, seconds=0.05)
    assert traces(tmp_path / "state", "secret-visitor") == []
    if kind == "redis":
        with request.getfixturevalue("server").client() as client:
            assert b"secret-visitor" not in b"".join(client.dump(key) + key for key in client.scan_iter())
    assert [row["session"] for row in journal_rows(tmp_path / "state")] == ["other"] * 3
    assert len(journal_rows(tmp_path / "state", "exposures")) == 3
    assert [row["session"] for row in journal_rows(tmp_path / "state", "seen")] == ["other"] * 3

    async def later(store):
        statuses, _ = await store.append("secret-visitor", [event(99)])
        assert statuses == (["accepted"] if kind == "memory" else ["deleted"])
        clock.now += 3001
        if kind == "redis":
            request.getfixturevalue("server").advance(3001)
        assert (await store.append("secret-visitor", [event(100)]))[0] == ["accepted"]

    run(make, later)


def test_sessions_survive_a_restart(make, kind) -> None:
    if kind == "memory":
        pytest.skip("sessions in memory end with the process")
    events = [event(7, "a", "1"), event(7, "b", "2"), event(7, "c")]

    async def before(store):
        await store.append("s", events)

    async def after(store):
        assert await store.read("s") == events
        statuses, _ = await store.append("s", [event(7, "b", "2"), event(8, "b", "2")])
        assert statuses == ["duplicate", "conflict"]

    run(make, before)
    run(make, after)


def test_the_journal_has_each_accepted_event_once(make, kind, tmp_path) -> None:
    async def story(store):
        for number in range(20):
            await store.append(f"s{number % 3}", [event(number, "a", str(number)), event(number, "a", str(number))])
            await asyncio.sleep(0.01)
        store.expose(exposure("s1"))

    run(make, story, seconds=0.03)
    run(make, story, seconds=0.03)  # All are sent again.
    rows = journal_rows(tmp_path / "state")
    times = 2 if kind == "memory" else 1  # It forgets the ids with the sessions.
    assert sorted(int(row["event_id"]) for row in rows) == sorted([*range(20)] * times)
    exposed = journal_rows(tmp_path / "state", "exposures")[0]
    assert (exposed["session"], exposed["items"], exposed["scores"]) == ("s1", ["a", "b"], [2.0, 1.0])


def test_without_a_journal_nothing_is_kept_for_training(make, tmp_path) -> None:
    async def story(store):
        await store.append("s", [event(1)])
        store.expose(exposure("s"))
        await store.delete("s")

    run(make, story, journal=False)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_second_process_is_told_who_uses_the_folder(make, kind) -> None:
    async def story(store):
        other = make()
        if kind == "redis":
            await other.open()
            await other.close()
            return
        with pytest.raises(ParameterError, match=r"--state: .*state is being written by segue serve, started"):
            await other.open()

    run(make, story)
    run(make, story)


def test_the_least_recently_used_session_is_dropped_unless_it_is_pinned() -> None:
    table = SessionTable(Lifetimes(), 6, Clock())
    pinned = {"b"}
    table.is_pinned = pinned.__contains__
    for name in "abc":
        table.put(name, Session([event(1)]), Clock().now)
    assert table.get("a") is not None  # Now b is the one that was used the longest ago, and it is pinned.
    table.put("d", Session([event(1)]), Clock().now)
    assert [name for name in "abcd" if table.get(name) is not None] == ["a", "b", "d"]
    assert table.dropped == 1


def test_a_set_wall_clock_ends_no_session() -> None:
    wall, steady = Clock(), Clock()
    steady.now = 5.0
    clock = SteadyClock(wall, steady)
    start = clock()
    wall.now += 1e9
    steady.now += 1.0
    assert clock() == start + 1.0
