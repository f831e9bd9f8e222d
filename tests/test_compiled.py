"""Compiled functions where their cache can be written, and where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segue.data.arrays import descending_order

_WITHOUT_CACHE = """
import logging, sys
from numba.core import caching
caching.CacheImpl._locator_classes = []
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
import numpy as np
from segue.data.arrays import check_ranges, concatenate_ranges
from segue.compiled import cache_folder
print(concatenate_ranges(np.array([3, 9]), np.array([2, 1])).tolist(), cache_folder())
"""

_UNUSED = """
import sys
sys.argv = ["segue", "warm-up"]
from segue.cli.main import main
try:
    main()
except SystemExit as error:
    assert not error.code, error.code
from segue.compiled import KERNELS
print(sorted({one.py_func.__name__ for one in KERNELS if not one.signatures}), file=sys.stderr)
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)


def test_without_a_cache_functions_work_and_one_warning_names_the_remedy() -> None:
    ran = run(_WITHOUT_CACHE)
    assert ran.stdout == "[3, 4, 9] None\n"
    warnings = [line for line in ran.stderr.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 1
    assert "NUMBA_CACHE_DIR" in warnings[0]
    assert "segue warm-up" in warnings[0]


def test_a_first_compilation_is_said_once(tmp_path: Path) -> None:
    code = _WITHOUT_CACHE.replace("caching.CacheImpl._locator_classes = []", "")
    first, second = (run(code, NUMBA_CACHE_DIR=str(tmp_path)).stderr for _ in range(2))
    # Another command may compile other functions, so it is not said to be the only time.
    told = "INFO compiling numerical code, which is kept; `segue warm-up` compiles all of it at once\n"
    assert (first, second) == (told, "")


def test_the_time_of_compilations_is_counted(tmp_path: Path) -> None:
    code = _WITHOUT_CACHE.replace("caching.CacheImpl._locator_classes = []", "")
    code += "from segue.compiled import compilation_seconds\nprint(compilation_seconds())\n"
    first, second = (float(run(code, NUMBA_CACHE_DIR=str(tmp_path)).stdout.splitlines()[-1]) for _ in range(2))
    assert first > 0.05
    assert second == 0


@pytest.mark.soak
def test_after_a_warm_up_no_function_is_left(tmp_path: Path) -> None:
    ran = run(_UNUSED, NUMBA_CACHE_DIR=str(tmp_path))
    assert ran.stderr.splitlines()[-1] == "[]"
    assert str(tmp_path) in ran.stdout


@given(arrays(np.int64, st.integers(0, 80), elements=st.integers(-5, 5)))
def test_the_order_is_that_of_a_stable_sort(keys: np.ndarray) -> None:
    assert descending_order(keys).tolist() == np.argsort(-keys, kind="stable").tolist()
