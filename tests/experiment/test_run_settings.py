"""What a run may be resumed with: the number of threads, where a model depends on it."""

from dataclasses import replace

import pytest
import torch

from segue.data.synthetic import shop
from segue.errors import ArtifactError, ParameterError
from segue.experiment.config import RunConfig
from segue.experiment.fit_and_test import training_key
from segue.experiment.model_specs import build_runtime, build_specs
from segue.experiment.run_settings import check_same, settings_of
from segue.protocols.dataset import Dataset
from segue.protocols.prepare import prepare
from segue.threads import worker_threads
from segue.training.checkpoint import require_same_training

RUN = RunConfig(models=["gru4rec", "als", "two-stage", "v-sknn"], device="cpu")

TINY = {"gru4rec": {"hidden_size": 4, "training": {"epochs": 1, "batch_size": 4}}}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return prepare(shop(300, 0))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sets the number of threads; no variable names one."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def settings(data, threads, count, config=RUN):
    threads.setattr(torch, "get_num_threads", lambda: count)
    return settings_of(data, config, build_runtime(config), build_specs(config))


def test_only_models_that_depend_on_threads_are_tied_to_their_number(data, threads) -> None:
    started = settings(data, threads, 2)
    assert {label for label, model in started["models"].items() if "threads" in model} == {
        "gru4rec",
        "als",
        "two-stage",
    }
    counting = RUN.model_copy(update={"models": ["v-sknn", "bpr"]})
    check_same("runs/a", settings(data, threads, 2, counting), settings(data, threads, 1, counting))
    more = RUN.model_copy(update={"models": ["v-sknn", "bpr", "als"]})
    check_same("runs/a", settings(data, threads, 2, counting), settings(data, threads, 1, more))


def test_another_number_of_threads_is_refused_with_both_numbers_and_the_remedy(data, threads) -> None:
    message = "runs/a: was started with 2 threads, got 1: put OMP_NUM_THREADS=2 before the command; resume with"
    with pytest.raises(ParameterError, match=message):
        check_same("runs/a", settings(data, threads, 2), settings(data, threads, 1))
    threads.setenv("MKL_NUM_THREADS", "2")  # It overrides the other one.
    with pytest.raises(ParameterError, match="with 1 thread, got 2: put MKL_NUM_THREADS=1 before the command; resume"):
        check_same("runs/a", settings(data, threads, 1), settings(data, threads, 2))


def test_a_checkpoint_of_another_number_of_threads_is_refused(threads) -> None:
    message = "a.safetensors: was started with 2 threads, got 1: put OMP_NUM_THREADS=2 before the command, or delete it"
    with pytest.raises(ArtifactError, match=message):
        require_same_training("a.safetensors", {"seed": "0", "threads": "2"}, {"seed": "0", "threads": "1"})
    with pytest.raises(ArtifactError, match="different seed"):
        require_same_training("a.safetensors", {"seed": "1", "threads": "2"}, {"seed": "0", "threads": "1"})


def test_a_training_is_resumed_in_as_many_threads(data, threads, tmp_path) -> None:
    config = RunConfig(models=["gru4rec"], baselines=False, device="cpu", set=TINY)
    runtime = replace(build_runtime(config, resume=True), checkpoint=tmp_path / "state")
    for count in (1, 1, 2):
        threads.setattr(torch, "get_num_threads", lambda count=count: count)
        (spec,) = build_specs(config)
        if count == 1:
            spec.model.fit(data.train, runtime=runtime)
            continue
        with pytest.raises(ArtifactError, match="state: was started with 1 thread, got 2: put OMP_NUM_THREADS=1"):
            spec.model.fit(data.train, runtime=runtime)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_the_interval_of_checkpoints_inside_an_epoch(data, monkeypatch, tmp_path, seconds: float) -> None:
    config = RUN.model_copy(
        update={"models": ["gru4rec"], "baselines": False, "set": TINY, "checkpoint_seconds": seconds}
    )
    saved: list[object] = []
    monkeypatch.setattr("segue.training.loop.save_checkpoint", lambda *state: saved.append(state))
    (spec,) = build_specs(config)
    spec.model.fit(data.train, runtime=replace(build_runtime(config), checkpoint=tmp_path / "state"))
    assert (len(saved) == 1) == (seconds == 60.0)


def test_the_key_of_a_training_has_the_threads_it_depends_on(data, threads) -> None:
    runtime, specs = build_runtime(RUN), {spec.label: spec for spec in build_specs(RUN)}
    keys = []
    for count in (1, 2):
        threads.setattr(torch, "get_num_threads", lambda count=count: count)
        keys.append({label: training_key(spec, data, 0, runtime) for label, spec in specs.items()})
    assert {label for label in specs if keys[0][label] != keys[1][label]} == {"gru4rec", "als", "two-stage"}


def test_workers_share_the_cores_unless_the_user_sets_the_threads(threads) -> None:
    threads.setattr("os.cpu_count", lambda: 8)
    threads.setattr(torch, "get_num_threads", lambda: 3)
    assert [worker_threads(count) for count in (1, 2, 3, 16)] == [3, 4, 2, 1]
    threads.setenv("OMP_NUM_THREADS", "3")
    assert worker_threads(2) == 3
