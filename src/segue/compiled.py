"""The decorator of compiled functions: numba's ``njit``, whose cache works or is left out.

numba writes compiled functions beside the source files, or into the cache folder of the user, or into the folder that
``NUMBA_CACHE_DIR`` names; without a folder that can be written, it raises an error on import. Here such an installation
starts as well: a filled ``NUMBA_CACHE_DIR`` that cannot be written, as in an image of a container, is copied into a
temporary folder of this process, and without any folder each process compiles for itself.
"""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba
from numba.core import event

logger = logging.getLogger(__name__)

Function = Callable[..., Any]


def njit(function: Function | None = None, **options: Any) -> Any:
    """Compile a function on its first call, and keep the result for later processes if there is a place for it.

    Args:
        function: the function; None returns a decorator.
        **options: options of ``numba.njit``, for example ``nogil``.
    """
    if function is None:
        return lambda decorated: njit(decorated, **options)
    _prepare()
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # No folder can be written.
        _say_uncached()
        return numba.njit(function, **options)


compilations: list[str] = []
"""Names of the functions that this process has compiled, and not found in the cache."""


class _Compilations(event.Listener):
    """Collects them, and says once that a first call takes seconds."""

    def on_start(self, event: Any) -> None:
        """A compilation begins."""
        function = event.data["dispatcher"].py_func
        if function.__module__.startswith("segue."):
            _say_compiling()
            compilations.append(function.__qualname__)

    def on_end(self, event: Any) -> None:
        """A compilation ends."""


@cache
def _say_compiling() -> None:
    logger.info("compiling functions for their first use, which takes some seconds, once per installation")


@cache
def _say_uncached() -> None:
    logger.warning(
        "compiled functions cannot be kept, because no cache folder can be written: every process compiles them anew, "
        "which takes some seconds; set NUMBA_CACHE_DIR to a folder that can be written"
    )


@cache
def _prepare() -> None:
    """Listen for compilations, and copy a cache that cannot be written."""
    config, register = cast(Any, numba.config), cast(Any, event.register)
    register("numba:compile", _Compilations())
    folder = config.CACHE_DIR
    if not folder or not Path(folder).is_dir() or os.access(folder, os.W_OK | os.X_OK):
        return
    with suppress(OSError):  # Without a temporary folder there is no cache.
        copy = tempfile.mkdtemp(prefix="segue-compiled-")
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        for place in (Path(copy), *Path(copy).rglob("*")):
            place.chmod(0o700)
        config.CACHE_DIR = copy
