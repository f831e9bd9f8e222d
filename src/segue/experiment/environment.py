"""What a run was computed with: environment.json. It names no user, no machine and no path."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba
import torch

from segue.experiment.folder import ENVIRONMENT
from segue.storage import write_text
from segue.strict_json import dumps
from segue.training.runtime import Runtime
from segue.version import __version__

_PACKAGES = ("torch", "numpy", "polars", "numba", "scipy", "implicit", "pydantic", "safetensors")
"""Those that figures may depend on."""


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
        "threads": {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()},
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "cuda": torch.version.cuda if on_gpu else None,
        "arithmetic": runtime.arithmetic(),
    }


def write_environment(out: Path, runtime: Runtime) -> None:
    """Write environment.json.

    Raises:
        StorageError: the write failed.
    """
    write_text(out / ENVIRONMENT, dumps(environment(runtime), indent=2) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
