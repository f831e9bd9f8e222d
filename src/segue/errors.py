r"""The exceptions of segue.

    SegueError
    ├── InputError            invalid input: the command line prints the message and exits with 2
    │   ├── LogError          a click log that cannot be read or breaks a rule (file, row, column)
    │   ├── ParameterError    an invalid parameter of a model, a protocol or a run
    │   ├── UnknownNameError  an unknown name (of a model, a preset, a metric, ...)
    │   ├── PluginError       a model of another package that cannot be used
    │   ├── EmptyDataError    no data left to train or test on
    │   └── ArtifactError     a folder that is not an artifact of segue, or is damaged
    ├── ClusterError          a cluster could not start or run a task; what is finished is kept
    ├── DivergedError         the training loss is no longer finite
    ├── ProcessLostError      another process of a training has ended
    ├── ChartError            a chart could not be drawn, for example for want of memory
    ├── MissingExtraError     an optional dependency is not installed
    └── StorageError          a write failed (disk full, read-only); no partial file is left

Messages name the place, the rule, the value received and the remedy, in that order. An error may have several, each an
argument of its own and a line of the text; a line break in one, for example in the name of a file, is shown as ``\n``.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from segue.printable import one_line

_MAX_NAME = 100
"""Letters of an unknown name that a message repeats and compares with known names."""
_FEW = 12
"""Known names that a message lists although one of them is suggested."""


class SegueError(Exception):
    """Base class of all errors that segue raises; each argument is one line of the message."""

    @property
    def lines(self) -> list[str]:
        """The lines of the message."""
        return [one_line(str(line)) for line in self.args]

    def __str__(self) -> str:
        """Return the message."""
        return "\n".join(self.lines)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy the message as it is; constructors of subclasses take other arguments."""
        return _copy, (type(self), self.args, self.__dict__)


def _copy(kind: type[SegueError], lines: tuple[Any, ...], attributes: dict[str, Any]) -> SegueError:
    error = kind.__new__(kind)
    error.args = lines
    error.__dict__.update(attributes)
    return error


@contextmanager
def noted(notes: Iterable[str]) -> Iterator[None]:
    """Add notes on what was recognised so far to an error of segue (PEP 678); the command line prints them first."""
    try:
        yield
    except SegueError as error:
        for note in notes:
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        raise


class InputError(SegueError, ValueError):
    """Invalid input."""


class LogError(InputError):
    """A click log that cannot be read or breaks a rule."""


class ParameterError(InputError):
    """An invalid parameter."""


class UnknownNameError(InputError):
    """An unknown name; the message suggests a similar one, or else lists all.

    Args:
        kind: what the name is of, for example ``"model"``.
        name: the name received.
        known: the valid names.
        suffix: what followed the name, for example the cut-off of a metric.
        bare: valid names that nothing may follow.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], *, suffix: str = "", bare: Collection[str] = ()
    ) -> None:
        names = sorted(known)
        name = name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."
        by_last_part: dict[str, list[str]] = {}
        for one in names:
            by_last_part.setdefault(one.rpartition(".")[2], []).append(one)
        close = by_last_part.get(name) or get_close_matches(name, names, n=1)
        if not close:
            close = [one for part in get_close_matches(name, by_last_part, n=1) for one in by_last_part[part]]
        close = [f"'{one if one in bare else one + suffix}'" for one in close]
        told = [f"did you mean {' or '.join(close)}?"] if close else []
        if not close or len(names) <= _FEW:
            told.append(f"choose one of {', '.join(names)}")
        super().__init__(f"unknown {kind} '{name}{suffix}': {' '.join(told)}")


class PluginError(InputError):
    """A model of another package that cannot be used."""


class EmptyDataError(InputError):
    """No data left to train or test on."""


class ArtifactError(InputError):
    """A folder that is not an artifact of segue, or is damaged."""


class ClusterError(SegueError):
    """A cluster could not start or run a task; the same command continues with what is finished."""


class DivergedError(SegueError):
    """The training loss is no longer finite."""


class ProcessLostError(SegueError):
    """Another process of a training has ended before its end.

    Args:
        size: number of processes.
        reason: what is known of it.
    """

    def __init__(self, size: int, reason: str = "it was killed, or its machine was lost") -> None:
        super().__init__(
            f"processes: one of {size} ended during the training ({reason}); start all of them again: from a "
            "checkpoint, the training goes on with any number of processes"
        )


class MissingExtraError(SegueError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: what needs the dependency.
        extra: the extra of segue that installs it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}': pip install \"segue[{extra}]\"")


def require_extra(modules: Iterable[str], feature: str, extra: str) -> None:
    """Check that the modules of an extra are installed, without importing them.

    Raises:
        MissingExtraError: one is not.
    """
    if any(find_spec(module) is None for module in modules):
        raise MissingExtraError(feature, extra)


def import_extra(module: str, feature: str, extra: str) -> Any:
    """Import a module that an extra brings, when it is first needed.

    Args:
        module: its name.
        feature: what needs it, for the message.
        extra: the extra.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(feature, extra) from error


class ChartError(SegueError):
    """A chart could not be drawn; everything else is there."""


class StorageError(SegueError, OSError):
    """A file or a folder could not be written."""
