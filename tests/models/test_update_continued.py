"""Updates of networks go on where Adagrad stopped: what is kept of it, how it is stored, and what it changes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chains import sessions
from safetensors.numpy import load_file

from segue.artifact import Artifact
from segue.data.growth import grow
from segue.data.sessions import Sessions
from segue.errors import ArtifactError
from segue.models.gru4rec import GRU4Rec
from segue.models.neural import NeuralModel
from segue.models.registry import load
from segue.models.sasrec import SASRec
from segue.training.config import TrainingConfig, UpdatePlan
from segue.training.continuation import resume, squares_of

START = 10_000_000
FILE = "optimizer.safetensors"


def log(n_items: int, count: int, seed: int) -> Sessions:
    """Make sessions that walk around a circle of items."""
    rng = np.random.default_rng(seed)
    return sessions([(start + np.arange(5)) % n_items + 1 for start in rng.integers(0, n_items, count)], n_items)


TRAIN = log(12, 40, 0)


def later() -> Sessions:
    """Make later sessions with two new items."""
    some = log(14, 20, 1)
    ids = some.vocabulary.ids.gather(some.items - 1)
    grown = grow(TRAIN.vocabulary, ids)
    assert some.times is not None
    return Sessions(grown.encode(ids), some.offsets, some.times + START, grown)


RECENT = later()


def gru4rec(**training: object) -> GRU4Rec:
    return GRU4Rec(hidden_size=8, training={"epochs": 5, **training}).fit(TRAIN, seed=0)


def sasrec(optimizer: str) -> SASRec:
    return SASRec(embedding_size=8, inner_size=8, training={"epochs": 3, "optimizer": optimizer}).fit(TRAIN, seed=0)


def without_state(model: NeuralModel) -> NeuralModel:
    """Return a model as older versions of segue wrote it."""
    return type(model)(model.config).restore(model.arrays(), model.vocabulary)


def test_the_weights_of_adagrad_are_kept() -> None:
    recurrent = gru4rec()
    assert set(recurrent.optimizer_state) == {name for name, _ in recurrent.network.named_parameters()}
    assert set(sasrec("mixed").optimizer_state) == {"items"}
    assert not sasrec("adamw").optimizer_state
    for name, weight in recurrent.network.named_parameters():
        squares = recurrent.optimizer_state[name]
        assert (squares.dtype, squares.shape) == (np.float32, (len(weight),))
        assert (squares[1:] > 0).any()


def test_squares_are_the_means_of_rows_and_new_rows_begin_at_zero() -> None:
    model = gru4rec()
    optimizer = model.optimizer()
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = torch.arange(1.0, 1 + weight.numel()).reshape(weight.shape)
    optimizer.step()
    found = squares_of(optimizer, model.network)
    for name, weight in model.network.named_parameters():
        squares = np.arange(1.0, 1 + weight.numel()).reshape(len(weight), -1) ** 2
        np.testing.assert_allclose(found[name], squares.mean(axis=1), rtol=1e-5)
    grown = model.update(RECENT, UpdatePlan(epochs=1), seed=0)
    fresh = grown.optimizer()
    resume(fresh, grown.network, found)
    again = squares_of(fresh, grown.network)
    for name, squares in found.items():
        np.testing.assert_allclose(again[name][: len(squares)], squares, rtol=1e-5)
        assert not again[name][len(squares) :].any()


def test_a_loaded_model_goes_on_as_the_one_in_memory(tmp_path: Path) -> None:
    model = gru4rec()
    rest = load(model.save(tmp_path / "model"))
    assert same(model.optimizer_state, rest.optimizer_state)
    assert same(model.update(RECENT, seed=0).arrays(), rest.update(RECENT, seed=0).arrays())
    assert not same(model.update(RECENT, seed=0).arrays(), without_state(model).update(RECENT, seed=0).arrays())
    updated = load(rest.update(RECENT, seed=0).save(tmp_path / "updated"))
    assert {len(one) for one in updated.optimizer_state.values()} >= {15}


def same(some: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    """Say if arrays are equal, by name."""
    return some.keys() == others.keys() and all(np.array_equal(array, others[name]) for name, array in some.items())


@pytest.mark.parametrize("model", [gru4rec(), sasrec("mixed")], ids=["gru4rec", "sasrec"])
def test_known_items_move_less_than_with_a_fresh_adagrad(model: NeuralModel) -> None:
    plan = UpdatePlan(epochs=1, learning_rate=model.config.training.learning_rate)
    moved = []
    for before in (model, without_state(model)):
        after = before.update(RECENT, plan, seed=0).item_vectors()[1:13]
        moved.append(np.abs(after - model.item_vectors()[1:]).mean())
    assert moved[0] < 0.7 * moved[1]


def test_models_of_older_versions_learn_with_small_steps() -> None:
    adagrad, mixed = TrainingConfig(optimizer="adagrad", learning_rate=1.0), TrainingConfig(optimizer="mixed")
    rates = [
        UpdatePlan().applied_to(adagrad, resumed=resumed, replays=replays).learning_rate
        for resumed, replays in ((False, False), (False, True), (True, False), (True, True))
    ]
    assert rates[0] == rates[1] == 0.03 < rates[2] < rates[3]
    plain = UpdatePlan().applied_to(TrainingConfig(), resumed=False, replays=True)
    assert plain.learning_rate == pytest.approx(0.1 * TrainingConfig().learning_rate)
    assert UpdatePlan(learning_rate=0.5).applied_to(mixed, resumed=True, replays=True).learning_rate == 0.5


def test_a_history_halves_the_epochs() -> None:
    plan = TrainingConfig(epochs=9)
    assert [UpdatePlan().applied_to(plan, resumed=True, replays=one).epochs for one in (False, True)] == [9, 5]
    assert UpdatePlan(epochs=7).applied_to(plan, resumed=True, replays=True).epochs == 7


def test_artifacts_of_older_versions_load_and_learn(tmp_path: Path) -> None:
    old = without_state(gru4rec())
    folder = old.save(tmp_path / "old")
    assert not (folder / FILE).exists()
    assert load(folder).update(RECENT, seed=0).optimizer_state


def test_it_takes_a_number_per_row(tmp_path: Path) -> None:
    model = gru4rec()
    folder = model.save(tmp_path / "model")
    assert {len(array) for array in load_file(folder / FILE).values()} == {
        len(one) for one in model.network.parameters()
    }
    assert all(array.ndim == 1 for array in load_file(folder / FILE).values())


def test_added_items_have_no_place_in_it(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(13, 4)).astype(np.float32)
    vectors = pl.DataFrame([pl.Series("item", np.arange(101, 114)), pl.Series("vector", rows)])
    extended = gru4rec().add_items({"item": [113]}, vectors=vectors)
    assert not load(extended.save(tmp_path / "model")).optimizer_state


Change = Callable[[dict[str, np.ndarray]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("output"), "output: is missing"),
        (lambda state: state.update(other=state["output"]), "other: is unknown"),
        (
            lambda state: state.update(output=state["output"][:-1]),
            r"output: must be float32 \(13,\), got float32 \(12,\)",
        ),
        (lambda state: state.update(output=state["output"].astype(np.float64)), "output: must be float32"),
        (lambda state: state.update(output=-state["output"] - 1), "output: must be finite and not negative"),
        (lambda state: state.update(output=state["output"] * np.nan), "output: must be finite and not negative"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(change: Change, message: str, tmp_path: Path) -> None:
    model = gru4rec()
    state = {name: array.copy() for name, array in model.optimizer_state.items()}
    change(state)
    artifact = Artifact("gru4rec", model.config.model_dump(mode="json"), model.vocabulary, model.arrays(), {}, state)
    folder = artifact.write(tmp_path / "model")
    with pytest.raises(ArtifactError, match=rf"is not a valid gru4rec model: gru4rec\.optimizer_state\.{message}"):
        load(folder)
