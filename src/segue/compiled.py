"""Compiled functions: the one place that decides where numba keeps their machine code."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import event

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])

KERNELS: list[Any] = []
"""The compiled functions of all modules imported so far."""

_COMPILING = "compiling numerical code, which is kept; `segue warm-up` compiles all of it at once"

_said: set[str] = set()
_uncached: set[str] = set()
"""Modules whose functions cannot be cached."""


def njit(*, nogil: bool = False, error_model: str = "python") -> Callable[[_Function], _Function]:
    """Compile a function when it is first called, and keep the result for later processes.

    The cache is ``NUMBA_CACHE_DIR``, the folder of the module or the user's cache folder, whichever can be written
    first. Where none can, each process compiles for itself. A shared temporary folder would not be safe: numba reads
    its cache with pickle, so whoever can write there could run code.

    Args:
        nogil: release the interpreter lock while the function runs.
        error_model: ``python`` raises where a number is divided by 0, ``numpy`` gives inf or nan.
    """

    def decorate(function: _Function) -> _Function:
        options: dict[str, Any] = {"nogil": nogil, "error_model": error_model}
        try:
            compiled = numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            _uncached.add(function.__module__)
            compiled = numba.njit(**options)(function)
        KERNELS.append(compiled)
        return cast(_Function, compiled)

    return decorate


def cache_folder() -> str | None:
    """Return the folder where compiled functions are kept, or None if none can be written."""
    try:
        return str(numba.njit(cache=True)(_probe).stats.cache_path)
    except RuntimeError:
        return None


def _probe() -> None:
    """Stand for the functions of segue: it is cached where they are."""


def _say_once(level: int, message: str) -> None:
    if message not in _said:
        _said.add(message)
        _log.log(level, message)


def compilation_seconds() -> float:
    """Return the time that this process has spent on compiling so far."""
    return _compilation.seconds


class _Compilation(event.Listener):
    """Says that functions are being compiled, when it begins, and takes the time; one found in the cache is no event.

    Attributes:
        seconds: time of all compilations that have ended.
    """

    def __init__(self) -> None:
        self.seconds, self._depth, self._since = 0.0, 0, 0.0

    def on_start(self, event: Any) -> None:
        if not self._depth:
            self._since = time.perf_counter()
        self._depth += 1  # One function may compile others.
        module = event.data["dispatcher"].py_func.__module__
        if module in _uncached:
            _say_once(
                logging.WARNING,
                "No folder for compiled functions can be written, so every process compiles them again. "
                "Set NUMBA_CACHE_DIR to a folder that only you can write, or run `segue warm-up` where segue is "
                "installed.",
            )
        elif module.startswith("segue."):
            _say_once(logging.INFO, _COMPILING)

    def on_end(self, event: Any) -> None:
        """Add the time of the outermost compilation."""
        self._depth -= 1
        if not self._depth:
            self.seconds += time.perf_counter() - self._since


_compilation = _Compilation()
event.register("numba:compile", _compilation)  # type: ignore[no-untyped-call]
