"""Progress of long work: a rich bar on a terminal, plain lines in a log, nothing at all by default."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Task(Protocol):
    """A piece of work that counts its steps."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Report ``steps`` more steps; ``note`` replaces the text behind the bar."""


class Progress:
    """Silent progress, and the interface of the others."""

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Open a task of ``total`` steps; leaving the block closes it."""
        yield _SilentTask()

    def say(self, line: str) -> None:
        """Print one line above the bars."""


class _SilentTask:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


class BarProgress(Progress):
    """Rich bars on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Open a bar that disappears when the task is done."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with RichProgress(*columns, console=self._console, transient=True) as bars:
            yield _BarTask(bars, name, total)

    def say(self, line: str) -> None:
        """Print one line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class _BarTask:
    def __init__(self, bars: RichProgress, name: str, total: int) -> None:
        self._bars = bars
        self._id = bars.add_task(name, total=total, note="")

    def advance(self, steps: int = 1, note: str = "") -> None:
        if note:
            self._bars.update(self._id, advance=steps, note=note)
        else:
            self._bars.advance(self._id, steps)


class LineProgress(Progress):
    """One plain line at most every ``interval`` seconds, for logs.

    Args:
        stream: where the lines go.
        interval: seconds between two lines of one task.
    """

    def __init__(self, stream: TextIO, interval: float = 10.0) -> None:
        self._stream = stream
        self._interval = interval

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Open a task that prints ``name: done/total``."""
        yield _LineTask(self, name, total, self._interval)

    def say(self, line: str) -> None:
        """Print one line."""
        self._stream.write(line + "\n")
        self._stream.flush()


class _LineTask:
    def __init__(self, progress: LineProgress, name: str, total: int, interval: float) -> None:
        self._progress = progress
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
            self._progress.say(f"{self._name}: {self._done:,}/{self._total:,}{tail}")


def progress_for(stream: TextIO | None = None) -> Progress:
    """Return bars if ``stream``, standard error by default, is a terminal, else plain lines."""
    stream = stream or sys.stderr
    console = Console(file=stream, emoji=False)
    return BarProgress(console) if console.is_terminal else LineProgress(stream)
