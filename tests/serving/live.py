"""A service without a socket, and the client that calls it."""

import asyncio
import json
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from segue.models.registry import BUILT_IN, COMPOSED
from segue.serving.catalogue.catalogue import Catalogue
from segue.serving.catalogue.merchandise import Merchandise
from segue.serving.catalogue.rules_file import RulesFile
from segue.serving.experiments import experiments_of
from segue.serving.http.access import Tokens
from segue.serving.http.app import App
from segue.serving.models import ModelSet
from segue.serving.secrets import KeyedHash
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.stores import Lifetimes, SessionStore
from segue.serving.stores.local import MemoryStore
from segue.serving.telemetry import Telemetry

START = 1_700_000_000
NOW = START + 10_000_000
FOLDERS = TemporaryDirectory()
MODELS = [name for name in BUILT_IN if name not in COMPOSED] + sorted(COMPOSED)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls an application as a server would, without a socket."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(
        self,
        method: str,
        path: str,
        content: Any = None,
        headers: dict[str, str] | None = None,
        *,
        raw: bytes | None = None,
        slow: bool = False,
    ) -> Answer:
        body = raw if raw is not None else b"" if content is None else json.dumps(content).encode()
        path, _, query = path.partition("?")
        given = {"host": "127.0.0.1:8000", "content-length": str(len(body))}
        if body:
            given["content-type"] = "application/json"
        given |= headers or {}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if slow:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        names = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(one.get("body", b"") for one in sent[1:]))

    async def post(self, path: str, content: Any, status: int = 200) -> Any:
        answer = await self("POST", path, content)
        assert answer.status == status, answer.body
        return answer.json


def memory_store(lifetimes: Lifetimes | None = None, **changes: Any) -> MemoryStore:
    given = {"journal": None, "clock": lambda: float(NOW), **changes}
    folder = Path(FOLDERS.name, uuid.uuid4().hex)
    return MemoryStore(folder, lifetimes or Lifetimes(), 1_000_000, KeyedHash(b"k" * 32), **given)


async def serving(models: dict[str, Path], store: SessionStore, tmp_path: Path, **settings: Any) -> Client:
    """Return the client of a service whose store is open."""
    settings.setdefault("deadline", 60.0)  # A busy machine is no failure.
    tokens = settings.pop("tokens", Tokens({}))
    clock = settings.pop("clock", lambda: float(NOW))
    chosen = ServeSettings(models=models, default=next(iter(models)), state=tmp_path, **settings)
    telemetry = Telemetry()
    app = App(chosen, telemetry, tokens)
    merchandise = Merchandise(RulesFile(chosen.rules), Catalogue(tmp_path), lambda: int(clock() * 1000))
    merchandise.load()
    found = ModelSet(models, chosen.default, ThreadPoolExecutor(1), telemetry, merchandise, search=chosen.search)
    for name in models:
        await asyncio.to_thread(found.load, name)
    await store.open()
    app.service = Service(found, store, telemetry, clock, experiments_of(chosen))
    return Client(app)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def problem(answer: Answer, status: int, name: str) -> dict[str, Any]:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer
    found = answer.json
    assert (found["status"], found["type"]) == (status, f"/problems/{name}")
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


def pointers(answer: Answer) -> dict[str, str]:
    return {one["pointer"]: one["detail"] for one in problem(answer, 422, "invalid-request")["errors"]}
