"""Load on `segue serve`: an open loop of clicks that each want recommendations, from visitors who come back.

    python benchmarks/serve.py runs/diginetica/v-sknn --log diginetica --rate 1000
    python benchmarks/serve.py runs/diginetica/v-sknn --log diginetica --find            # the highest rate
    python benchmarks/serve.py runs/diginetica/v-sknn --log diginetica --rate 1000 --overload 3

Requests arrive as a Poisson process, whether or not earlier ones are answered, and a latency is counted from the moment
at which a request was to be sent. The CPU shares of the service, of this generator and of everything else are printed:
with more than 5% for others a run is invalid.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path

import numpy as np
import uvloop

import segue

K = 20
ACTIVE = 3000
"""Visitors whose clicks are interleaved."""

TICKS = os.sysconf("SC_CLK_TCK")


class Connection(asyncio.Protocol):
    """A kept-alive connection with one request at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = bytearray()
        self.due = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keep the transport."""
        self.transport = transport

    def send(self, due: float, request: bytes) -> None:
        """Send a request."""
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read an answer."""
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        place = self.buffer.lower().find(b"content-length: ", 0, end)
        size = int(self.buffer[place + 16 : self.buffer.find(b"\r", place)]) if place >= 0 else 0
        if len(self.buffer) >= end + 4 + size:
            self.load.answered(self.due, int(self.buffer[9:12]))
            self.buffer.clear()
            self.load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Count a request that was lost."""
        self.load.lost(self)


class Load:
    """Requests on their way to one server."""

    def __init__(self, port: int, clicks: "Clicks", connections: int) -> None:
        self.port, self.clicks, self.size = port, clicks, connections
        self.idle: list[Connection] = []
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.reset()

    def reset(self) -> None:
        """Forget all answers."""
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.refused: list[float] = []

    async def connect(self) -> None:
        """Open the connections."""
        loop = asyncio.get_running_loop()
        for _ in range(self.size):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
            self.idle.append(connection)

    def send(self, due: float, request: bytes) -> None:
        """Send a request, as soon as a connection is free."""
        if self.idle:
            self.idle.pop().send(due, request)
        else:
            self.waiting.append((due, request))

    def free(self, connection: Connection) -> None:
        """Send the next request that waits."""
        if self.waiting:
            connection.send(*self.waiting.popleft())
        else:
            self.idle.append(connection)

    def answered(self, due: float, status: int) -> None:
        """Note an answer."""
        self.statuses[status] += 1
        (self.latencies if status == 200 else self.refused).append(time.perf_counter() - due)

    def lost(self, connection: Connection) -> None:
        """Note a connection that the server closed."""
        self.size -= 1
        if connection in self.idle:
            self.idle.remove(connection)
        else:
            self.statuses[0] += 1

    async def run(self, rate: float, seconds: float, rng: random.Random) -> None:
        """Send at a rate."""
        due = time.perf_counter()
        end = due + seconds
        while due < end:
            due += rng.expovariate(rate)
            if (pause := due - time.perf_counter()) > 0.0002:
                await asyncio.sleep(pause)
            elif len(self.latencies) % 8 == 0:
                await asyncio.sleep(0)
            self.send(due, self.clicks.next())
        for _ in range(100):
            if len(self.idle) >= self.size:
                break
            await asyncio.sleep(0.05)


class Clicks:
    """Requests of visitors: sessions of a log, the clicks of many of them interleaved."""

    def __init__(self, sessions: list[list[str]], path: str, seed: int) -> None:
        self.rng = random.Random(seed)
        self.sessions, self.path = sessions, path
        self.active: list[tuple[int, list[str], int]] = []
        self.count, self.number = 0, 0

    def _new(self) -> tuple[int, list[str], int]:
        self.count += 1
        return self.count, self.rng.choice(self.sessions), 0

    def next(self) -> bytes:
        """Return the next click of a random visitor, as a request."""
        if len(self.active) < ACTIVE:
            self.active.append(self._new())
        slot = self.rng.randrange(len(self.active))
        visitor, session, place = self.active[slot]
        self.active[slot] = (visitor, session, place + 1) if place + 1 < len(session) else self._new()
        self.number += 1
        content = {
            "session_id": f"visitor-{visitor}",
            "append": [{"event_id": f"event-{self.number}", "item": session[place]}],
            "k": K,
        }
        body = json.dumps(content).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: "
        return head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body


def cpu_of(process: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_of_all() -> float:
    """Return the CPU seconds of all processes."""
    fields = [int(text) for text in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS


def memory_of(process: int) -> float:
    """Return the proportional set size of a process, in MiB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pss:"))) / 1024


def children_of(process: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()]


class Server:
    """`segue serve`, started for one measurement."""

    def __init__(self, artifact: Path, state: Path, port: int, options: list[str]) -> None:
        self.port = port
        command = [sys.executable, "-m", "segue", "serve", str(artifact), "--port", str(port), "--state", str(state)]
        start = time.perf_counter()
        self.process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
        while self._status() != 200:
            time.sleep(0.05)
        self.ready = time.perf_counter() - start
        self.workers = children_of(self.process.pid)

    def _status(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def cpu(self) -> float:
        """Return the CPU seconds of all its processes."""
        return sum(map(cpu_of, self.workers)) + cpu_of(self.process.pid)

    def memory(self) -> float:
        """Return the memory of all its processes, in MiB."""
        return sum(map(memory_of, self.workers)) + memory_of(self.process.pid)

    def stop(self) -> None:
        """Stop it in order."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


async def measure(load: Load, server: Server, rate: float, seconds: float, seed: int) -> dict[str, float]:
    """Send at a rate and return what was measured."""
    load.reset()
    before = server.cpu(), cpu_of(os.getpid()), cpu_of_all(), server.memory()
    start = time.perf_counter()
    await load.run(rate, seconds, random.Random(seed))
    took = time.perf_counter() - start
    served, own, everything = server.cpu() - before[0], cpu_of(os.getpid()) - before[1], cpu_of_all() - before[2]
    answers = sum(load.statuses.values())
    found = np.array(load.latencies or [np.nan]) * 1000
    return {
        "rate": answers / took,
        "good/s": load.statuses[200] / took,
        "errors": answers - load.statuses[200],
        "p50 ms": float(np.percentile(found, 50)),
        "p90 ms": float(np.percentile(found, 90)),
        "p99 ms": float(np.percentile(found, 99)),
        "refused p99 ms": float(np.percentile(np.array(load.refused or [0]) * 1000, 99)),
        "CPU ms per request": 1000 * served / max(1, answers),
        "generator cores": own / took,
        "others %": 100 * max(0.0, everything - served - own) / took / (os.cpu_count() or 1),
        "memory MiB": server.memory(),
        "growth MiB": server.memory() - before[3],
    }


def line(values: dict[str, float]) -> str:
    """Return a measurement as text."""
    valid = "" if values["others %"] <= 5 else "  INVALID: others took more than 5%"
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items()) + valid


def real_sessions(log: str, count: int) -> list[list[str]]:
    """Return the last sessions of a log, with their raw ids."""
    data = segue.prepare(segue.read(log), None)
    sessions, ids = data.train, data.vocabulary.raw_ids
    last = range(max(0, len(sessions) - count), len(sessions))
    return [[str(ids[item]) for item in sessions.items[sessions.offsets[s] : sessions.offsets[s + 1]]] for s in last]


def drawn_sessions(artifact: Path, count: int) -> list[list[str]]:
    """Return sessions of items drawn by popularity, where there is no log."""
    vocabulary, rng = segue.load(artifact).vocabulary, np.random.default_rng(0)
    weights = vocabulary.support[1:] / vocabulary.support.sum()
    lengths = rng.geometric(0.25, count)
    drawn = iter(rng.choice(len(weights), int(lengths.sum()), p=weights).tolist())
    return [[str(vocabulary.raw_ids[next(drawn) + 1]) for _ in range(length)] for length in lengths]


async def main() -> None:
    """Run the measurements that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--log", help="log that the clicks are taken from; drawn by popularity by default")
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--find", action="store_true", help="raise the rate while p90 is below 7 ms")
    parser.add_argument("--overload", type=float, default=0, help="afterwards, this many times the rate for 30 s")
    parser.add_argument("--serve", nargs="*", default=[], help="options of segue serve, such as store=memory")
    given = parser.parse_args()
    sessions = real_sessions(given.log, 20_000) if given.log else drawn_sessions(given.artifact, 20_000)
    options = [f"--{option}" for option in given.serve]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(given.artifact, Path(folder), given.port, options)
        try:
            print(f"ready after {server.ready:.1f} s, {server.memory():.0f} MiB")
            load = Load(given.port, Clicks(sessions, "/v1/recommend", 0), given.connections)
            await load.connect()
            await load.run(given.rate, given.warm_up, random.Random(0))
            rates = [given.rate] if not given.find else [given.rate * (1 + 0.1 * step) for step in range(30)]
            for seed, rate in enumerate(rates, start=1):
                found = await measure(load, server, rate, given.seconds, seed)
                print(f"{rate:,.0f}/s for {given.seconds:g} s: {line(found)}", flush=True)
                if given.find and found["p90 ms"] >= 7:
                    break
            if given.overload:
                found = await measure(load, server, given.overload * given.rate, 30, 99)
                print(f"overload {given.overload:g}x: {line(found)}  {dict(load.statuses)}", flush=True)
                await asyncio.sleep(5)
                found = await measure(load, server, given.rate, 10, 100)
                print(f"5 s later: {line(found)}")
            print(f"{load.clicks.count:,} visitors")
        finally:
            server.stop()


if __name__ == "__main__":
    uvloop.run(main())
