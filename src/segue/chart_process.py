"""The process that draws charts: started with the first one, so that a native crash there is a message here."""

import atexit
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segue.errors import ChartError, require_extra


class _Drawing:
    """The process that draws, started with the first chart and ended with this process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def draw(self, kind: str, spec: Mapping[str, Any] | None = None, scale: float = 1.0) -> bytes:
        """Return what ``chart_worker`` draws.

        Raises:
            MissingExtraError: vl-convert is not installed.
            ChartError: the process ended, or the specification cannot be drawn.
        """
        require_extra(["vl_convert"], "a chart", "report")
        with self._lock:
            return self._draw(json.dumps([kind, spec, scale]).encode())

    def _draw(self, request: bytes) -> bytes:
        try:
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(request + b"\n")
            process.stdin.flush()
            status, _, length = process.stdout.readline().decode().partition(" ")
            content = process.stdout.read(int(length)) if status else b""
            if not status or len(content) < int(length):
                raise BrokenPipeError(None, "the process that draws ended")
        except BaseException as error:
            self._end()
            if isinstance(error, OSError | ValueError):
                reason = getattr(error, "strerror", None) or "the process that draws ended"
                raise ChartError(f"charts: cannot be drawn ({reason}); allow more memory or files") from error
            raise
        if status == "error":
            raise ChartError(f"charts: cannot be drawn ({' '.join(content.decode().split())[:200]})")
        return content

    def _start(self) -> "subprocess.Popen[bytes]":
        file = Path(__file__).with_name("chart_worker.py")
        pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen([sys.executable, "-P", str(file)], stdin=pipe, stdout=pipe, stderr=quiet)
        atexit.register(self._end)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        atexit.unregister(self._end)
        if process is not None:
            process.kill()
            with suppress(OSError):
                process.communicate()


draw = _Drawing().draw
