"""A Redis server of the tests."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis


class RedisServer:
    """A server on a free port, without a file unless options say otherwise."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.port = 65535
        while self.port > 55535:  # The nodes of a cluster talk on the port above by 10,000.
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", *options),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return
        self.stop()
        raise AssertionError("redis-server does not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def advance(self, seconds: float) -> None:
        """Let time pass for all keys."""
        with self.client() as client:
            for key in client.scan_iter():
                left = client.pttl(key)
                if left >= 0:
                    left -= round(1000 * seconds)
                    client.pexpire(key, left) if left > 0 else client.delete(key)


@contextmanager
def redis_server(folder: Path, options: Sequence[str] = ()) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(folder, options)
    try:
        yield server
    finally:
        server.stop()
