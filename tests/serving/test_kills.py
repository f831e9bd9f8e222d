"""A process that is killed at any moment loses at most the last 100 ms, and nothing twice."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from appending import LONG, nth, session_of
from redis_server import redis_server
from store_kinds import journal_rows, make_store, traces

from segue.serving.stores import SteadyClock

LOST_SECONDS = 0.1
APART = 100_000


def killed(kind: str, folder: Path, url: str, processes: int, seconds: float) -> tuple[list[list[str]], float]:
    """Run processes and kill them together; return what they said and the time of the kill."""
    command = [sys.executable, str(Path(__file__).with_name("appending.py")), kind, str(folder), url]
    running = [
        subprocess.Popen([*command, str(APART * number)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        for number in range(processes)
    ]
    assert all(process.stdout.readline().startswith("ready") for process in running)
    time.sleep(seconds)
    moment = time.monotonic()
    for process in running:
        process.kill()
    said = [line.split() for process in running for line in process.communicate()[0].splitlines(keepends=True)]
    return [words for words in said if len(words) == 3], moment


async def sent_again(kind, folder, server, numbers):
    """Return what the store holds after the kill, and what becomes of all events when they are sent again."""
    store = make_store(kind, folder, SteadyClock(), server, seconds=0.1, lifetimes=LONG)
    await store.open()
    held = {one.event_id for name in map(str, range(10)) for one in await store.read(f"s{name}")}
    statuses = [(await store.append(session_of(number), [nth(number)]))[0][0] for number in numbers]
    sessions = {f"s{name}": await store.read(f"s{name}") for name in range(10)}
    for number in {*numbers, *(number + 1 for number in numbers)}:  # It may have taken one more than it said.
        if session_of(number).startswith("gone"):
            await store.delete(session_of(number))
    await asyncio.sleep(0.3)
    await store.close()
    return held, statuses, sessions


def check(kind: str, folder: Path, server, seconds: float) -> None:
    said, moment = killed(kind, folder, "" if server is None else server.url, 1 if server is None else 2, seconds)
    by_kind = {name: [int(number) for word, number, _ in said if word == name] for name in ("durable", "deleted")}
    accepted = {int(number): float(at) for word, number, at in said if word == "accepted"}
    assert accepted
    held, statuses, sessions = asyncio.run(sent_again(kind, folder, server, list(accepted)))

    stalled = max(int(number) for word, number, _ in said if word == "stalled") / 1000  # By others on this machine.
    lost = LOST_SECONDS + 2 * stalled
    safe = {number for number, at in accepted.items() if at < moment - lost or server is not None}
    for last in by_kind["durable"]:
        safe |= {number for number in accepted if last // APART == number // APART and number <= last}
    kept = [number for number in accepted if not session_of(number).startswith("gone")]
    assert {f"id-{number}" for number in safe.intersection(kept)} <= held
    for number, status in zip(accepted, statuses, strict=True):
        if number in by_kind["deleted"]:
            assert status == "deleted"
        elif number in kept:
            assert status == ("duplicate" if f"id-{number}" in held else "accepted")
    times = Counter(one.event_id for events in sessions.values() for one in events)
    assert set(times.values()) == {1}
    assert {f"id-{number}" for number in kept} <= set(times)

    rows = Counter(row["event_id"] for row in journal_rows(folder))
    assert rows == times
    exposures = Counter(row["recommendation_id"] for row in journal_rows(folder, "exposures"))
    assert set(exposures.values()) <= {1}
    assert traces(folder, "gone-") == []


@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(50, id="long", marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_kill_loses_nothing_that_it_must_not(kind, kills, tmp_path) -> None:
    moments = random.Random(3)
    with ExitStack() as stack:
        server = None
        if kind == "redis":
            server = stack.enter_context(redis_server(tmp_path))
        for kill in range(kills):
            if server is not None:
                with server.client() as client:
                    client.flushall()
            check(kind, tmp_path / f"state-{kill}", server, moments.uniform(0.2, 1.5))
