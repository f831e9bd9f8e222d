"""A process that answers requests: started by the supervisor, which holds the socket.

python -m segue.serving.worker   (settings as JSON on the standard input)
"""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import torch
import uvicorn

from segue.errors import SegueError
from segue.printable import visible
from segue.serving.access import Tokens
from segue.serving.app import App
from segue.serving.journal import Journal
from segue.serving.messages import Refused
from segue.serving.models import ModelSet
from segue.serving.protocol import Connection
from segue.serving.secrets import KeyedHash
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.stores import DAY, Lifetimes, SessionStore, SteadyClock
from segue.serving.stores.local import MemoryStore
from segue.serving.stores.sqlite import SQLiteStore
from segue.serving.telemetry import Telemetry

SOCKET = "SEGUE_SERVE_SOCKET"
"""Variable with the file descriptor of the socket."""

TOKENS = "SEGUE_TOKENS"
"""Variable with tokens, in place of a file."""

CONFIGURATION = 2
"""Exit code for what no restart mends."""

_STOP_SECONDS = 10

logger = logging.getLogger("segue.serving")


class JSONFormatter(logging.Formatter):
    """Writes a log line as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": visible(record.getMessage()),
        }
        for name in ("request_id", "traceparent", "method", "route", "status", "ms"):
            if (value := getattr(record, name, "")) != "":
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def tokens_of(settings: ServeSettings) -> Tokens:
    """Return the tokens of a file or of the environment; none if there are none.

    Raises:
        ParameterError: they are not tokens.
    """
    if settings.tokens is not None:
        return Tokens.read(settings.tokens)
    return Tokens.parse(os.environ.get(TOKENS, ""), TOKENS)


def lifetimes_of(settings: ServeSettings, gaps: list[int]) -> Lifetimes:
    """Return how long sessions live: as set, else for the longest session gap of a protocol, else 30 days."""
    seconds = 60 * settings.session_minutes if settings.session_minutes is not None else max(gaps, default=0) / 1000
    seconds = seconds or 30 * DAY
    return Lifetimes(seconds, DAY, max(seconds, DAY))


def open_store(settings: ServeSettings, lifetimes: Lifetimes) -> SessionStore:
    """Return the store of the settings, not yet open.

    Raises:
        SegueError: it cannot be used.
    """
    hashed = KeyedHash.of(settings.state / "key")
    journal = Journal(settings.state, settings.retention_days) if settings.journal else None
    if settings.store_kind == "memory":
        return MemoryStore(lifetimes, settings.memory_events, hashed, journal, SteadyClock(), settings.journal_seconds)
    if settings.store_kind == "sqlite":
        file = settings.state / "sessions.sqlite"
        return SQLiteStore(
            file, lifetimes, settings.memory_events, hashed, journal, SteadyClock(), settings.journal_seconds
        )
    from segue.serving.stores.redis import RedisStore  # noqa: PLC0415 (only this store needs the package)

    return RedisStore(settings.store, lifetimes, hashed, journal, SteadyClock(), settings.journal_seconds)


class Worker:
    """The process: it loads the models, opens the store, answers, and stops in order.

    Args:
        settings: the settings.
        listening: the socket.
    """

    def __init__(self, settings: ServeSettings, listening: socket.socket) -> None:
        self.settings, self._socket = settings, listening
        self.telemetry = Telemetry()
        self.app = App(settings, self.telemetry, tokens_of(settings))
        self.models = ModelSet(settings.models, settings.default, ThreadPoolExecutor(1, "segue-model"), self.telemetry)
        self._exit_code = 0

    async def run(self) -> int:
        """Serve until a signal comes; return the exit code."""
        Connection.admission = self.app.admission
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="uvloop",
            http=Connection,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_all)
        serving = asyncio.create_task(_serve(server, self._socket))
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({starting, stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            if starting in done:
                starting.result()
                await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        except SegueError as error:
            sys.stderr.write(f"error: {visible(str(error))}\n")
            self._exit_code = CONFIGURATION
        self.app.stopping = True
        if stop.is_set():
            await asyncio.sleep(self.settings.drain)
        server.should_exit = True
        starting.cancel()
        await serving
        if self.app.service is not None:
            await self.app.service.store.close()
        return self._exit_code

    async def _start(self) -> None:
        """Load the models and open the store; until then, requests are answered with 503."""
        for name in self.settings.models:
            try:
                await asyncio.to_thread(self.models.load, name)
            except Refused as refused:
                raise SegueError(refused.detail) from refused
        gaps = [gap for ranker in self.models.rankers.values() if (gap := ranker.served.rules.gap) is not None]
        store = open_store(self.settings, lifetimes_of(self.settings, gaps))
        await store.open()
        self.telemetry.gauge("segue_store_lag_seconds", "Age of the oldest event not committed.", lambda: store.lag)
        gc.collect()
        gc.freeze()  # What is there now stays; collections need not look at it again.
        self.app.service = Service(self.models, store, self.telemetry)
        logger.info("ready: %s", ", ".join(self.settings.models))

    def _reload_all(self) -> None:
        def reload() -> None:
            for name in self.settings.models:
                with suppress(Refused):
                    self.models.load(name)

        threading.Thread(target=reload, name="segue-reload", daemon=True).start()


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """Run a server on a socket, without its handlers of signals."""
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[listening])
    await server.main_loop()
    await server.shutdown(sockets=[listening])


def main() -> None:
    """Read the settings and serve."""
    settings = ServeSettings.model_validate_json(sys.stdin.buffer.read())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_grad_enabled(mode=False)
    listening = socket.socket(fileno=int(os.environ[SOCKET]))
    import uvloop  # noqa: PLC0415

    try:
        worker = Worker(settings, listening)
        code = uvloop.run(worker.run())
    except SegueError as error:
        sys.stderr.write(f"error: {visible(str(error))}\n")
        code = CONFIGURATION
    sys.exit(code)


if __name__ == "__main__":
    main()
