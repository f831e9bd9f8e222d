"""Progress of long work, for whoever shows it: the library counts steps, and ``segue.cli`` draws the bars.

Messages go to ``logging`` instead, each module to its own logger below ``segue``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    """A piece of work that counts its steps."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Report ``steps`` more steps; ``note`` replaces the text behind the bar."""


class Progress:
    """The interface of progress; this base class shows nothing."""

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Open a task of ``total`` steps; leaving the block closes it."""
        yield _SilentTask()


class _SilentTask:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass
