"""docs/tuning.md and docs/tracking.md name every option and every field."""

from pathlib import Path

import pytest

from segue.cli.main import import_command
from segue.experiment.environment import environment
from segue.experiment.results import Epoch
from segue.experiment.run_folder import CURVES, ENVIRONMENT, TENSORBOARD
from segue.training.runtime import Runtime
from segue.tuning.study import SEARCH

DOCS = Path(__file__).parents[2] / "docs"
TUNING, TRACKING = (
    " ".join((DOCS / name).read_text(encoding="utf-8").split()) for name in ("tuning.md", "tracking.md")
)
OPTIONS = [
    option
    for parameter in import_command("tune").params
    for option in (*parameter.opts, *parameter.secondary_opts)
    if option.startswith("--") and option != "--help"
]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_tune_is_documented(option: str) -> None:
    assert f"`{option}`" in TUNING


def test_every_file_of_a_search_is_documented() -> None:
    assert "--trials" in OPTIONS
    assert all(Path(name).stem in TUNING for name in SEARCH.parts.keys() - {"checkpoints", "workers", ".segue-data"})


def test_every_field_of_a_curve_and_of_the_environment_is_documented() -> None:
    assert all(f"`{name}`" in TRACKING for name in Epoch.model_fields)
    assert all(f"`{name}" in TRACKING for name in (CURVES, ENVIRONMENT, TENSORBOARD))
    assert {"python", "platform", "cores", "threads", "device", "arithmetic", "deterministic"} <= environment(
        Runtime("cpu")
    ).keys()
