"""Learning beside serving: a child process of the supervisor updates the models from time to time."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Literal

from segue.serving.settings import ServeSettings
from segue.strict_json import dumps

NOTHING_NEW = 3
"""Exit code if no model has a new version."""

logger = logging.getLogger(__name__)


class UpdateTimer:
    """Starts an update at a time, and has the workers load what it has accepted.

    Args:
        settings: the settings.
        announce: has the workers load the models again.
    """

    def __init__(self, settings: ServeSettings, announce: Callable[[], None]) -> None:
        self._settings, self._announce = settings, announce
        self._child: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()

    def tick(self) -> None:
        """Do what is due; called often, by the process that starts the workers."""
        every = self._settings.update_every
        if every is None:
            return
        if self._child is None:
            if time.monotonic() - self._begun >= every:
                self._begun = time.monotonic()
                self._child = start(self._settings)
        elif (code := self._child.poll()) is not None:
            self._child = None
            if code == 0:
                self._announce()
            elif code != NOTHING_NEW:
                logger.error("the process that updates the models ended with %d; the models stay as they are", code)

    def stop(self) -> None:
        """Stop an update; nothing of it is left."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()


def start(settings: ServeSettings, task: Literal["check", "update"] = "update") -> "subprocess.Popen[bytes]":
    """Start the process that updates the models once, or checks whether it can."""
    child = subprocess.Popen(
        [sys.executable, "-m", "segue.live_updates"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert child.stdin is not None
    try:
        with child.stdin as given:
            given.write(f"{task}\n".encode() + dumps(settings.model_dump(mode="json")).encode() + b"\n")
    except BrokenPipeError:
        pass
    return child
