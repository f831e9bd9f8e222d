"""Exchange what stands at two paths in one step, where the system can."""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS have one value."""
_HERE = -100
"""AT_FDCWD of Linux: a relative path starts at the working directory."""
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
"""Errors of kernels and file systems that cannot exchange. A sandbox may answer EPERM to a call that it does not know;
where a permission really is missing, the renames that follow say so."""


def exchange(one: Path, other: Path) -> bool:
    """Exchange two paths atomically: at any moment each path has one content or the other.

    Linux does it by ``renameat2(RENAME_EXCHANGE)``, macOS by ``renamex_np(RENAME_SWAP)``.

    Returns:
        False if the system or the file system cannot; nothing has changed then.

    Raises:
        OSError: a path does not exist, or may not be changed.
    """
    call = _call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@cache
def _call() -> Callable[[bytes, bytes], int] | None:
    """Return the system's call that exchanges two paths, or None where its C library has none."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            swap = library.renamex_np
            swap.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda one, other: int(swap(one, other, _EXCHANGE))
        rename = library.renameat2
    except AttributeError:
        return None
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return lambda one, other: int(rename(_HERE, one, _HERE, other, _EXCHANGE))
