"""Faults as callers of a service see them: a killed worker, a full disk, a store that is gone."""

import json
import os
import random
import resource
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from processes import Process, Reader, message
from redis_server import redis_server
from store_kinds import journal_rows, traces

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at the processes of Linux")

RATE, BATCH = 500, 10
LOST_SECONDS = 0.1


class Accepted(NamedTuple):
    event: dict[str, str]
    at: float
    durable: bool


class Sender:
    """Sends events until the connection ends, every fifth request as a durable one, and deletes sessions meanwhile.

    Attributes:
        accepted: what was answered.
        deleted: sessions whose deletion was answered.
        stalled: longest time for which this machine stood still.
    """

    def __init__(self, process: Process, round_: int) -> None:
        self.accepted: list[Accepted] = []
        self.deleted: list[str] = []
        self.stalled = 0.0
        self._process, self._round = process, round_
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._watch)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        number, due = 0, time.monotonic()
        try:
            with self._process.connect() as connection:
                reader = Reader(connection)
                while True:
                    due += BATCH / RATE
                    time.sleep(max(0.0, due - time.monotonic()))
                    events = [self._event(number + one) for one in range(BATCH)]
                    number += BATCH
                    durable = number % (5 * BATCH) == 0
                    connection.sendall(message("POST", "/v1/events", {"events": events, "durable": durable}))
                    status, _, body = reader.answer()
                    assert (status, json.loads(body)["accepted"]) == (200, BATCH), body
                    self.accepted += [Accepted(event, time.monotonic(), durable) for event in events]
                    if number % (20 * BATCH) == 0:
                        self._delete(connection, reader, f"gone-{self._round}-{number}")
        except OSError:
            return

    def _event(self, number: int) -> dict[str, str]:
        return {"session_id": f"{self._round}-{number % 7}", "item": "104", "event_id": f"{self._round}-{number}"}

    def _delete(self, connection: Any, reader: Reader, session: str) -> None:
        event = {"session_id": session, "item": "104", "event_id": "only"}
        connection.sendall(message("POST", "/v1/events", {"events": [event]}))
        assert reader.answer()[0] == 200
        connection.sendall(message("DELETE", f"/v1/sessions/{session}"))
        assert reader.answer()[0] == 204
        self.deleted.append(session)

    def _watch(self) -> None:
        while not self._over.is_set():
            start = time.monotonic()
            time.sleep(0.005)
            self.stalled = max(self.stalled, time.monotonic() - start - 0.005)


def held_by(process: Process, round_: int) -> Counter[str]:
    """Count the ids of the events of the sessions of a round."""
    found: Counter[str] = Counter()
    for number in range(7):
        status, answer = process.get(f"/v1/sessions/{round_}-{number}")
        found.update([event["event_id"] for event in answer["events"]] if status == 200 else [])
    return found


@pytest.mark.parametrize("kills", [pytest.param(1, id="short"), pytest.param(50, id="long", marks=pytest.mark.soak)])
def test_kills_under_load(popular: Path, tmp_path: Path, kills: int) -> None:
    """At most the last 100 ms of what was accepted is lost, nothing that was durable, and nothing is there twice."""
    moments, everything = random.Random(5), Counter[str]()
    with Process(tmp_path, [popular]) as process:
        for round_ in range(kills):
            sender = Sender(process, round_)
            time.sleep(moments.uniform(0.3, 1.2))
            worker, moment = process.worker, time.monotonic()
            os.kill(worker, signal.SIGKILL)
            sender.join()
            process.wait_until(lambda: process.get("/health/ready")[0] == 200)
            assert process.worker != worker

            held, lost = held_by(process, round_), LOST_SECONDS + 2 * sender.stalled
            safe = [one.event["event_id"] for one in sender.accepted if one.durable or one.at < moment - lost]
            assert safe
            assert [event_id for event_id in safe if event_id not in held] == []
            for first in range(0, len(sender.accepted), 500):
                again = [one.event for one in sender.accepted[first : first + 500]]
                results = process.post("/v1/events", {"events": again, "durable": True})[1]["results"]
                for event, result in zip(again, results, strict=True):
                    assert result["status"] == ("duplicate" if event["event_id"] in held else "accepted")
            everything.update([one.event["event_id"] for one in sender.accepted])
            for session in sender.deleted:
                event = {"session_id": session, "item": "104"}
                assert process.get(f"/v1/sessions/{session}")[0] == 404
                assert process.post("/v1/events", {"events": [event]})[1]["results"][0]["status"] == "refused"
            assert set(held_by(process, round_).values()) == {1}
    rows = Counter(row["event_id"] for row in journal_rows(tmp_path / "state"))
    assert set(rows.values()) == {1}
    assert everything.keys() <= rows.keys()
    assert traces(tmp_path / "state", "gone-") == []


def add(process: Process, number: int, *, durable: bool = False) -> int:
    """Send one event; return the status of the answer."""
    event = {"session_id": "s", "item": "104", "event_id": str(number)}
    status, answer = process.post("/v1/events", {"events": [event], "durable": durable})
    if status == 200:
        assert answer["results"][0]["status"] in ("accepted", "duplicate")
    return status


@pytest.mark.soak
def test_a_full_disk_changes_nothing_for_callers(popular: Path, tmp_path: Path) -> None:
    """No file can be written for a while, the log of the service included."""
    with Process(tmp_path, [popular]) as process:
        assert add(process, 0, durable=True) == 200
        worker = process.worker
        (_, most) = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, most))
        for number in range(1, 51):
            assert add(process, number) == 200
            time.sleep(0.02)
        status, answer = process.post("/v1/recommend", {"session_id": "s", "k": 3})
        assert (status, len(answer["items"]), answer["fallback"]) == (200, 3, None)
        assert add(process, 51, durable=True) == 503
        status, answer = process.get("/health/ready")
        assert (status, len(answer["problems"])) == (200, 1)
        assert "the session store: " in answer["problems"][0]

        resource.prlimit(worker, resource.RLIMIT_FSIZE, (most, most))
        process.wait_until(lambda: add(process, 51, durable=True) == 200)
        assert process.worker == worker
        os.kill(worker, signal.SIGKILL)
        process.wait_until(lambda: process.get("/health/ready")[0] == 200)
        events = process.get("/v1/sessions/s")[1]["events"]
        assert [event["event_id"] for event in events] == [str(number) for number in range(52)]


@pytest.mark.soak
def test_a_store_that_is_gone_is_used_again_when_it_is_back(popular: Path, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server, Process(tmp_path, [popular], "--store", server.url) as process:
        worker = process.worker
        assert add(process, 0) == 200
        server.stop()
        process.wait_until(lambda: process.get("/health/ready")[0] == 503, 5)
        assert add(process, 1) == 503
        assert process.post("/v1/recommend", {"session_id": "s"})[0] == 503
        assert process.post("/v1/recommend", {"items": ["104"]})[0] == 200
        server.start()
        process.wait_until(lambda: process.get("/health/ready")[0] == 200, 5)
        assert add(process, 1) == 200
        assert process.worker == worker
