"""Shapes in signatures are checked while the tests run; real logs are found through SEGUE_DATA."""

import os
import pkgutil
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

_SOURCE = Path(__file__).parent.parent / "src"
# numba wants the functions of kernel modules bare; methods that return Self, as those of models do, cannot be checked.
_MODULES = [
    module.name
    for layer in ("data", "nn", "evaluation", "training")
    for module in pkgutil.walk_packages([str(_SOURCE / "segue" / layer)], f"segue.{layer}.")
    if not module.ispkg and not module.name.endswith("kernels")
]
install_import_hook(_MODULES, "beartype.beartype")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real logs; a test that uses it is skipped where there is none."""
    folder = os.environ.get("SEGUE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SEGUE_DATA names no folder with real logs")
    return Path(folder)
