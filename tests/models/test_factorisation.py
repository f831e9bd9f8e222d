"""ALS and BPR: against implicit itself and worked by hand, and what their training says of itself."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from chains import blocks, browsing, prefixes, sessions, skewed
from contract import ModelContract
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.errors import DivergedError, ParameterError
from segue.evaluation.measure import measure
from segue.models.als import ALS
from segue.models.bpr import BPR, BPRTraining, _remarks
from segue.models.factorisation import LeastSquares
from segue.models.pairwise_ranking import climb, draw_negative
from segue.nn.sampling import alias_table
from segue.progress import Progress
from segue.protocols.ranking import Ranking
from segue.rng import generator
from segue.training.runtime import Runtime


class TestALS(ModelContract):
    model = ALS
    parameters: ClassVar = {"embedding_size": 8}
    make_task = staticmethod(blocks)


class TestBPR(ModelContract):
    model = BPR
    parameters: ClassVar = {"embedding_size": 8}
    make_task = staticmethod(blocks)


def dense(lists: list[np.ndarray], n_items: int, weights: list[np.ndarray] | None = None) -> csr_matrix:
    """Count items session by session, as a matrix without a column for padding."""
    counts = np.zeros((len(lists), n_items + 1), dtype=np.float32)
    for row, items in enumerate(lists):
        for place, item in enumerate(items):
            counts[row, item] += 1 if weights is None else weights[row][place]
    return csr_matrix(counts[:, 1:])


def matrix(log: Sessions, weights: np.ndarray | None = None) -> csr_matrix:
    cuts = log.offsets[1:-1]
    split = None if weights is None else np.split(weights, cuts)
    return dense(np.split(log.items, cuts), len(log.vocabulary), split)


def implicit_als(log: Sessions, weights: np.ndarray | None = None, **parameters: Any) -> AlternatingLeastSquares:
    trainer = AlternatingLeastSquares(random_state=generator(0, "als"), num_threads=1, **parameters)
    trainer.fit(matrix(log, weights), show_progress=False)
    return trainer


def test_als_folds_in_as_implicit_does() -> None:
    log, running = browsing()
    model = ALS(embedding_size=12, alpha=3.0, regularization=0.1).fit(log)
    oracle = AlternatingLeastSquares(factors=12, alpha=3.0, regularization=0.1, num_threads=1)
    oracle.item_factors = model.item_factors[1:].copy()
    users = oracle.recalculate_user(np.arange(len(running)), dense([np.array(one) for one in running], 60))
    scores = model.score(prefixes(*running, [])).numpy()
    np.testing.assert_allclose(scores[:-1, 1:], users @ oracle.item_factors.T, atol=1e-5)
    assert not scores[-1].any()


@pytest.mark.parametrize("c", [0.01, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("length", [2, 9])
def test_a_fold_in_with_items_added_later_solves_its_system(c: float, length: int) -> None:
    """What a session holds of the new items is wanted; that it does not hold the others of them says nothing."""
    factors = torch.from_numpy(np.random.default_rng(0).normal(size=(13, 4)).astype(np.float32))
    factors[0] = 0.0
    solver, items = LeastSquares(factors, 0.1, n_items=9), np.arange(13 - length, 13)
    confidence = csr_matrix((np.full(length, c), items, [0, length]), shape=(1, 13))
    y = factors.double().numpy()
    left = y[:10].T @ y[:10] + 0.1 * np.eye(4)
    left += sum((c - (item <= 9)) * np.outer(y[item], y[item]) for item in items)
    expected = np.linalg.solve(left, c * y[items].sum(axis=0))
    np.testing.assert_allclose(solver.fold_in(confidence)[0].numpy(), expected, rtol=1e-4)


def test_als_is_trained_as_by_implicit() -> None:
    log, _ = browsing()
    model = ALS(preset="implicit", embedding_size=12, alpha=2.0).fit(log)
    oracle = implicit_als(log, factors=12, alpha=2.0, regularization=0.01, iterations=15)
    np.testing.assert_allclose(model.item_factors[1:], oracle.item_factors, rtol=1e-4, atol=1e-5)


def test_an_event_loses_half_its_confidence_in_the_half_life() -> None:
    log, _ = browsing()
    model = ALS(
        embedding_size=12,
        regularization=0.01,
        alpha=1.0,
        half_life_days=10,
        training={"iterations": 3, "tolerance": None},
    ).fit(log)
    assert log.times is not None
    weights = 0.5 ** ((log.times[-1] - log.times) / (10 * 24 * 3600))
    oracle = implicit_als(log, weights, factors=12, regularization=0.01, iterations=3)
    # Single precision, whose last digits depend on the processor.
    np.testing.assert_allclose(model.item_factors[1:], oracle.item_factors, atol=5e-4)


def test_a_half_life_needs_times() -> None:
    log = sessions([[1, 2], [1, 3]], 3, times=False)
    with pytest.raises(ParameterError, match=r"als\.half_life_days: needs a log with times and this one has none, got"):
        ALS(half_life_days=30).fit(log)


@pytest.mark.parametrize("epochs", [7, 20])
def test_bpr_is_trained_as_by_implicit(epochs: int) -> None:
    log, _ = browsing()
    training = {"epochs": epochs, "learning_rate": 0.05, "min_gain": None}
    model = BPR(embedding_size=12, regularization=0.01, training=training).fit(log)
    oracle = BayesianPersonalizedRanking(
        factors=12, regularization=0.01, iterations=epochs, learning_rate=0.05, random_state=generator(0, "bpr")
    )
    oracle.num_threads = 1
    oracle.fit(matrix(log), show_progress=False)
    np.testing.assert_array_equal(model.item_factors[1:], oracle.item_factors[:, :-1])
    np.testing.assert_array_equal(model.item_biases[1:], oracle.item_factors[:, -1])
    means = np.stack([model.item_factors[items].mean(axis=0) for items in np.split(log.items, log.offsets[1:-1])])
    scale, *_ = np.linalg.lstsq(means.reshape(-1, 1), oracle.user_factors[:, :-1].ravel())
    np.testing.assert_allclose(model.scale, scale, rtol=1e-4)


def test_bpr_folds_in_the_mean_of_the_events() -> None:
    log, running = browsing()
    model = BPR(embedding_size=12).fit(log)
    for prefix, row in zip([*running[:20], []], model.score(prefixes(*running[:20], [])).numpy(), strict=True):
        mean = sum(model.item_factors[item] for item in prefix) / max(1, len(prefix)) + np.zeros(12)
        np.testing.assert_allclose(row, model.item_factors @ (model.scale * mean) + model.item_biases, atol=1e-5)


@pytest.mark.parametrize("kind", [ALS, BPR])
def test_counts_matter_and_their_order_does_not(kind: type[ALS | BPR]) -> None:
    log, _ = browsing()
    one, turned, more = kind(embedding_size=12).fit(log).score(prefixes([3, 9, 3], [9, 3, 3], [3, 9])).numpy()
    np.testing.assert_allclose(one, turned, atol=1e-6)
    assert np.abs(one - more).max() > 1e-3


@pytest.mark.parametrize("kind", [ALS, BPR])
def test_threads_change_nothing(kind: type[ALS | BPR], monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = browsing()
    fits = []
    for threads in (1, 3):
        monkeypatch.setattr("torch.get_num_threads", lambda threads=threads: threads)
        fits.append(kind(embedding_size=12).fit(log).item_factors)
    np.testing.assert_array_equal(*fits)


def test_a_blas_with_threads_is_held_back_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("implicit.utils._checked_blas_config", False)
    with threadpool_limits(2, "blas"), warnings.catch_warnings():
        warnings.simplefilter("error")
        ALS(embedding_size=2).fit(blocks().train)


class Recorded(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def task(self, name: str, total: int) -> Iterator["Recorded"]:
        self.total = total
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.notes.append(note)


def test_als_stops_when_the_loss_stays() -> None:
    log, progress = blocks().train, Recorded()
    model = ALS(embedding_size=8, training={"iterations": 50, "tolerance": 0.01}).fit(
        log, runtime=Runtime(progress=progress)
    )
    losses = [float(note.removeprefix("loss ")) for note in progress.notes]
    gains = 1 - np.array(losses[1:]) / losses[:-1]
    assert len(losses) < progress.total == 50
    assert gains[-1] < 0.01 <= gains[:-1].min()
    assert model.notes[0].startswith(f"{len(losses)} of 50 iterations, the last of which lowered the loss by 0.")
    assert (
        ALS(embedding_size=8, training={"iterations": 2})
        .fit(log)
        .notes[0]
        .endswith("a higher training.iterations may give more")
    )


def test_bpr_stops_when_train_auc_stays() -> None:
    log, progress = browsing()[0], Recorded()
    training = {"epochs": 300, "check_epochs": 5, "min_gain": 0.005}
    model = BPR(embedding_size=8, training=training).fit(log, runtime=Runtime(progress=progress))
    aucs = [float(note.split("%")[0].removeprefix("train_auc ")) for note in progress.notes]
    assert len(aucs) < progress.total == 300
    gains = np.diff(aucs[4::5])
    assert len(aucs) % 5 == 0
    assert gains[-1] < 0.5 + 0.11  # The notes are rounded to a tenth of a point.
    assert gains[:-1].min() >= 0.5 - 0.11
    assert all(0 < float(note.split("skipped ")[1].removesuffix("%")) < 50 for note in progress.notes)
    band = "excellent" if aucs[-1] >= 95 else "good" if aucs[-1] >= 90 else "weak"
    assert model.notes[0].startswith(f"train_auc {aucs[-1] / 100:.3f} ({band}) on a dense log (density 0.")
    assert f") after {len(aucs)} epochs: " in model.notes[0]


@pytest.mark.parametrize(
    ("auc", "advice"),
    [
        (0.95, "if the test metrics are low, the model overfits"),
        (0.94, "check the test metrics"),
        (0.89, "more training.epochs or another training.learning_rate may help, though sparse logs normally end betw"),
        (0.79, "the training failed; try another training.learning_rate"),
    ],
)
def test_advice_follows_from_train_auc(auc: float, advice: str) -> None:
    plan = BPRTraining(epochs=3, check_epochs=1)
    (note,) = _remarks([0.5, 0.6, auc, auc], plan, "train_auc")
    assert note.startswith(f"train_auc after 4 epochs: {advice}")
    _, more = _remarks([0.5, 0.6, auc], plan, "train_auc")
    assert more == "train_auc still rose when the 3 epochs were used up: a higher training.epochs may give more"


def validated(log: Sessions) -> Cases:
    """Cases of 40 sessions of the log: the last event is wanted, those before it are known."""
    starts, ends = log.offsets[:40], log.offsets[1:41] - 1
    return Cases(Prefixes(log.items, starts, ends, vocabulary=log.vocabulary), log.items[ends], np.arange(40))


@pytest.mark.parametrize("kind", [ALS, BPR])
def test_each_pass_is_reported_and_validation_changes_nothing(kind: type[ALS | BPR]) -> None:
    log, curve = browsing()[0], []
    passes = {"iterations": 12, "tolerance": None} if kind is ALS else {"epochs": 12, "min_gain": None}
    runtime = Runtime(on_epoch_end=lambda stage, record: curve.append((stage, record)))
    model = kind(embedding_size=8, training=passes).fit(log, valid=validated(log), runtime=runtime)
    plain = kind(embedding_size=8, training=passes).fit(log)
    np.testing.assert_array_equal(model.item_factors, plain.item_factors)
    assert {stage for stage, _ in curve} == {"factorisation"}
    assert [record.epoch for _, record in curve] == list(range(12))
    last = curve[-1][1]
    assert last.validation == measure(model, validated(log), Ranking(metrics=("mrr@20",))).metrics["mrr@20"]
    values = [record.validation for _, record in curve if record.validation is not None]
    assert len(values) == (12 if kind is ALS else 2)  # BPR validates where it checks its convergence.
    expected = {"train_auc": last.train_auc, "validation_best": max(values), "validation_last": values[-1]}
    assert model.diagnostics == expected | {"validation_cases": 40} | ({} if kind is ALS else {"skipped": last.skipped})
    assert plain.diagnostics["train_auc"] == last.train_auc
    assert all(0 < record.train_auc <= 1 for _, record in curve)
    assert all((record.skipped is None) == (kind is ALS) for _, record in curve)
    assert all(np.isnan(record.loss) == (kind is BPR) for _, record in curve)
    assert curve[-1][1].train_auc > curve[0][1].train_auc


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(DivergedError, match=r"the item factors are no longer finite: lower training\.learning_rate"):
        BPR(embedding_size=4, training={"learning_rate": 1e9}).fit(blocks().train)


class TestBPRWithUniformNegatives(ModelContract):
    model = BPR
    parameters: ClassVar = {"embedding_size": 8, "training": {"alpha": 0.0, "n_samples": 2, "candidate_num": 2}}
    make_task = staticmethod(blocks)


def table(weights: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.arange(len(weights)), *alias_table(np.array(weights, dtype=np.float64))


def drawn(own: list[int], weights: list[float], candidate_num: int = 1, scores: list[float] | None = None) -> list[int]:
    rng, factors = np.random.default_rng(0), np.array(scores or [0.0] * len(weights), dtype=np.float32)[:, None]
    user, owned, sampler = np.ones(1, dtype=np.float32), np.array(own, dtype=np.int64), table(weights)
    return [draw_negative(rng, owned, sampler, user, factors, candidate_num) for _ in range(20_000)]


def test_negatives_come_by_their_weights_and_never_from_the_session() -> None:
    shares = np.bincount(drawn([1, 3], [1, 1, 1, 1, 1, 1]), minlength=6) / 20_000
    np.testing.assert_allclose(shares, [0.25, 0, 0.25, 0, 0.25, 0.25], atol=0.02)
    shares = np.bincount(drawn([0], [5, 1, 2, 3]), minlength=4) / 20_000
    np.testing.assert_allclose(shares, [0, 1 / 6, 2 / 6, 3 / 6], atol=0.02)


def test_of_several_candidates_the_best_scored_one_is_the_negative() -> None:
    """Of two uniform draws among three items, the best one is item 2 in 5 of 9 cases and item 1 in 1 of 9."""
    shares = np.bincount(drawn([], [1, 1, 1], 2, [0.5, 0.1, 0.9]), minlength=3) / 20_000
    np.testing.assert_allclose(shares, [3 / 9, 1 / 9, 5 / 9], atol=0.02)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_the_steps_of_pairwise_ranking_are_those_of_its_formulas(n_samples: int) -> None:
    """One session holds items 0 and 1 of three, so that each negative is item 2."""
    rng = np.random.default_rng(3)
    user, items = rng.normal(size=(1, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    user[:, -1] = 1.0
    x, y, right = user[0].astype(float), items.astype(float), 0
    for item in [1] * n_samples + [0] * n_samples:
        margin = x @ (y[item] - y[2])
        right += margin > 0
        pull = 1 / (1 + np.exp(margin))
        slope = np.append(pull * (y[item] - y[2])[:3] - 0.1 * x[:3], 0.0)
        x, y[item], y[2] = (
            x + 0.5 * slope,
            y[item] + 0.5 * (pull * x - 0.1 * y[item]),
            y[2] + 0.5 * (-pull * x - 0.1 * y[2]),
        )
    held = np.array([0, 1]), np.array([0, 2])
    arguments = np.array([1, 0]), np.zeros(2, dtype=np.int64), held, table([1, 1, 1]), user, items
    step = np.float32(0.5), np.float32(0.1)
    assert climb(rng, *arguments, (n_samples, 1), step) == (right, 0)
    np.testing.assert_allclose(user[0], x, rtol=1e-4)
    np.testing.assert_allclose(items, y, rtol=1e-4)


def test_a_session_that_holds_all_items_has_no_negatives() -> None:
    everything = sessions([[1, 2, 3], [1, 2], [3, 1]], 3)
    progress = Recorded()
    BPR(embedding_size=2, training={"alpha": 0.0, "epochs": 2}).fit(everything, runtime=Runtime(progress=progress))
    assert [note.split("skipped ")[1] for note in progress.notes] == ["42.9%"] * 2


def test_uniform_negatives_give_popular_items_larger_biases() -> None:
    log = skewed().train
    popular, uniform = (BPR(embedding_size=4, training={"alpha": alpha}).fit(log) for alpha in (1.0, 0.0))
    support = log.vocabulary.support[1:]
    by_popularity, uniformly = (np.corrcoef(support, one.item_biases[1:])[0, 1] for one in (popular, uniform))
    assert uniformly > 0.8 > by_popularity
