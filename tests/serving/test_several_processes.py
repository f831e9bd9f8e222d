"""The processes of a service share a port: none answers that it is starting while another one is ready."""

import asyncio
import gc
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import Process, Reader, message
from redis_server import redis_server

from segue.serving.models import ModelSet
from segue.serving.settings import ServeSettings
from segue.serving.supervisor import WAITS, Supervisor
from segue.serving.worker import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at the processes of Linux")


class Started:
    """Stands for a worker."""

    def __init__(self, *_: object, env: dict[str, str], **__: object) -> None:
        self.waits, self.stdin = env[WAITS], io.BytesIO()


def test_a_process_waits_only_beside_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is alone, it says that it is starting."""
    monkeypatch.setattr(subprocess, "Popen", Started)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    settings = ServeSettings(models={"m": tmp_path}, default="m", state=tmp_path, store="redis://localhost", workers=2)
    with socket.socket() as listening:
        supervisor = Supervisor(settings, listening)
        for number in (1, 2):
            supervisor._start()
            assert len(supervisor._workers) == number
        first, second = supervisor._workers
        del supervisor._workers[first]
        supervisor._start()
        *_, third = supervisor._workers
        supervisor._workers.clear()
        supervisor._start()
        (alone,) = supervisor._workers
    assert [one.waits for one in (first, second, third, alone)] == ["", "1", "1", ""]


@pytest.mark.parametrize(("waits", "stopped"), [(False, False), (True, False), (True, True)])
def test_when_a_process_listens(
    popular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool, stopped: bool
) -> None:
    go_on, load = threading.Event(), ModelSet.load

    def slow(self: ModelSet, name: str) -> object:
        assert go_on.wait(60)
        return load(self, name)

    monkeypatch.setattr(ModelSet, "load", slow)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    settings = ServeSettings(models={"m": popular}, default="m", state=tmp_path, store="memory", drain=0, page=False)

    def ask(address: tuple[str, int]) -> int:
        with socket.create_connection(address, 60) as connection:
            connection.sendall(message("GET", "/v1/models", connection="close"))
            try:
                return Reader(connection).answer()[0]
            except OSError:
                return 0

    async def work(listening: socket.socket, end: int) -> int:
        worker = Worker(settings, listening, waits=waits)
        running = asyncio.create_task(worker.run())
        with ThreadPoolExecutor(1) as pool:
            asked = asyncio.get_running_loop().run_in_executor(pool, ask, listening.getsockname())
            done, _ = await asyncio.wait([asked], timeout=0.5)
            assert bool(done) == (not waits)
            if stopped:
                os.close(end)
                code = await running
                listening.close()
            go_on.set()
            assert await asked == (0 if stopped else 200 if waits else 503)
            if not stopped:
                os.close(end)
                code = await running
            return code

    read, write = os.pipe()
    with os.fdopen(read) as parent, socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(sys, "stdin", parent)
        assert asyncio.run(work(listening, write)) == 0


@pytest.mark.soak
def test_a_process_of_two_is_killed(popular: Path, tmp_path: Path) -> None:
    """Nobody notices."""
    with (
        redis_server(tmp_path) as server,
        Process(tmp_path, [popular], "--store", server.url, "--workers", "2") as process,
    ):

        def ready() -> int:
            return sum(line["message"].startswith("ready") for line in process.lines)

        process.wait_until(lambda: ready() == 2)
        os.kill(process.worker, signal.SIGKILL)
        statuses = [process.post("/v1/recommend", {"items": ["104"], "k": 3})[0]]
        while ready() < 3:
            statuses.append(process.post("/v1/recommend", {"items": ["104"], "k": 3})[0])
        assert statuses == [200] * len(statuses)


@pytest.mark.soak
def test_a_model_is_loaded_again_in_every_process(artifact: Callable[..., Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(artifact("markov"), model)
    with (
        redis_server(tmp_path) as server,
        Process(tmp_path, [model], "--store", server.url, "--workers", "2") as process,
    ):

        def versions() -> set[str]:
            return {process.get("/v1/models")[1]["models"][0]["version"] for _ in range(30)}

        process.wait_until(lambda: sum(line["message"].startswith("ready") for line in process.lines) == 2)
        (before,) = versions()
        shutil.rmtree(model)
        shutil.copytree(artifact("popularity"), model)
        status, answer = process.post("/v1/models/model/reload", None)
        assert (status, answer["version"] != before) == (200, True)
        process.wait_until(lambda: versions() == {answer["version"]})
