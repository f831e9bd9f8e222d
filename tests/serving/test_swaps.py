"""Models are replaced under load: nobody notices but by the version in the answer."""

import asyncio
import errno
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from live import memory_store, problem, run, serving

import segue
from segue.artifact import Artifact
from segue.models.registry import model_class
from segue.serving.models import load_model
from segue.serving.served_model import ServedModel
from segue.serving.settings import ServeSettings
from segue.serving.worker import Worker


@pytest.fixture(scope="module")
def artifacts(artifact: Callable[..., Path], log: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models of different catalogues and a damaged one."""
    folder = tmp_path_factory.mktemp("other")
    other = log.with_columns((pl.col("item").cast(pl.Int64) + 10).cast(pl.String))
    other.write_csv(folder / "clicks.csv")
    data = segue.prepare(segue.read(folder / "clicks.csv"))
    saved = model_class("markov")().fit(data.train, seed=0).save(folder / "markov")
    damaged = folder / "damaged"
    shutil.copytree(saved, damaged)
    arrays = max((file for file in damaged.rglob("*") if file.suffix != ".json"), key=lambda file: file.stat().st_size)
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    return [artifact("markov"), saved, damaged]


@pytest.mark.parametrize("swaps", [10, pytest.param(200, marks=pytest.mark.soak)])
def test_swaps_under_load(artifacts: list[Path], tmp_path: Path, swaps: int) -> None:
    """Every second swap brings another catalogue, and every fifth a damaged model."""
    model = tmp_path / "markov"
    shutil.copytree(artifacts[0], model)
    catalogues = [{str(item) for item in range(first, first + 30)} for first in (100, 110)]
    seen: dict[str, set[str]] = {}
    catalogue_of: dict[str, set[str]] = {}

    def put(artifact: Path) -> None:
        shutil.rmtree(model)
        shutil.copytree(artifact, model)

    async def work() -> None:
        client = await serving({"markov": model}, memory_store(), tmp_path)
        done = asyncio.Event()

        async def current() -> str:
            models = (await client("GET", "/v1/models")).json["models"]
            return str(models[0]["version"])

        async def ask(caller: int) -> int:
            count = 0
            while not done.is_set():
                count += 1
                item = str(100 + (caller + count) % 40)
                content: Any = {"session_id": f"s{caller}", "append": [{"item": item}], "k": 30}
                if count % 3 == 0:
                    content = {"items": [item, "129"], "k": 30, "exclude": ["115"], "exclude_seen": True}
                answer = await client("POST", "/v1/recommend", content)
                assert answer.status == 200, answer
                seen.setdefault(answer.json["version"], set()).update(one["item"] for one in answer.json["items"])
                if count % 7 == 0:
                    page = (await client("GET", "/v1/items?limit=20")).json
                    more = await client("GET", f"/v1/items?limit=20&cursor={page['cursor']}")
                    assert (more.status, len(more.json["items"])) == (200, 10)
                    similar = await client("GET", "/v1/items/120/similar?k=5")
                    assert (similar.status, len(similar.json["items"])) == (200, 5)
                await asyncio.sleep(0)
            return count

        catalogue_of[await current()] = catalogues[0]
        callers = [asyncio.create_task(ask(caller)) for caller in range(8)]
        for swap in range(1, swaps + 1):
            damaged = swap % 5 == 0
            which = swap % 2
            await asyncio.to_thread(put, artifacts[2] if damaged else artifacts[which])
            before = await current()
            answer = await client("POST", "/v1/models/markov/reload")
            assert answer.status == (409 if damaged else 200), answer
            if damaged:
                assert await current() == before
                assert (await client("GET", "/health/ready")).json["problems"] != []
            else:
                catalogue_of[answer.json["version"]] = catalogues[which]
                assert (await client("GET", "/health/ready")).json["problems"] == []
            await asyncio.sleep(0.01)
        done.set()
        assert min(await asyncio.gather(*callers)) > swaps

    run(work())
    assert len(seen) == 2
    for version, items in seen.items():
        assert items <= catalogue_of[version]
        assert len(items) > 20


def test_the_version_is_that_of_the_model(
    artifacts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the folder is replaced just before it is read."""
    model = tmp_path / "markov"
    shutil.copytree(artifacts[0], model)
    versions = [load_model("m", folder).version for folder in artifacts[:2]]
    assert versions[0] != versions[1]
    read = Artifact.read

    def replaced(path: Path) -> Artifact:
        shutil.rmtree(model)
        shutil.copytree(artifacts[1], model)
        return read(path)

    monkeypatch.setattr(Artifact, "read", replaced)
    assert load_model("m", model).version == versions[1]


def test_a_folder_that_cannot_be_read_is_refused(
    artifacts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads any file, so the error is raised here."""

    async def work() -> None:
        client = await serving({"markov": artifacts[0]}, memory_store(), tmp_path)

        def forbidden(path: Path) -> Artifact:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(Artifact, "read", forbidden)
        answer = await client("POST", "/v1/models/markov/reload")
        assert "Permission denied" in problem(answer, 409, "reload-refused")["detail"]
        assert "Permission denied" in (await client("GET", "/health/ready")).json["problems"][0]

    run(work())


def test_no_sighup_is_lost(artifacts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that come while a model is loaded, one more load is made, which finds what is there by then."""
    loading, go_on = threading.Event(), threading.Semaphore(0)
    loads: list[str] = []

    def slow(name: str, folder: Path, search: str) -> ServedModel:
        served = load_model(name, folder, search)
        loads.append(served.version)
        loading.set()
        assert go_on.acquire(timeout=60)
        return served

    monkeypatch.setattr("segue.serving.models.load_model", slow)
    model = tmp_path / "markov"
    shutil.copytree(artifacts[0], model)
    settings = ServeSettings(models={"markov": model}, default="markov", state=tmp_path)
    with socket.socket() as listening:
        worker = Worker(settings, listening)
    threading.Thread(target=worker._reload_models, daemon=True).start()
    first = threading.Thread(target=worker.models.load, args=("markov",))
    first.start()
    assert loading.wait(60)
    shutil.rmtree(model)
    shutil.copytree(artifacts[1], model)
    worker._reload_all()
    worker._reload_all()
    go_on.release(10)
    first.join(60)
    end = time.monotonic() + 60
    version = load_model("m", artifacts[1]).version
    while worker.models.ranker(None).served.version != version:
        assert time.monotonic() < end, loads
        time.sleep(0.01)
    assert loads[0] != version
    assert set(loads[1:]) == {version}
