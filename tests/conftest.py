"""Shapes in signatures are checked while the tests run; real logs are found through SEGUE_DATA."""

import os
import re
from pathlib import Path

# Workers share the cores, and a thread of OpenMP that waits for another one's core burns its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# numba would set the threads of OpenMP to its own number, and those of torch with them.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

_SOURCE = Path(__file__).parent.parent / "src"
# Not modules with compiled functions, which numba wants bare. Methods that return Self, as those of models do, cannot
# be checked.
# The modules are listed from their files: pkgutil.walk_packages would import them before the hook is there.
_MODULES = [
    ".".join(path.relative_to(_SOURCE).with_suffix("").parts)
    for layer in ("data", "nn", "evaluation")
    for path in sorted((_SOURCE / "segue" / layer).rglob("*.py"))
    if path.stem != "__init__" and "import njit" not in path.read_text(encoding="utf-8")
]
install_import_hook(_MODULES, "beartype.beartype")

# The same examples in every run, and no limit on the time of one: a busy machine is no failure.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
# ``make soak`` asks for this one.
settings.register_profile("soak", settings.get_profile("repeatable"), max_examples=400)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real logs; a test that uses it is skipped where there is none."""
    folder = os.environ.get("SEGUE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SEGUE_DATA names no folder with real logs")
    return Path(folder)


LONG = {
    r"tests/models/(?!test_gru4rec.py::TestGRU4Rec|test_sasrec).*::test_killed_and_resumed": "GRU4Rec and SASRec",
    r"tests/models/test_attention_clustering.py::test_clusters_match.*\[20000\]": "the shop of 3,000 visits",
    r"tests/models/test_improved_gru4rec.py::test_a_training_of_three_parts.*\[[16]\]": "an epoch of each part",
    r"tests/tuning/test_search.py::test_interrupted_and_resumed.*\[2\]": "the first epoch",
    r"tests/test_wheel.py::test_the_demo.*\[compiled\]": "the demo with interpreted kernels",
    r"tests/embeddings/test_umap.py::test_umap_keeps": "what UMAP is asked for",
    r"tests/test_foreign_catalogue.py::.*\[[1-9]\]": "seed 0",
    r"tests/docs/.*test_commands_run.*\[docs/(?!get-started)": "the README and the first page",
    r"tests/docs/.*test_python_blocks_run.*\[(?!docs/get-started)": "the first page",
}
"""Tests of ``make soak`` by what their names match, and their short forms in ``make test``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long tests."""
    for item in items:
        if any(re.search(pattern, item.nodeid) for pattern in LONG):
            item.add_marker(pytest.mark.soak)
