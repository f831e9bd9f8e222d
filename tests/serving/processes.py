"""`segue serve` as users start it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Process:
    """A service with its log in a file; it is stopped at the end of the block."""

    def __init__(self, folder: Path, models: Sequence[Path], *options: str, **given: Any) -> None:
        self.log, self._out = folder / "log.jsonl", folder / "out.txt"
        state = [] if "--state" in options else ["--state", str(folder / "state")]
        command = [sys.executable, "-m", "segue", "serve", *map(str, models), "--port", "0", *state, *options]
        with self.log.open("ab") as log, self._out.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=log, **given)
        self.port = 0

    def __enter__(self) -> "Process":
        self.wait_until(self._listens)
        self.wait_until(lambda: self.get("/health/ready")[0] == 200)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        found = re.search(r"http://\S+:(\d+)", self._out.read_text(encoding="utf-8"))
        self.port = int(found[1]) if found else 0
        return bool(found)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    @property
    def worker(self) -> int:
        """The process that answers."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(path.read_text(encoding="ascii").split()[0])

    def wait_until(self, condition: Any, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not _holds(condition):
            assert time.monotonic() < end, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)

    def connect(self, timeout: float = 60) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        return self.request("GET", path, None, **headers)

    def post(self, path: str, content: Any, **headers: str) -> tuple[int, Any]:
        return self.request("POST", path, content, **headers)

    def request(self, method: str, path: str, content: Any, **headers: str) -> tuple[int, Any]:
        with self.connect() as connection:
            connection.sendall(message(method, path, content, connection="close", **headers))
            status, _, body = Reader(connection).answer(method)
        return status, json.loads(body) if body else None


def _holds(condition: Any) -> bool:
    try:
        return bool(condition())
    except OSError:
        return False


def message(method: str, path: str, content: Any = None, **headers: str) -> bytes:
    body = b"" if content is None else json.dumps(content).encode()
    given = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
    given |= {"content-type": "application/json"} if body else {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Reader:
    """Reads answers from a connection, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def answer(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        first = self._file.readline()
        if not first:
            raise ConnectionResetError("the connection ended")
        headers: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        body = self._file.read(length)
        assert len(body) == length, "the answer is not complete"
        return int(first.split()[1]), headers, body

    def at_end(self) -> bool:
        return not self._file.read(1)


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, **changes}
