"""Whatever happens in whatever order, every store equals a plain model of it."""

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis_server import redis_server
from store_kinds import KINDS, LIFETIMES, Clock, event, exposure, journal_rows, make_store

from segue.serving import sessions

MAX_EVENTS, MAX_IDS = 4, 5
SESSIONS = st.sampled_from(["s", "t", "}:*é"])
EVENTS = st.lists(
    st.builds(
        lambda time, item, number: event(time, item, None if number is None else str(number)),
        st.integers(0, 4),
        st.sampled_from("ab"),
        st.none() | st.integers(0, 8),
    ),
    min_size=1,
    max_size=6,
)


class Model:
    """Sessions as lists of everything that was accepted."""

    def __init__(self, clock):
        self.clock, self.sessions, self.gone, self.journal = clock, {}, {}, []

    def session(self, name):
        events, ids, touched = self.sessions.get(name, ([], [], 0.0))
        idle = self.clock() - touched
        if idle > LIFETIMES.session + LIFETIMES.event_ids:
            return [], []
        return ([] if idle > LIFETIMES.session else events), ids

    def append(self, name, events):
        if self.gone.get(name, 0) > self.clock():
            return ["deleted"] * len(events), []
        kept, ids = map(list, self.session(name))
        statuses = []
        for one in events:
            known = dict(ids[-MAX_IDS:])
            if one.event_id in known:
                statuses.append("duplicate" if known[one.event_id] == one.digest else "conflict")
                continue
            ids += [] if one.event_id is None else [(one.event_id, one.digest)]
            kept.append(one)
            statuses.append("accepted")
            self.journal.append((name, one.item, one.time, one.event_id))
        if "accepted" in statuses:
            self.sessions[name] = kept, ids, self.clock()
        return statuses, self.read(name)

    def read(self, name):
        return sorted(self.session(name)[0], key=lambda one: one.time)[-MAX_EVENTS:]

    def delete(self, name):
        self.sessions.pop(name, None)
        self.gone[name] = self.clock() + LIFETIMES.tombstone
        self.journal = [row for row in self.journal if row[0] != name]


class Stores(RuleBasedStateMachine):
    """A store and its model."""

    kind, server = "memory", None

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.model = Model(self.clock)
        self.runner = asyncio.Runner()
        if self.server is not None:
            with self.server.client() as client:
                client.flushall()
        self.open()

    def open(self):
        self.store = make_store(self.kind, self.folder, self.clock, self.server, seconds=0.03)
        self.run(self.store.open())

    def run(self, what):
        return self.runner.run(what)

    @rule(name=SESSIONS, events=EVENTS)
    def append(self, name, events):
        statuses, found = self.run(self.store.append(name, events))
        assert (statuses, list(found)) == self.model.append(name, events)

    @rule(name=SESSIONS, one=EVENTS, other=EVENTS)
    def append_at_once(self, name, one, other):
        async def both():
            return await asyncio.gather(self.store.append(name, one), self.store.append(name, other))

        found = [(statuses, list(events)) for statuses, events in self.run(both())]
        if self.kind == "redis":  # It may have taken them in either order, and answers with what it found then.
            state = {**self.model.sessions}, [*self.model.journal]
            second = self.model.append(name, other)
            answers, kept = [self.model.append(name, one), second], list(self.run(self.store.read(name)))
            with self.server.client() as client:
                ids = [one.decode() for one in client.lrange(self.store._keys(name).order, 0, -1)]
            known = [one for one, _ in self.model.session(name)[1][-MAX_IDS:]]
            # Both orders may have these answers, but then they leave other events or forget other ids.
            if (answers, kept, ids) == (found, self.model.read(name), known):
                return
            self.model.sessions, self.model.journal = state
            assert found == [self.model.append(name, one), self.model.append(name, other)]
            return
        first = self.model.append(name, one)
        second = self.model.append(name, other)
        assert found[0][0] == first[0]
        assert found[1] == second

    @rule(name=SESSIONS)
    def delete(self, name):
        self.run(self.store.delete(name))
        self.model.delete(name)

    @rule(name=SESSIONS)
    def expose(self, name):
        self.store.expose(exposure(name))

    @rule(seconds=st.sampled_from([1, 400, 900, 1400, 2900]))
    def wait(self, seconds):
        self.run(self.store.committed())
        self.clock.now += seconds
        if self.server is not None:
            self.server.advance(seconds)

    @rule()
    def commit(self):
        self.run(self.store.committed())

    @rule()
    def write_journal(self):
        self.run(asyncio.sleep(0.08))

    @rule()
    def restart(self):
        self.run(self.store.close())
        if self.kind == "memory":
            self.model.sessions, self.model.gone = {}, {}
        self.open()

    @invariant()
    def reads_equal(self):
        if hasattr(self, "store"):
            for name in ("s", "t", "}:*é", "never"):
                assert list(self.run(self.store.read(name))) == self.model.read(name)

    def teardown(self):
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.runner.close()
            names = ("session", "item", "time", "event_id")
            rows = [tuple(map(row.get, names)) for row in journal_rows(self.folder)]
            rows = [(session, item, round(1000 * time.timestamp()), name) for session, item, time, name in rows]
            shutil.rmtree(self.folder)
            assert sorted(rows, key=str) == sorted(self.model.journal, key=str)


@pytest.mark.parametrize(
    "examples", [pytest.param(6, id="short"), pytest.param(None, id="long", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_stores_equal_their_model(kind, examples, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sessions, "MAX_EVENTS", MAX_EVENTS)
    monkeypatch.setattr(sessions, "MAX_EVENT_IDS", MAX_IDS)
    with ExitStack() as stack:
        machine = type("Stores", (Stores,), {"kind": kind})
        if kind == "redis":
            machine.server = stack.enter_context(redis_server(tmp_path))
        more = {} if examples is None else {"max_examples": examples, "stateful_step_count": 15}
        run_state_machine_as_test(machine, settings=settings(suppress_health_check=list(HealthCheck), **more))
