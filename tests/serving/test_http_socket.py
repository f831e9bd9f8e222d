"""HTTP as it comes over a socket: connections that are slow, odd, or too many."""

import asyncio
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from live import memory_store, serving
from processes import Process, Reader, message

from segue.serving.http import protocol
from segue.serving.service import Service
from segue.serving.worker import _serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at the processes of Linux")

ASK = {"items": ["104"], "k": 3}
TOKEN = "read-0123456789abcdef"


@pytest.fixture(scope="module")
def service(popular: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most), most))
    with Process(tmp_path_factory.mktemp("service"), [popular], "--access-log") as process:
        yield process
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))


def exchange(service: Process, sent: bytes, answers: int = 1, method: str = "GET") -> list[Any]:
    with service.connect() as connection:
        connection.sendall(sent)
        reader = Reader(connection)
        return [reader.answer(method) for _ in range(answers)]


class TestHTTP:
    def test_requests_on_one_connection(self, service: Process) -> None:
        with service.connect() as connection:
            reader = Reader(connection)
            for _ in range(3):
                connection.sendall(message("POST", "/v1/recommend", ASK))
                status, headers, _ = reader.answer()
                assert (status, headers.get("connection")) == (200, None)

    def test_pipelined_requests_are_answered_in_order(self, service: Process) -> None:
        paths = [f"/v1/items/{item}" for item in range(100, 130)]
        sent = b"".join(message("GET", path) for path in paths)
        bodies = [body for _, _, body in exchange(service, sent, len(paths))]
        assert [f'"item":"{path[-3:]}"'.encode() in body for path, body in zip(paths, bodies, strict=True)] == [
            True
        ] * 30

    def test_expect_100_continue(self, service: Process) -> None:
        head, _, body = message("POST", "/v1/recommend", ASK, expect="100-continue").partition(b"\r\n\r\n")
        with service.connect() as connection:
            connection.sendall(head + b"\r\n\r\n")
            reader = Reader(connection)
            assert reader.answer()[0] == 100
            connection.sendall(body)
            assert reader.answer()[0] == 200

    def test_http_1_0(self, service: Process) -> None:
        with service.connect() as connection:
            connection.sendall(b"GET /health/live HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            reader = Reader(connection)
            assert reader.answer()[0] == 200
            assert reader.at_end()

    @pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
    def test_upgrades_are_answered_as_other_requests(self, service: Process, upgrade: str) -> None:
        """A client that offers HTTP/2, such as Java's, sends it with its first request."""
        sent = message("POST", "/v1/recommend", ASK, connection="Upgrade", upgrade=upgrade)
        assert exchange(service, sent)[0][0] == 200

    def test_chunks(self, service: Process) -> None:
        head = b"POST /v1/recommend HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        body = b'c\r\n{"items": ["\r\n6\r\n104"]}\r\n0\r\n\r\n'
        assert exchange(service, head + b"Transfer-Encoding: chunked\r\n\r\n" + body)[0][0] == 200

    def test_the_client_of_a_long_body_gets_its_answer(self, service: Process) -> None:
        head = message("POST", "/v1/recommend").replace(b"content-length: 0", b"content-length: 10000000")
        with service.connect() as connection:
            connection.sendall(
                head.replace(b"\r\n\r\n", b"\r\ncontent-type: application/json\r\n\r\n") + b" " * 10_000_000
            )
            assert Reader(connection).answer()[0] == 413

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/v1/sessions/a%2Fb", 404), ("/v1/sessions/%2e%2e%2f%00", 422), ("/v1/items/%C3%A9", 404),
         ("http://127.0.0.1/health/live", 200), ("/v1/items/104#x", 200), ("//v1/items/104", 404)],
    )  # fmt: skip
    def test_paths(self, service: Process, path: str, status: int) -> None:
        assert exchange(service, message("GET", path))[0][0] == status

    @pytest.mark.parametrize(
        "sent",
        [b"\x00\x01\x02\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"HELO x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
         b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", b"GET / HTTP/1.1\r\na b: c\r\n\r\n",
         b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
         b"\x16\x03\x01\x02\x00\x01"],
    )  # fmt: skip
    def test_what_is_not_http(self, service: Process, sent: bytes) -> None:
        assert exchange(service, sent)[0][0] == 400
        assert service.get("/health/live")[0] == 200

    def test_headers_without_end(self, service: Process) -> None:
        with service.connect() as connection, pytest.raises(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000_000)
        assert service.get("/health/live")[0] == 200

    def test_slow_and_idle_connections_keep_nobody_out(self, service: Process) -> None:
        slow_head = message("POST", "/v1/recommend", ASK)
        slow_body = slow_head[: slow_head.index(b"{") + 1]
        connections = [service.connect() for _ in range(1200)]
        try:
            for row, connection in enumerate(connections[:200]):
                connection.sendall(slow_body if row % 2 else slow_head[:1])
            took = []
            for letter in range(1, 4):
                for row, connection in enumerate(connections[:200]):
                    connection.sendall(b" " if row % 2 else slow_head[letter : letter + 1])
                start = time.monotonic()
                for _ in range(20):
                    assert service.post("/v1/recommend", ASK)[0] == 200
                took.append((time.monotonic() - start) / 20)
            assert min(took) < 0.1
            # Those who were slow are answered in the end.
            connections[0].sendall(slow_head[4:])
            connections[1].sendall(slow_head[len(slow_body) :].removesuffix(b"   "))
            assert Reader(connections[0]).answer()[0] == 200
        finally:
            for connection in connections:
                connection.close()

    def test_the_log_is_json_without_ids(self, service: Process) -> None:
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        service.get("/v1/sessions/secret-session", x_request_id="r-1", traceparent=trace)
        service.get("/v1/models", x_request_id="r-2", traceparent="secret-session")
        service.post("/v1/recommend", {**ASK, "consent": False}, x_request_id="r-3")
        service.get("/v1/models", x_request_id="r-4")
        service.wait_until(lambda: '"r-4"' in service.log.read_text(encoding="utf-8"))
        lines = {line["request_id"]: line for line in service.lines if "request_id" in line}
        assert lines["r-1"] | {"time": 0, "ms": 0} == {
            "time": 0, "level": "info", "message": "request", "request_id": "r-1", "traceparent": trace,
            "method": "GET", "route": "/v1/sessions/{session_id}", "status": 404, "ms": 0,
        }  # fmt: skip
        assert "traceparent" not in lines["r-2"]
        assert "r-3" not in lines
        assert "secret" not in service.log.read_text(encoding="utf-8")


@asynccontextmanager
async def listening(model: Path, folder: Path, **settings: Any) -> AsyncIterator[Any]:
    """A server in this process, so that its limits can be changed; yields a function that connects to it."""
    client = await serving({"popular": model}, memory_store(), folder, **settings)
    protocol.Connection.admission = client.app.admission
    config = uvicorn.Config(client.app, log_config=None, lifespan="off", http=protocol.Connection, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as found:
        address = found.getsockname()
        due = asyncio.Event()
        due.set()
        running = asyncio.create_task(_serve(server, found, due))
        async with asyncio.timeout(30):
            await asyncio.sleep(0.2)
            yield lambda: asyncio.open_connection(*address)
        server.should_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await running


def test_connections_end_in_time(popular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers have a time to come in, and so has the first request."""
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 0.6)

    async def ends(connect: Any, sent: bytes, more: bytes = b"") -> float:
        reader, writer = await connect()
        start = time.monotonic()
        writer.write(sent)
        reading = asyncio.create_task(reader.read())
        while not reading.done() and time.monotonic() - start < 3:
            await asyncio.wait([reading], timeout=0.1)
            writer.write(more)
        reading.cancel()
        writer.close()
        return time.monotonic() - start

    async def work() -> None:
        async with listening(popular, tmp_path) as connect:
            assert 0.25 < await ends(connect, b"GET /", b"x") < 2
            assert 0.5 < await ends(connect, b"") < 3
            # After a request, the time between two requests counts, which is longer.
            assert await ends(connect, message("GET", "/health/live")) > 2.5

    asyncio.run(work())


def test_overload_is_refused_before_it_is_parsed(
    popular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_WAIT", 0.0)
    monkeypatch.setattr(protocol, "_LEAST", 1)
    monkeypatch.setattr(protocol, "BURST", 1)
    monkeypatch.setattr(protocol, "_BURSTS", 0)

    async def statuses(reader: asyncio.StreamReader, count: int) -> list[int]:
        found = []
        for _ in range(count):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            found.append(int(head.split()[1]))
        return found

    async def work() -> None:
        async with listening(popular, tmp_path) as connect:
            ask, slow = message("POST", "/v1/recommend", ASK), []
            for _ in range(20):  # They wait for their clients, and count for nothing.
                _, writer = await connect()
                writer.write(ask[:-1])
                slow.append(writer)
            await asyncio.sleep(0.2)
            reader, writer = await connect()
            writer.write(ask)
            assert await statuses(reader, 1) == [200]
            monkeypatch.setattr(protocol, "_LEAST", 0)
            for status in (200, 503, 503):
                writer.write(ask)
                assert await statuses(reader, 1) == [status]
            writer.write(message("GET", "/health/live"))
            assert await statuses(reader, 1) == [200]
            writer.write(ask[:-1])  # What came in parts has been read already.
            await asyncio.sleep(0.1)
            writer.write(ask[-1:])
            assert await statuses(reader, 1) == [200]
            for one in [*slow, writer]:
                one.close()

    asyncio.run(work())


def test_trailers_are_not_kept(service: Process) -> None:
    """A client may send any number of them, also after the answer."""
    lines = b"".join(b"header-%d: value\r\n" % number for number in range(4000))
    with service.connect() as connection:
        reader = Reader(connection)
        head = message("POST", "/nothing").replace(b"content-length: 0", b"transfer-encoding: chunked")
        connection.sendall(head + b"1\r\nx\r\n")
        assert reader.answer()[0] == 404
        before = memory_of(service.worker)
        connection.sendall(b"0\r\n")
        for _ in range(200):
            connection.sendall(lines)
        connection.sendall(b"\r\n" + message("GET", "/health/live"))
        assert reader.answer()[0] == 200
        assert memory_of(service.worker) - before < 20


def memory_of(process: int) -> float:
    """Return the memory of a process in MiB."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


async def go_on(writer: asyncio.StreamWriter) -> None:
    for _ in range(100):
        await asyncio.sleep(0.1)
        writer.write(b" ")
        await writer.drain()


def test_a_client_that_takes_no_answer_is_left(popular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.3)
    batch = message("POST", "/v1/recommend/batch", {"requests": [{"items": ["104"], "k": 30}] * 256})

    async def work() -> None:
        async with listening(popular, tmp_path) as connect:
            reader, writer = await connect()
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(200):
                writer.write(batch)
            with pytest.raises(ConnectionError):
                await go_on(writer)

    asyncio.run(work())


def test_a_batch_does_not_keep_others_waiting(popular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other requests are answered between the requests of a batch, and its deadline holds."""
    recommend = Service.recommend

    async def slow(*given: Any, **named: Any) -> Any:
        time.sleep(0.004)
        return await recommend(*given, **named)

    monkeypatch.setattr(Service, "recommend", slow)

    async def work() -> None:
        async with listening(popular, tmp_path, deadline=0.6) as connect:
            reader, writer = await connect()
            start = time.monotonic()
            writer.write(message("POST", "/v1/recommend/batch", {"requests": [ASK] * 256}))
            other, asking = await connect()
            asking.write(message("GET", "/health/live"))
            await other.readuntil(b"}")
            assert time.monotonic() - start < 1
            assert b" 504 " in await reader.readline()
            writer.close()
            asking.close()

    asyncio.run(work())
