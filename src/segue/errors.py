"""Every error that segue raises on purpose.

    SegueError
    ├── InputError            a user's mistake: the command line prints it and exits with 2
    │   ├── LogError          the content of a click log (file, row, column)
    │   ├── ParameterError    a parameter of a model, a protocol or a run
    │   ├── UnknownNameError  a name that is not in a table (model, preset, metric, ...)
    │   ├── PluginError       a model of another package that cannot be used
    │   ├── EmptyDataError    nothing is left to learn from or to test on
    │   └── ArtifactError     a folder that is no artifact, or a damaged one
    ├── DivergedError         a training whose loss is no longer finite
    ├── MissingExtraError     an optional dependency is not installed
    └── StorageError          a write failed (disk full, read-only); nothing half-written is left

A message names the place, the rule, the value received and the remedy, in that order.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any


class SegueError(Exception):
    """Root of all errors that segue raises on purpose."""


class InputError(SegueError, ValueError):
    """A user's mistake."""


class LogError(InputError):
    """A click log that cannot be read or breaks a rule."""


class ParameterError(InputError):
    """A parameter outside its rule."""


class UnknownNameError(InputError):
    """A name that a table does not hold.

    Args:
        kind: what was looked up, for example ``"model"``.
        name: the name received.
        known: the names that the table holds.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1)
        guess = f"did you mean '{close[0]}'? " if close else ""
        super().__init__(f"unknown {kind} '{name}': {guess}choose one of {', '.join(names)}")


class PluginError(InputError):
    """A model of another package that cannot be used."""


class EmptyDataError(InputError):
    """Nothing is left to learn from or to test on."""


class ArtifactError(InputError):
    """A folder that is no artifact of segue, or a damaged one."""


class DivergedError(SegueError):
    """A training whose loss is no longer finite."""


class MissingExtraError(SegueError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: what the reader wanted to do.
        extra: the extra of segue that brings the dependency.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}': pip install \"segue[{extra}]\"")


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


class StorageError(SegueError, OSError):
    """A file or a folder could not be written."""
