"""The parent process: it holds the socket, so that callers wait rather than fail while a worker is started again."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from types import FrameType

from segue.errors import ParameterError
from segue.serving.settings import ServeSettings
from segue.serving.updates import UpdateTimer
from segue.strict_json import dumps

SOCKET = "SEGUE_SERVE_SOCKET"
"""Variable with the file descriptor of the socket, for a worker."""

WAITS = "SEGUE_SERVE_WAITS"
"""Variable of a worker that listens only when it is ready, because another one answers; else it is empty."""

CONFIGURATION = 2
"""Exit code of a worker for what no restart mends."""

_BACKLOG = 2048
_SHORT_LIFE = 10.0
_MAX_PAUSE = 5.0

logger = logging.getLogger(__name__)


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ParameterError: the address cannot be used.
    """
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with ExitStack() as opened:
            listening = opened.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
            opened.pop_all()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(
            f"--port: cannot listen on {host}:{port} ({reason}); choose another port or --host"
        ) from error
    return listening


class Supervisor:
    """Starts workers, starts them again when they die, and passes signals on.

    Args:
        settings: the settings.
        listening: the socket.
    """

    def __init__(self, settings: ServeSettings, listening: socket.socket) -> None:
        self._settings, self._socket = settings, listening
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        self._stopping = False
        self._updates = UpdateTimer(settings, lambda: self._send(signal.SIGHUP))

    def run(self) -> int:
        """Run until a signal comes; return the exit code."""
        for stream in (1, 2):  # Where they were closed, they are files that a worker would not have.
            os.set_inheritable(stream, True)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._pass_on)
        for _ in range(self._settings.workers):
            self._start()
        pause, code = 0.1, 0
        while self._workers:
            worker = self._wait()
            lived = time.monotonic() - self._workers.pop(worker)
            if worker.returncode == CONFIGURATION:
                self._stop()
                code = CONFIGURATION
            elif self._stopping:
                # One that was still being started ends by the signal itself.
                code = code or int(worker.returncode not in (0, -signal.SIGTERM))
            else:
                pause = 0.1 if lived > _SHORT_LIFE else min(2 * pause, _MAX_PAUSE)
                logger.error("worker %d ended with %d; it is started again", worker.pid, worker.returncode)
                time.sleep(pause)
                self._start()
        self._updates.stop()  # The signal may have come while one was being started.
        return code

    def _wait(self) -> "subprocess.Popen[bytes]":
        while True:
            for worker in self._workers:
                if worker.poll() is not None:
                    return worker
            if not self._stopping:
                self._updates.tick()
            time.sleep(0.05)

    def _start(self) -> None:
        if self._stopping:
            return
        descriptor = self._socket.fileno()
        # Until a worker has a handler of its own, it ignores the signal to load models again.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        worker = subprocess.Popen(
            [sys.executable, "-m", "segue.serving.worker"],
            stdin=subprocess.PIPE,  # It stays open: where it ends, the worker knows that this process is gone.
            env={**os.environ, SOCKET: str(descriptor), WAITS: "1" if self._workers else ""},
            pass_fds=(descriptor,),
            start_new_session=True,  # Ctrl-C on a terminal reaches this process alone, which passes it on.
        )
        signal.signal(signal.SIGHUP, self._pass_on)
        self._workers[worker] = time.monotonic()
        assert worker.stdin is not None
        try:
            worker.stdin.write(dumps(self._settings.model_dump(mode="json")).encode() + b"\n")
            worker.stdin.flush()
        except BrokenPipeError:
            pass
        if self._stopping:  # The signal came in between.
            self._send(signal.SIGTERM)

    def _stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        self._stopping = True
        self._socket.close()  # Whoever connects when the workers listen no longer is refused.
        self._send(signal.SIGTERM)
        self._updates.stop()

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._send(signal.Signals(number))

    def _send(self, number: signal.Signals) -> None:
        for worker in list(self._workers):
            if worker.poll() is None:
                worker.send_signal(number)
