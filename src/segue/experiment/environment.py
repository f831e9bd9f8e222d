"""The environment and the cost of a run: environment.json, peak memory, latency.

environment.json names no user, no machine and no path.
"""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segue.data.sessions import Prefixes
from segue.models.base import Model
from segue.training.runtime import Runtime
from segue.version import __version__

_PACKAGES = ("torch", "numpy", "polars", "numba", "scipy", "implicit", "pydantic", "safetensors")
"""Libraries that results may depend on."""

_LATENCY_CASES = 100
_K = 20

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def environment(runtime: Runtime) -> dict[str, Any]:
    """Return versions, machine and threads, ready for JSON."""
    device = runtime.torch_device()
    on_gpu = device.type == "cuda"
    return {
        "segue": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "cuda": torch.version.cuda if on_gpu else None,
        "arithmetic": runtime.arithmetic(),
        "deterministic": runtime.deterministic,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def median_latency_ms(model: Model, prefixes: Prefixes) -> float:
    """Return the median milliseconds from one current session to its best 20 items, one session at a time.

    Args:
        model: a fitted model.
        prefixes: current sessions, of which a hundred are taken at even distances.
    """
    chosen = np.unique(np.linspace(0, len(prefixes) - 1, _LATENCY_CASES).astype(np.int64))
    k = min(_K, len(model.vocabulary))
    seconds = []
    for row in chosen:
        started = time.perf_counter()
        model.top_k(prefixes[row : row + 1], k)
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds))


def reset_peak_memory() -> None:
    """Start counting afresh where the system can (Linux); elsewhere the peak stays that of the whole process."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_mb() -> float | None:
    """Return the largest resident memory since ``reset_peak_memory`` in MB (10^6 bytes), or None if unknown."""
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return _system_peak()


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Counters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS."""

        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _system_peak() -> float | None:
        counters = _Counters(cb=ctypes.sizeof(_Counters))
        current = ctypes.WinDLL("kernel32").GetCurrentProcess
        current.restype = wintypes.HANDLE
        read = ctypes.WinDLL("psapi").GetProcessMemoryInfo
        read.argtypes = (wintypes.HANDLE, ctypes.POINTER(_Counters), wintypes.DWORD)
        found = read(current(), ctypes.byref(counters), counters.cb)
        return counters.PeakWorkingSetSize / 1e6 if found else None

else:

    def _system_peak() -> float | None:
        try:
            import resource  # noqa: PLC0415 (not on every system)
        except ImportError:
            return None
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage / 1e6 if sys.platform == "darwin" else usage * 1024 / 1e6
