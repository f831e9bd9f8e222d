"""The service as a process: HTTP as it comes over a socket, its start, its end, and what happens in between."""

import asyncio
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from live import memory_store, serving
from processes import Process, Reader, environment, message

from segue.serving import protocol
from segue.serving.worker import _serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at the processes of Linux")

ASK = {"items": ["104"], "k": 3}
TOKEN = "read-0123456789abcdef"


@pytest.fixture(scope="module")
def popular(artifact: Callable[..., Path]) -> Path:
    return artifact("popularity")


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
async def listening(model: Path, folder: Path) -> AsyncIterator[Any]:
    """A server in this process, so that its limits can be changed; yields a function that connects to it."""
    client = await serving({"popular": model}, memory_store(), folder)
    protocol.Connection.admission = client.app.admission
    config = uvicorn.Config(client.app, log_config=None, lifespan="off", http=protocol.Connection, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as found:
        address = found.getsockname()
        running = asyncio.create_task(_serve(server, found))
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
            writer.write(ask)
            assert await statuses(reader, 1) == [503]
            writer.write(message("GET", "/health/live"))
            assert await statuses(reader, 1) == [200]
            writer.write(ask[:-1])  # What came in parts has been read already.
            await asyncio.sleep(0.1)
            writer.write(ask[-1:])
            assert await statuses(reader, 1) == [200]
            for one in [*slow, writer]:
                one.close()

    asyncio.run(work())


class TestLife:
    def test_a_killed_worker(self, popular: Path, tmp_path: Path) -> None:
        """Callers wait until there is another one, and sessions are still there."""
        with Process(tmp_path, [popular]) as process:
            events = {"events": [{"session_id": "s", "item": "104", "event_id": "e"}], "durable": True}
            assert process.post("/v1/events", events)[0] == 200
            killed = process.worker
            os.kill(killed, signal.SIGKILL)
            # A request on a connection of the worker that ended fails; new ones wait.
            process.wait_until(lambda: process.post("/v1/recommend", ASK)[0] == 200)
            assert process.worker != killed
            assert process.post("/v1/events", events)[1]["results"][0]["status"] == "duplicate"
            assert any("it is started again" in line["message"] for line in process.lines)

    def test_sigterm_under_load(self, popular: Path, tmp_path: Path) -> None:
        """What was sent is answered, ready is not, and what was accepted is there after the next start."""
        accepted: list[str] = []
        wrong: list[str] = []
        stopped = threading.Event()

        def ask(caller: int, process: Process) -> None:
            count = 0
            while not stopped.is_set():
                try:
                    connection = process.connect()
                except OSError:
                    return
                with connection:
                    reader = Reader(connection)
                    for _ in range(50):
                        session = f"{caller}-{count}"
                        count += 1
                        body = {"session_id": session, "append": [{"item": "104"}]}
                        try:
                            connection.sendall(message("POST", "/v1/recommend", body))
                            status, headers, _ = reader.answer()
                        except OSError:
                            if not stopped.is_set():
                                late.append(time.monotonic())
                            break
                        if status == 200:
                            accepted.append(session)
                        else:
                            wrong.append(str(status))
                        if headers.get("connection") == "close":
                            closed.append(caller)
                            break

        late: list[float] = []
        closed: list[int] = []
        with Process(tmp_path, [popular], "--drain", "1") as process:
            threads = [threading.Thread(target=ask, args=(caller, process)) for caller in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            start = time.monotonic()
            process.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert process.get("/health/ready") == (503, {"status": "stopping", "problems": []})
            assert process.process.wait(20) == 0
            took = time.monotonic() - start
            stopped.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert took < 10
        assert closed
        # A connection can be made at the very moment in which the socket is closed: it gets no answer at all.
        assert all(moment - start > 1 for moment in late), [moment - start for moment in late]
        assert len(accepted) > 10
        with Process(tmp_path, [popular]) as process:
            for session in accepted[-20:]:
                assert process.get(f"/v1/sessions/{session}")[0] == 200, session

    def test_sighup_loads_models_and_tokens_again(
        self, popular: Path, artifact: Callable[..., Path], tmp_path: Path
    ) -> None:
        model, tokens = tmp_path / "model", tmp_path / "tokens.txt"
        shutil.copytree(popular, model)
        tokens.write_text(f"read,write {TOKEN}\n", encoding="utf-8")
        with Process(tmp_path, [model], "--tokens", str(tokens)) as process:
            seen = {"authorization": f"Bearer {TOKEN}"}
            before = process.get("/v1/models", **seen)[1]["models"][0]
            assert before["model"] == "popularity"
            assert process.get("/v1/models")[0] == 401
            shutil.rmtree(model)
            shutil.copytree(artifact("markov"), model)
            other = TOKEN[::-1]
            tokens.write_text(f"read {other}\n", encoding="utf-8")
            process.process.send_signal(signal.SIGHUP)
            seen = {"authorization": f"Bearer {other}"}
            process.wait_until(lambda: process.get("/v1/models", **seen)[0] == 200)
            process.wait_until(lambda: process.get("/v1/models", **seen)[1]["models"][0]["model"] == "markov")
            assert process.get("/v1/models", authorization=f"Bearer {TOKEN}")[0] == 401
            tokens.write_text("read short\n", encoding="utf-8")
            (model / "manifest.json").unlink(missing_ok=True)
            process.process.send_signal(signal.SIGHUP)
            process.wait_until(lambda: any("the tokens were not loaded" in line["message"] for line in process.lines))
            process.wait_until(lambda: process.get("/health/ready", **seen)[1]["problems"] != [])
            assert process.post("/v1/recommend", ASK, **seen)[0] == 200
            log = process.log.read_text(encoding="utf-8")
            assert TOKEN not in log
            assert other not in log

    def test_ctrl_c_and_closed_streams(self, popular: Path, tmp_path: Path) -> None:
        """Descriptors 1 and 2 are closed, so that the socket might get their numbers."""
        port = _free_port()
        words = ["-m", "segue", "serve", str(popular), "--port", str(port), "--state", str(tmp_path / "state")]
        closed = subprocess.Popen(["/bin/sh", "-c", f'exec "{sys.executable}" "$@" >&- 2>&-', "sh", *words])
        process = Process.__new__(Process)
        process.process, process.port, process.log = closed, port, Path(os.devnull)
        try:
            process.wait_until(lambda: process.get("/health/ready")[0] == 200)
            assert process.post("/v1/recommend", ASK)[0] == 200
            closed.send_signal(signal.SIGINT)
            assert closed.wait(20) == 0
        finally:
            closed.kill()

    def test_a_worker_ends_with_its_parent(self, popular: Path, tmp_path: Path) -> None:
        with Process(tmp_path, [popular]) as process:
            worker = process.worker
            process.process.kill()
            process.process.wait()
            process.wait_until(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker), 20)

    def test_ipv6(self, popular: Path, tmp_path: Path) -> None:
        if not socket.has_ipv6 or not _can_bind("::1"):
            pytest.skip("no IPv6")
        process = Process(tmp_path, [popular], "--host", "::1")
        process.connect = lambda timeout=60: socket.create_connection(("::1", process.port), timeout)  # type: ignore[method-assign]
        with process:
            assert process.get("/health/live", host=f"[::1]:{process.port}")[0] == 200
            assert process.get("/health/live", host="evil.example")[0] == 403


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"


def _can_bind(host: str) -> bool:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class TestMistakes:
    """Each ends the process with code 2 and one message, and none is tried again and again."""

    def ends(self, tmp_path: Path, models: list[Path], *options: str, **variables: str) -> str:
        process = Process(tmp_path, models, *options, env=environment(**variables))
        assert process.process.wait(120) == 2
        errors = [line for line in process.log.read_text(encoding="utf-8").splitlines() if not line.startswith("{")]
        assert "Traceback" not in "\n".join(errors)
        assert len([line for line in errors if line.startswith("error: ")]) == 1, errors
        return "\n".join(errors)

    @pytest.fixture
    def taken(self) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            yield str(taken.getsockname()[1])

    def test_before_it_listens(self, popular: Path, tmp_path: Path, taken: str) -> None:
        file = tmp_path / "tokens.txt"
        file.write_text("read short", encoding="utf-8")
        missing = tmp_path / "nothing"
        for says, options in {
            "at least 16 ASCII characters": ["--tokens", str(file)],
            f"cannot listen on 127.0.0.1:{taken} (Address already in use)": ["--port", taken],
            "must be 1 with --store sqlite": ["--workers", "2"],
            "so it needs tokens": ["--host", "0.0.0.0"],
            "unknown model 'nobody'": ["--model", "nobody"],
            "cors_origin": ["--cors-origin", "https://shop.example/"],
        }.items():
            assert says in self.ends(tmp_path, [popular], *options), says
            (tmp_path / "log.jsonl").unlink()
        assert "is neither a model nor a run" in self.ends(tmp_path, [missing])

    def test_a_damaged_model(self, popular: Path, tmp_path: Path) -> None:
        model = tmp_path / "model"
        shutil.copytree(popular, model)
        arrays = max((file for file in model.rglob("*") if file.is_file() and file.suffix != ".json"), key=_size)
        arrays.write_bytes(b"x" * _size(arrays))
        assert "model" in self.ends(tmp_path, [model])

    def test_a_state_folder_that_cannot_be_used(self, popular: Path, tmp_path: Path) -> None:
        state = tmp_path / "state"
        state.mkdir()
        (state / "sessions.sqlite").write_bytes(b"not a database " * 1000)
        assert "sessions.sqlite" in self.ends(tmp_path, [popular])


def _size(file: Path) -> int:
    return file.stat().st_size
