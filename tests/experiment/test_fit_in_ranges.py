"""A model fitted on an engine has the bytes of one fitted in memory, whatever the ranges and the interruptions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import segue
from fitted_in_ranges import configured, fitted, fitted_on
from partitioned_logs import make_log
from protocols.test_out_of_core import LOGS
from segue.data.events import Events
from segue.data.partitions import OnDisk, Task
from segue.data.synthetic import shop
from segue.errors import ParameterError
from segue.experiment.production import check_fits_in_ranges
from segue.experiment.training_plan import plan_training
from segue.models.registry import model_class, model_names

MODELS = [name for name in model_names() if model_class(name).fits_in_ranges]


def test_the_models_that_are_fitted_in_ranges() -> None:
    assert MODELS == ["v-sknn", "stan", "vstan"]


@pytest.mark.parametrize("name", ["v-sknn", *(pytest.param(name, marks=pytest.mark.soak) for name in MODELS[1:])])
def test_same_bytes(name: str, tmp_path: Path) -> None:
    events, config = shop(300, 0), configured(name)
    expected = fitted(events, config, tmp_path / "memory")
    assert set(expected) == {"arrays.safetensors", "config.json", "items.parquet", "manifest.json"}
    for count in (1, 3):
        engine = OnDisk(tmp_path / f"work-{count}")
        assert fitted_on(engine, events, config, tmp_path / f"disk-{count}", count) == expected
        (steps,) = (tmp_path / f"work-{count}").glob("*-index_range")
        assert len(list(steps.glob("*.json"))) == count


CLEANINGS = ({"min_support": 2, "min_length": 2}, {}, {"recent_share": 0.5})
FEW = ("text", "no times", "given, shared ids", "users and sessions")
FEW_LOGS = [(log, MODELS[row % 3], CLEANINGS[row % 3], (3,)) for row, log in enumerate(FEW)]
EVERY_LOG = [
    pytest.param(log, name, cleaning, (1, 3, 8), marks=pytest.mark.soak)
    for log in LOGS
    for name in MODELS
    for cleaning in CLEANINGS
]


@pytest.mark.parametrize(("log", "name", "cleaning", "counts"), [*FEW_LOGS, *EVERY_LOG])
def test_same_bytes_of_every_log(
    log: str, name: str, cleaning: dict[str, float], counts: tuple[int, ...], tmp_path: Path
) -> None:
    events, config = LOGS[log](), configured(name, cleaning, sample_size=20, updatable=len(counts) == 1)
    expected = fitted(events, config, tmp_path / "memory")
    for count in counts:
        found = fitted_on(OnDisk(tmp_path / f"work-{count}"), events, config, tmp_path / f"disk-{count}", count)
        assert found == expected


def test_a_mistake_has_the_message_of_a_fit_in_memory(tmp_path: Path) -> None:
    events = Events(make_log(1).drop("part"))
    config = configured("v-sknn", {"min_length": 10_000})
    expected = fitted(events, config, tmp_path / "memory")
    assert "step 'min-length' dropped all" in expected
    assert fitted_on(OnDisk(tmp_path / "work"), events, config, tmp_path / "disk", 3) == expected


@dataclass
class Interrupted(OnDisk):
    """Stops after each task of a step, as a killed command does."""

    step: str = ""

    def _run_all(self, tasks: Iterator[Task]) -> Iterator[None]:
        for task in tasks:
            task.run()
            if self.step in task.target.parent.name:
                raise KeyboardInterrupt
            yield


@pytest.mark.parametrize("step", ["index_range", pytest.param("", marks=pytest.mark.soak)])
def test_interrupted_after_each_task_and_continued(step: str, tmp_path: Path) -> None:
    events, config = shop(200, 0), configured("vstan")
    expected = fitted(events, config, tmp_path / "memory")
    interruptions, found = 0, None
    while found is None:
        try:
            found = fitted_on(Interrupted(tmp_path / "work", step=step), events, config, tmp_path / "disk", 3)
        except KeyboardInterrupt:
            interruptions += 1
    assert found == expected
    assert interruptions == len(list((tmp_path / "work").glob(f"*{step}/*.json"))) >= 3


def test_models_without_ranges_are_refused() -> None:
    plan = plan_training(segue.RunConfig(models=["gru4rec"]))
    with pytest.raises(ParameterError, match=r"--engine, --memory: need a model .* stan or vstan, got gru4rec"):
        check_fits_in_ranges(plan.spec.model)
