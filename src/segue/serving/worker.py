"""A process that answers requests: started by the supervisor, which holds the socket.

python -m segue.serving.worker   (settings as JSON on the standard input)
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import torch
import uvicorn

from segue.errors import SegueError
from segue.serving.catalogue.catalogue import Catalogue
from segue.serving.catalogue.merchandise import Merchandise
from segue.serving.catalogue.rules_file import RulesFile
from segue.serving.experiments import experiments_of
from segue.serving.http.access import Tokens
from segue.serving.http.app import App
from segue.serving.http.protocol import IDLE_SECONDS, Connection
from segue.serving.http.tracing import Tracing
from segue.serving.journal import Journal
from segue.serving.logs import report, start_logging
from segue.serving.models import ModelSet
from segue.serving.page import Page
from segue.serving.schema.messages import Refused
from segue.serving.secrets import KeyedHash
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.stores import DAY, Lifetimes, SessionStore, SteadyClock
from segue.serving.stores.local import MemoryStore
from segue.serving.stores.sqlite import SQLiteStore
from segue.serving.supervisor import CONFIGURATION, SOCKET, WAITS
from segue.serving.telemetry import Telemetry
from segue.serving.versions import Versions

TOKENS = "SEGUE_TOKENS"
"""Variable with tokens, in place of a file."""

_STOP_SECONDS = 8.0
"""Time to stop: what is left after the drain is for requests under way."""

_WATCH_SECONDS = 1.0
"""Time between two looks at the files that are read again when they change."""

_MAX_FILES = 65_536
"""Open files, and so connections, that a process asks for."""

logger = logging.getLogger("segue.serving")


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
    seconds = settings.journal_seconds
    if settings.store_kind != "redis":
        kind = MemoryStore if settings.store_kind == "memory" else SQLiteStore
        return kind(settings.state, lifetimes, settings.memory_events, hashed, journal, SteadyClock(), seconds)
    from segue.serving.stores.redis import RedisStore  # noqa: PLC0415 (only this store needs the package)

    return RedisStore(settings.store, lifetimes, hashed, journal, seconds)


class Worker:
    """The process: it loads the models, opens the store, answers, and stops in order.

    Args:
        settings: the settings.
        listening: the socket.
        waits: whether it listens only when it is ready; else it answers 503 until then.
    """

    def __init__(self, settings: ServeSettings, listening: socket.socket, *, waits: bool = False) -> None:
        self.settings, self._socket, self._due = settings, listening, asyncio.Event()
        if not waits:
            self._due.set()
        self.telemetry = Telemetry()
        page = Page(settings, self.telemetry) if settings.page else None
        self.app = App(settings, self.telemetry, tokens_of(settings), () if page is None else page.operations)
        self.app.tracing = Tracing.of_environment()
        self.experiments = experiments_of(settings)
        self.merchandise = Merchandise(
            RulesFile(settings.rules), Catalogue(settings.state), lambda: int(time.time() * 1000)
        )
        versions = None if settings.update_every is None else Versions(settings.state, settings.models)
        pool = ThreadPoolExecutor(1, "segue-model")
        self.models = ModelSet(
            settings.models, settings.default, pool, self.telemetry, self.merchandise, versions, settings.search
        )
        if page is not None:
            self.models.replaced = page.replaced
        if versions is not None:
            text = "Models whose last update was refused or failed, or with a damaged version."
            self.telemetry.gauge("segue_updates_refused", text, lambda: len(versions.warnings()))
        if settings.workers > 1:
            self.models.announce = lambda: os.kill(os.getppid(), signal.SIGHUP)  # The supervisor passes it on to all.
        self._exit_code = 0
        self._asked, self._rules_asked = threading.Event(), threading.Event()

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
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=max(1, int(_STOP_SECONDS - self.settings.drain)),
        )
        server = uvicorn.Server(config)
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_all)
        loop.add_reader(sys.stdin.fileno(), stop.set)  # It ends with the supervisor.
        serving = asyncio.create_task(_serve(server, self._socket, self._due))
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({starting, stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            if starting in done:
                starting.result()
                await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        except SegueError as error:
            report(error)
            self._exit_code = CONFIGURATION
        self.app.stopping = True
        loop.remove_reader(sys.stdin.fileno())
        if stop.is_set() and self.app.service is not None:
            await asyncio.sleep(self.settings.drain)
        server.should_exit = True
        self._due.set()
        starting.cancel()
        await serving
        if self.app.service is not None:
            await self.app.service.store.close()
        if self.app.tracing is not None:
            await asyncio.to_thread(self.app.tracing.close)
        return self._exit_code

    async def _start(self) -> None:
        """Load the models and open the store; until then, requests wait or are answered with 503."""
        self.merchandise.load()
        for name in self.settings.models:
            try:
                await asyncio.to_thread(self.models.load, name)
            except Refused as refused:
                raise SegueError(refused.detail) from refused
        gaps = [gap for ranker in self.models.rankers.values() if (gap := ranker.served.rules.gap) is not None]
        store = open_store(self.settings, lifetimes_of(self.settings, gaps))
        await store.open()
        warned = "Whether the store needs someone to look at it: 1 if so."
        self.telemetry.gauge("segue_store_warning", warned, lambda: float(store.warning is not None))
        self.telemetry.gauge("segue_store_lag_seconds", "Age of the oldest event not committed.", lambda: store.lag)
        self.telemetry.gauge(
            "segue_waiting_sessions",
            "Sessions that wait for a model.",
            lambda: sum(ranker.waiting for ranker in self.models.rankers.values()),
        )
        rules = "Whether the file of rules is wrong, so that older rules are in use: 1 if so."
        self.telemetry.gauge("segue_rules_problem", rules, lambda: float(self.merchandise.rules.problem is not None))
        gc.collect()
        gc.freeze()  # What is there now stays; collections need not look at it again.
        self.app.service = Service(self.models, store, self.telemetry, experiments=self.experiments)
        self._due.set()
        threading.Thread(target=self._reload_models, name="segue-reload", daemon=True).start()
        threading.Thread(target=self._watch, name="segue-watch", daemon=True).start()
        logger.info("ready: %s", ", ".join(self.settings.models))

    def _reload_all(self) -> None:
        """Load the tokens again, and have the models loaded; what is wrong is logged, and the old ones stay."""
        try:
            self.app.tokens = tokens_of(self.settings)
        except SegueError as error:
            logger.error("the tokens were not loaded: %s", error)
        self._asked.set()
        self._rules_asked.set()

    def _watch(self) -> None:
        """Read rules, catalogue and experiment again when their files change; a signal does not wait for it.

        What goes on failing is logged once.
        """
        failures: dict[int, str] = {}
        while True:
            force = self._rules_asked.wait(_WATCH_SECONDS)
            self._rules_asked.clear()
            looks: list[Callable[[], None]] = [partial(self.models.refresh, force=force)]
            if self.experiments is not None:
                looks.append(self.experiments.reload)
            for place, look in enumerate(looks):
                try:
                    look()
                except Exception as error:
                    known, failures[place] = failures.get(place), f"{type(error).__name__}: {error}"
                    if failures[place] != known:
                        logger.error(
                            "rules and catalogue, or the experiment, were not read again: %s",
                            error,
                            exc_info=not isinstance(error, SegueError | OSError),
                        )
                else:
                    failures.pop(place, None)

    def _reload_models(self) -> None:
        """Load all models again whenever it is asked for; if that is during a load, once more after it."""
        while self._asked.wait():
            self._asked.clear()
            for name in self.settings.models:
                with suppress(Refused):  # The log and /health/ready say why.
                    self.models.load(name, wait=True)


async def _serve(server: uvicorn.Server, listening: socket.socket, due: asyncio.Event) -> None:
    """Run a server on a socket when it is due, without its handlers of signals."""
    await due.wait()
    if server.should_exit:
        return
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[listening])
    await server.main_loop()
    await server.shutdown(sockets=[listening])


def _raise_open_files() -> None:
    """Let the process open more files, one of which each connection is."""
    import resource  # noqa: PLC0415 (Windows has none)

    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if most == resource.RLIM_INFINITY else min(_MAX_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, wanted), most))


def main() -> None:
    """Read the settings and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    start_logging()
    # Not buffered: the end of the input is left to the event loop.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as given:
        settings = ServeSettings.model_validate_json(given.readline())
    _raise_open_files()
    torch.set_num_threads(1)
    torch.set_grad_enabled(mode=False)
    listening = socket.socket(fileno=int(os.environ[SOCKET]))
    import uvloop  # noqa: PLC0415

    try:
        code = uvloop.run(Worker(settings, listening, waits=bool(os.environ.get(WAITS))).run())
    except SegueError as error:
        report(error)
        code = CONFIGURATION
    except Exception:
        logger.exception("the worker failed")
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
