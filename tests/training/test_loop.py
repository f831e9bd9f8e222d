"""The loop on the smallest problem there is: pull a vector towards a target through dropout."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segue.errors import ArtifactError, DivergedError
from segue.progress import Progress
from segue.training.checkpoint import load_checkpoint, require_like, save_checkpoint
from segue.training.config import TrainingConfig
from segue.training.loop import Trainer, learning_rate_factor
from segue.training.optimizers import RowAdagrad
from segue.training.parallel import WHOLE, Part
from segue.training.runtime import EpochRecord, Runtime

STEPS = 120


class Pull:
    """Pulls a vector towards one that depends on epoch, step and what is carried from step to step."""

    def __init__(self, stop_at: int | None = None, scale: float = 1.0) -> None:
        self.module: nn.Module = nn.Linear(4, 1, bias=False)
        nn.init.ones_(self.module.weight)
        self.taken = 0
        self._stop_at = stop_at
        self._scale = scale
        self._epoch = 0
        self._carried = torch.zeros(4)

    def begin_epoch(self, epoch: int) -> int:
        self._epoch, self._carried = epoch, torch.zeros(4)
        return STEPS

    def loss(self, step: int, part: Part = WHOLE) -> Tensor:
        if self.taken == self._stop_at:
            raise KeyboardInterrupt
        self.taken += 1
        target = torch.sin(torch.arange(4.0) + self._epoch + 0.1 * step) + self._carried
        self._carried = 0.5 * target
        dropped = functional.dropout(self.module.weight[0], 0.3, training=self.module.training)
        return self._scale * (dropped - target).square().sum()

    def carried(self) -> dict[str, Tensor]:
        return {"memory": self._carried}

    def restore_carried(self, carried: Mapping[str, Tensor], step: int) -> None:
        require_like(carried, {"memory": torch.zeros(4)}, "carried")
        self._carried = carried["memory"]


def train(
    pull: Pull,
    *,
    validate: Callable[[], float] | None = None,
    runtime: Runtime | None = None,
    identity: Mapping[str, str] | None = None,
    warm_start: bool = False,
    **plan: object,
) -> list[EpochRecord]:
    trainer = Trainer(
        pull,
        RowAdagrad(pull.module.parameters(), 0.1, 0.2),
        TrainingConfig(**{"epochs": 3, "learning_rate": 0.1, **plan}),
        validate=validate,
        seed=5,
        identity=identity or {"model": "pull"},
        runtime=runtime or Runtime(device="cpu"),
        warm_start=warm_start,
    )
    return trainer.run()


def facts(curve: list[EpochRecord]) -> list[tuple]:
    return [(record.epoch, record.loss, record.validation) for record in curve]


def test_training_lowers_the_loss() -> None:
    curve = train(Pull(), epochs=5)
    assert [record.epoch for record in curve] == list(range(5))
    assert curve[-1].loss < curve[0].loss


@pytest.mark.parametrize("steps", [0, 1, 70, STEPS, STEPS + 7])
def test_stopped_training_keeps_what_it_has_learnt(steps: int) -> None:
    whole, stopped = Pull(), Pull()
    train(whole, validate=lambda: 0.0)
    values = []

    def validate() -> float:
        values.append(stopped.module.weight.clone())
        return float(len(values))

    runtime = Runtime(device="cpu", stop=lambda: stopped.taken >= steps)
    curve = train(stopped, validate=validate, runtime=runtime)
    assert stopped.taken == steps
    assert len(curve) == -(-steps // STEPS)
    if steps:
        assert torch.equal(values[-1], stopped.module.weight)
        assert math.isfinite(curve[-1].loss)


def test_loss_of_an_epoch_that_is_cut_short_is_that_of_its_steps() -> None:
    pull, losses = Pull(), []
    plain = pull.loss

    def loss(step: int, part: Part = WHOLE) -> Tensor:
        found = plain(step, part)
        losses.append(found.item())
        return found

    pull.loss = loss
    (record,) = train(pull, runtime=Runtime(device="cpu", stop=lambda: pull.taken >= 30))
    assert record.loss == pytest.approx(sum(losses) / 30)


def test_equal_seeds_train_equally_and_the_global_generator_is_left_alone() -> None:
    one, other = Pull(), Pull()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train(one)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert facts(train(other)) == facts(first)
    assert torch.equal(one.module.weight, other.module.weight)


@pytest.mark.parametrize("stop_at", [1, 70, STEPS, STEPS + 99, 2 * STEPS + 51])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path, stop_at: int) -> None:
    def validate_on(pull: Pull) -> Callable[[], float]:
        return lambda: -pull.module.weight.square().sum().item()

    whole = Pull()
    expected = train(whole, validate=validate_on(whole), schedule="cosine", warmup=0.1)
    runtime = Runtime(device="cpu", checkpoint=tmp_path / "state", checkpoint_seconds=0.0)
    killed = Pull(stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        train(killed, validate=validate_on(killed), schedule="cosine", warmup=0.1, runtime=runtime)
    resumed = Pull()
    again = Runtime(device="cpu", checkpoint=tmp_path / "state", checkpoint_seconds=0.0, resume=True)
    curve = train(resumed, validate=validate_on(resumed), schedule="cosine", warmup=0.1, runtime=again)
    assert facts(curve) == facts(expected)
    assert torch.equal(resumed.module.weight, whole.module.weight)
    saved = stop_at // STEPS * STEPS + stop_at % STEPS // 50 * 50
    assert resumed.taken == 3 * STEPS - saved


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    done, again = Pull(), Pull()
    train(done, runtime=Runtime(device="cpu", checkpoint=tmp_path / "state"))
    train(again, runtime=Runtime(device="cpu", checkpoint=tmp_path / "state", resume=True))
    assert again.taken == 0
    assert torch.equal(again.module.weight, done.module.weight)


def put(path: tuple[str | int, ...], value: object) -> Callable[[dict, dict], object]:
    """Return a change of the state of a checkpoint, by the path of a field."""

    def change(tensors: dict, state: dict) -> None:
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = value

    return change


def tensor(name: str, value: Tensor) -> Callable[[dict, dict], object]:
    return lambda tensors, state: tensors.update({name: value})


CRAFTED: dict[str, tuple[Callable[[dict, dict], object], str]] = {
    "a field less": (lambda tensors, state: state.pop("curve"), "curve: Field required"),
    "a field more": (put(("more",), 1), "more: Extra inputs are not permitted"),
    "text for a number": (put(("position", "step"), "50"), "position.step: Input should be a valid integer"),
    "a decimal step": (put(("position", "step"), 50.5), "position.step: Input should be a valid integer"),
    "a negative step": (put(("position", "step"), -1), "position.step: Input should be greater than or equal to 0"),
    "a list for the position": (put(("position",), []), "position: Input should be an object"),
    "a field of the position more": (put(("position", "x"), 1), "position.x: Unexpected keyword argument"),
    "a loss that is no number": (put(("curve", 0, "loss"), None), "curve.0.loss: Input should be a valid number"),
    "text for the best": (put(("best",), "x"), "best: Input should be a valid number"),
    "another identity": (put(("identity", "model"), 5), "identity.model: Input should be a valid string"),
    "epochs to come": (put(("position", "epoch"), 9), "position.epoch: must be at most 3, got 9 and step 50"),
    "another number of epochs": (put(("position", "epoch"), 2), "curve: must have each of the 2 finished epochs"),
    "epochs in disorder": (put(("curve", 0, "epoch"), 1), "curve: must have each of the 1 finished epochs"),
    "a best epoch to come": (put(("position", "best_epoch"), 1), "position.best_epoch: must be below 1, got 1"),
    "more steps than there are": (put(("position", "step"), STEPS), "position.step: must be below 120, the steps of"),
    "a tensor less": (lambda tensors, state: tensors.pop("module.weight"), "module.weight: is missing"),
    "a tensor more": (tensor("module.bias", torch.zeros(1)), "module.bias: is unknown"),
    "another shape": (
        tensor("module.weight", torch.ones(4)),
        r"module.weight: must be float32 (1, 4), got float32 (4,)",
    ),
    "another dtype": (
        tensor("best.weight", torch.ones(1, 4).double()),
        "best.weight: must be float32 (1, 4)",
    ),
    "not a number": (tensor("module.weight", torch.full((1, 4), torch.nan)), "module.weight: must be finite"),
    "no best weights": (lambda tensors, state: tensors.pop("best.weight"), "best.weight: is missing"),
    "best weights of no value": (put(("best",), None), "best.weight: is unknown"),
    "an optimizer state less": (lambda tensors, state: tensors.pop("optimizer.0.sum"), "optimizer.0.sum: is missing"),
    "another parameter": (tensor("optimizer.x.sum", torch.ones(1, 4)), "optimizer.x.sum: is unknown"),
    "another accumulator": (
        tensor("optimizer.0.sum", torch.ones(2, 4)),
        "optimizer.0.sum: must be float32",
    ),
    "a negative sum of squares": (
        tensor("optimizer.0.sum", -torch.ones(1, 4)),
        "optimizer.0.sum: must not be negative",
    ),
    "nothing carried": (lambda tensors, state: tensors.pop("carried.memory"), "carried.memory: is missing"),
    "another size carried": (
        tensor("carried.memory", torch.ones(5)),
        "carried.memory: must be float32 (4,)",
    ),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_crafted_checkpoints_are_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "state"
    runtime = Runtime(device="cpu", checkpoint=path, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(Pull(stop_at=STEPS + 70), validate=lambda: 1.0, runtime=runtime)
    tensors, state = load_checkpoint(path)
    content = state.model_dump()
    change, message = CRAFTED[case]
    change(tensors, content)
    save_checkpoint(path, tensors, content)
    with pytest.raises(ArtifactError) as caught:
        train(Pull(), validate=lambda: 1.0, runtime=Runtime(device="cpu", checkpoint=path, resume=True))
    assert f"{path}: is not a checkpoint of segue, or is damaged ({message}" in str(caught.value)
    assert str(caught.value).endswith("); delete it to start over")


def test_without_resume_a_checkpoint_is_ignored(tmp_path: Path) -> None:
    runtime = Runtime(device="cpu", checkpoint=tmp_path / "state")
    train(Pull(), runtime=runtime)
    again = Pull()
    train(again, runtime=runtime)
    assert again.taken == 3 * STEPS


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    train(Pull(), runtime=Runtime(device="cpu", checkpoint=tmp_path / "state"), identity={"model": "a", "seed": "1"})
    runtime = Runtime(device="cpu", checkpoint=tmp_path / "state", resume=True)
    for other in ({"model": "a", "seed": "2"}, {"model": "a"}, {"model": "a", "seed": "1", "teacher": "b"}):
        with pytest.raises(ArtifactError, match=r"is the checkpoint of another training \(different (seed|teacher)"):
            train(Pull(), runtime=runtime, identity=other)


def test_the_best_epoch_is_kept_and_patience_stops() -> None:
    pull, seen, values = Pull(), [], iter([0.1, 0.5, 0.4, 0.5, 0.9])

    def validate() -> float:
        assert not pull.module.training
        seen.append(pull.module.weight.detach().clone())
        return next(values)

    curve = train(pull, validate=validate, epochs=9, patience=2)
    assert [record.validation for record in curve] == [0.1, 0.5, 0.4, 0.5]
    assert torch.equal(pull.module.weight, seen[1])


def test_without_patience_all_epochs_are_run() -> None:
    values = iter([0.5, 0.4, 0.3, 0.2])
    assert len(train(Pull(), validate=lambda: next(values), epochs=4, patience=None)) == 4


def test_a_loss_that_is_not_finite_stops_with_advice() -> None:
    with pytest.raises(DivergedError, match=r"the loss became nan in epoch 1 .* lower training.learning_rate"):
        train(Pull(scale=float("nan")))


def test_weights_that_are_not_finite_after_the_last_step_are_no_model() -> None:
    """The last loss is finite, because it was computed before the last step."""

    pull = Pull()
    pull.module.weight.register_hook(lambda gradient: gradient * (float("inf") if pull.taken == STEPS else 1.0))
    with pytest.raises(DivergedError, match=r"weights are not finite after the last step: lower "):
        train(pull, epochs=1)


def test_clipping_makes_steps_smaller() -> None:
    free, clipped = Pull(), Pull()
    train(free, epochs=1)
    train(clipped, epochs=1, clip_norm=1e-4)
    start = Pull().module.weight
    assert 0 < (clipped.module.weight - start).norm() < 0.5 * (free.module.weight - start).norm()


@pytest.mark.parametrize(
    ("schedule", "progress", "factor"),
    [
        ("constant", 0.9, 1.0),
        ("linear", 0.2, 1.0),
        ("linear", 0.6, 0.5),
        ("cosine", 0.6, 0.5),
        ("cosine", 1.0, 0.0),
        ("linear", 0.1, 0.5),
        ("constant", 0.0, 0.0),
    ],
)
def test_schedules_with_a_fifth_of_warmup(schedule: str, progress: float, factor: float) -> None:
    assert learning_rate_factor(schedule, 0.2, progress) == pytest.approx(factor)


class Notebook(Progress):
    """Counts the steps of each task."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    @contextmanager
    def task(self, name: str, total: int) -> Iterator["Notebook"]:
        assert total == STEPS
        self.steps.append(0)
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps[-1] += steps


def test_progress_counts_every_step_and_epochs_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notebook = Notebook()
    caplog.set_level(logging.INFO, "segue")
    runtime = Runtime(device="cpu", progress=notebook, checkpoint=tmp_path / "state", checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(Pull(stop_at=STEPS + 70), runtime=runtime, validate=lambda: 0.25)
    assert notebook.steps == [STEPS, 50]
    train(Pull(), runtime=replace(runtime, resume=True), validate=lambda: 0.25)
    assert notebook.steps == [STEPS, 50, STEPS, STEPS]
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("epoch 1/3  loss ")
    assert "validation mrr@20 0.2500" in caplog.messages[0]


def test_a_second_training_keeps_what_was_there_unless_an_epoch_is_better(tmp_path: Path) -> None:
    pull = Pull()
    before = pull.module.weight.clone()
    values = iter([0.5, 0.4, 0.5, 0.3])
    curve = train(pull, validate=lambda: next(values), warm_start=True)
    assert [record.validation for record in curve] == [0.4, 0.5, 0.3]
    assert torch.equal(pull.module.weight, before)
    values = iter([0.5, 0.4, 0.6, 0.3])
    train(pull, validate=lambda: next(values), warm_start=True)
    assert not torch.equal(pull.module.weight, before)

    values = iter([0.9, 0.4, 0.6, 0.3])
    runtime = Runtime(device="cpu", checkpoint=tmp_path / "state", checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        train(Pull(stop_at=STEPS + 10), validate=lambda: next(values), warm_start=True, runtime=runtime)
    resumed = Pull()
    train(resumed, validate=lambda: next(values), warm_start=True, runtime=replace(runtime, resume=True))
    assert torch.equal(resumed.module.weight, torch.ones(1, 4))


def test_what_anneals_stays_where_it_came_to_in_a_second_training() -> None:
    class Cooling(nn.Linear):
        seen: list[float]

        def anneal(self, progress: float) -> None:
            self.seen.append(progress)

    for warm_start in (False, True):
        pull = Pull()
        pull.module = Cooling(4, 1, bias=False)
        pull.module.seen = []
        train(pull, epochs=1, warm_start=warm_start)
        assert pull.module.seen == [1.0 if warm_start else step / STEPS for step in range(STEPS)]


def test_an_observer_is_told_of_every_epoch_also_by_a_resumed_training(tmp_path: Path) -> None:
    told: list[tuple[str, EpochRecord]] = []
    runtime = Runtime(device="cpu", checkpoint=tmp_path / "state", on_epoch_end=lambda *epoch: told.append(epoch))
    with pytest.raises(KeyboardInterrupt):
        train(Pull(stop_at=2 * STEPS + 10), runtime=runtime)
    assert [record.epoch for _, record in told] == [0, 1]
    told.clear()
    curve = train(Pull(), runtime=replace(runtime, resume=True).part("ranker"))
    assert told == [("ranker", record) for record in curve]
    told.clear()
    assert train(Pull(), runtime=replace(runtime, resume=True)) == [record for _, record in told]
    assert {stage for stage, _ in told} == {"training"}


def test_what_an_observer_raises_ends_the_training_behind_its_checkpoint(tmp_path: Path) -> None:
    def stop(stage: str, record: EpochRecord) -> None:
        if record.epoch == 1:
            raise ZeroDivisionError

    runtime = Runtime(device="cpu", checkpoint=tmp_path / "state", on_epoch_end=stop)
    ended, resumed, whole = Pull(), Pull(), Pull()
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        train(ended, runtime=runtime)
    assert ended.taken == 2 * STEPS
    assert torch.equal(torch.get_rng_state(), before)
    curve = train(resumed, runtime=replace(runtime, resume=True, on_epoch_end=None))
    assert resumed.taken == STEPS
    assert facts(curve) == facts(train(whole))
    assert torch.equal(resumed.module.weight, whole.module.weight)


def test_a_part_of_a_fit_has_a_stage_and_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    part = Runtime(checkpoint=tmp_path / "state").part("ranker")
    assert (part.stage, part.checkpoint) == ("ranker", tmp_path / "state.ranker")
    assert part.part("fine-tuning").stage == "ranker, fine-tuning"
    assert Runtime().part("ranker").checkpoint is None


def test_the_curve_says_which_epochs_were_kept() -> None:
    def validate() -> float:
        return next(values)

    values = iter([0.1, 0.3, 0.3, 0.2])
    assert [one.kept for one in train(Pull(), validate=validate, epochs=4)] == [True, True, False, False]
    assert [one.kept for one in train(Pull(), epochs=2)] == [True, True]
    values = iter([0.5, 0.4, 0.6])  # Of a module that was trained before, and then after each epoch.
    assert [one.kept for one in train(Pull(), validate=validate, epochs=2, warm_start=True)] == [False, True]


def test_a_checkpoint_of_another_thread_count_is_refused_with_the_remedy(tmp_path: Path) -> None:
    checkpoint = tmp_path / "state"
    train(Pull(), runtime=Runtime(device="cpu", checkpoint=checkpoint), identity={"model": "a", "threads": "2"})
    runtime = Runtime(device="cpu", checkpoint=checkpoint, resume=True)
    with pytest.raises(ArtifactError, match=r"with 2 threads, got 1: put OMP_NUM_THREADS=2 before the command"):
        train(Pull(), runtime=runtime, identity={"model": "a", "threads": "1"})
