"""Shapes in signatures are checked while the tests run; real logs are found through SEGUE_DATA."""

import gc
import os
import re
import sys
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
# The hook keeps what it and these modules import under names without the level of optimization, so that Python without
# docstrings would run modules that were compiled with asserts.
if not sys.flags.optimize:
    install_import_hook(_MODULES, "beartype.beartype")

# Until all tests are collected: nothing of what is imported and collected is garbage.
gc.disable()

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
    r"tests/models/(?!test_gru4rec.py::TestGRU4Rec).*::test_killed_and_resumed": "GRU4Rec",
    r"tests/models/test_attention_clustering.py::test_clusters_match.*\[20000\]": "the shop of 3,000 visits",
    r"tests/models/test_processes.py::test_(processes_train.*\[4\]|killed_in_two)": "two processes",
    r"tests/models/test_improved_gru4rec.py::test_a_training_of_three_parts.*\[[1356]\]": "an epoch of each part",
    r"tests/models/test_sequence.py::test_every_way_of_training_learns\[training[1-357]\]": "the other ways",
    r"tests/models/test_sequence.py::test_every_loss_learns\[(?!cross|bpr-max)": "these two, and all on a table",
    r"tests/nn/losses/test_loss_config.py::test_every_loss_learns.*\[True-(?!bce|cross)": "the same without a bias",
    r"tests/protocols/test_partitions.py::test_partitions_give.*-(int-5|text-2)\]": "numbers in 2 pieces, text in 5",
    r"tests/nn/losses/test_loss_config.py::test_with_logq.*\[0.0-": "the popular drawn more often",
    r"tests/training/test_optimizers.py::test_it_runs_where_numba": "the same functions, compiled",
    r"tests/tuning/test_search.py::test_interrupted_and_resumed.*\[2\]": "the first epoch",
    r"tests/tuning/test_search.py::test_(processes_share|trials_that_fall_behind)": "one process, no pruning",
    r"tests/cli/test_tune.py::test_(two_processes|a_second_command)": "one process, killed and resumed",
    r"tests/cli/test_claims.py::test_(searches_started|runs_started|runs_without_a_folder)": "two claims of a folder",
    r"tests/cli/test_claims.py::test_one_process_wins.*\[8\]": "two claims of a folder",
    r"tests/cli/test_shared_fit.py::test_one_that_is_killed": "a training that is killed, in one process",
    r"tests/cli/test_shared_fit.py::test_mistakes_of_processes": "mistakes of the environment, without processes",
    r"tests/data/test_column_pieces.py::test_times\[(s|%d/|excel)": "the other ways to write a time",
    r"tests/cli/test_streams.py::test_output_in_any_encoding\[variables[12]\]": "ASCII",
    r"tests/cli/test_streams.py::test_without_memory_for_charts": "reports without charts",
    r"tests/cli/test_streams.py::test_ctrl_c_at_any_time\[(0.1|0.6|1.3)\]": "two moments",
    r"tests/cli/test_streams.py::test_closed_streams\[2?>&--0\]": "both streams closed",
    r"tests/cli/test_update_command.py::test_a_killed_update.*\[(0.3|2.5)\]": "one moment",
    r"tests/cli/test_start_up.py::test_(commands_that_ask|two_stages|a_wrong_name)": "one model",
    r"tests/cli/test_killed.py::test_killed_at_random.*distill": "a run",
    r"tests/cli/test_bad_input.py::test_a_full_disk_leaves": "a full disk of standard output, in test_streams",
    r"tests/cli/test_commands.py::test_the_demo_trains_other_models": "the demo with its own models",
    r"tests/evaluation/test_catalogues.py::test_what_is_of_the_wrong_kind": "tests of each kind of argument",
    r"tests/serving/test_process.py::TestLife::test_(a_killed|a_worker|ctrl_c|ipv6)": "SIGTERM under load, SIGHUP",
    r"tests/serving/test_process.py::TestMistakes::test_(a_state_folder|a_damaged)": "a port in use",
    r"tests/serving/test_process.py::TestMistakes::test_before_it_listens\[[^p]": "the same without a process",
    r"tests/serving/test_kills.py::.*\[redis": "SQLite",
    r"tests/serving/test_faults.py::test_kills_under_load": "test_kills, and a killed worker in test_catalogue",
    r"tests/serving/test_experiments.py::TestFile::test_a_process_takes": "a reload, and rules of a process",
    r"tests/test_environments.py::test_help_is_complete": "help with docstrings",
    r"tests/test_wheel.py::test_the_demo.*\[compiled\]": "the demo with interpreted kernels",
    r"tests/test_wheel.py::test_a_missing_extra.*arguments[123]": "the first extra",
    r"tests/embeddings/test_umap.py::test_umap_keeps": "what UMAP is asked for",
    r"tests/test_foreign_catalogue.py::.*\[[1-9]\]": "seed 0",
    r"tests/docs/.*test_commands_run.*\[docs/": "the README",
    r"tests/docs/.*test_python_blocks_run.*\[(?!docs/get-started)": "the first page",
    r"tests/data/test_readers_borders.py::test_20_000_columns": "files with fewer columns",
}
"""Tests of ``make soak`` by what their names match, and their short forms in ``make test``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long tests."""
    for item in items:
        if any(re.search(pattern, item.nodeid) for pattern in LONG):
            item.add_marker(pytest.mark.soak)


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but never in modules and tests."""
    gc.collect()
    gc.freeze()
    gc.enable()
