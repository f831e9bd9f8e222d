"""The output of a command on standard error: messages of the library and progress of its tasks.

On a terminal tasks are bars and messages appear above them; elsewhere, as in a log file, both are plain lines.
"""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from segue.printable import one_line
from segue.progress import Progress, Task


@contextmanager
def progress_shown(stream: TextIO | None = None, *, hidden: Sequence[str] = ()) -> Iterator[Progress]:
    """Print the library's log messages while the block runs, and yield what shows the progress of tasks.

    Args:
        stream: where to print, standard error by default; bars need a terminal.
        hidden: loggers below ``segue`` of which only warnings are shown, such as ``"segue.training"``.
    """
    stream = stream or sys.stderr
    console = Console(file=stream, emoji=False)
    handler = _BarHandler(console) if console.is_terminal else logging.StreamHandler(stream)
    handler.setFormatter(_Formatter())
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or not record.name.startswith(tuple(hidden)))
    logger = logging.getLogger("segue")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield BarProgress(console) if console.is_terminal else LineProgress(stream)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """The message alone, behind an exclamation mark if it is a warning."""

    def format(self, record: logging.LogRecord) -> str:
        mark = "! " if record.levelno >= logging.WARNING else ""
        return mark + one_line(super().format(record))


class _BarHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


class BarProgress(Progress):
    """Bars on a terminal, which disappear when their task is done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Show a bar."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Bars(*columns, console=self._console, transient=True) as bars:
            yield _BarTask(bars, name, total)


class _BarTask:
    def __init__(self, bars: Bars, name: str, total: int) -> None:
        self._bars = bars
        self._id = bars.add_task(one_line(name), total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._bars.advance(self._id, steps)
        if note:
            self._bars.update(self._id, note=one_line(note))


class LineProgress(Progress):
    """Lines such as ``name: done/total`` in a log, for each task one every ``interval`` seconds at most."""

    def __init__(self, stream: TextIO, interval: float = 10.0) -> None:
        self._stream = stream
        self._interval = interval

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Print lines."""
        yield _LineTask(self._stream, name, total, self._interval)


class _LineTask:
    def __init__(self, stream: TextIO, name: str, total: int, interval: float) -> None:
        self._stream = stream
        self._name = name
        self._total = total
        self._interval = interval
        self._done = 0
        self._printed = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._printed >= self._interval:
            self._printed = now
            tail = f"  {note}" if note else ""
            print(one_line(f"{self._name}: {self._done:,}/{self._total:,}{tail}"), file=self._stream, flush=True)
