"""A blend: the contract, the sum of shares against a naive one, the weights, and what is refused where."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from chains import Task, browsing, markov_chain, prefixes
from contract import ModelContract

from segue.data.cases import Cases
from segue.data.sessions import Prefixes
from segue.data.vocabulary import ItemOrder
from segue.errors import ParameterError
from segue.evaluation.measure import measure
from segue.evaluation.ranking import top_k
from segue.metrics import MetricName
from segue.models.blend import Blend
from segue.models.blending.weights import BlendedCases, best_weights, choose_weights
from segue.models.markov import Markov
from segue.models.popularity import Popularity
from segue.models.registry import load
from segue.models.sasrec import SASRec
from segue.models.session_popularity import SessionPopularity
from segue.models.v_sknn import VSKNN

SMALL_SASREC: dict = {
    "embedding_size": 16,
    "max_length": 8,
    "dropout": 0.0,
    "training": {"batch_size": 32, "epochs": 6, "learning_rate": 0.01},
}


class TestBlend(ModelContract):
    model = Blend
    parameters: ClassVar = {"models": ["sasrec", "markov"], "parameters": {"sasrec": SMALL_SASREC}, "candidates": 12}
    make_task = staticmethod(markov_chain)

    @classmethod
    def brief(cls) -> Blend:
        short = {**SMALL_SASREC, "training": {**SMALL_SASREC["training"], "epochs": 1}}
        return Blend(**{**cls.parameters, "parameters": {"sasrec": short}})


class TestBlendOfRanks(ModelContract):
    model = Blend
    parameters: ClassVar = {"models": ["sequential-rules", "markov"], "combine": "rrf", "candidates": 12}
    make_task = staticmethod(markov_chain)


@pytest.fixture(scope="module")
def log() -> tuple:
    return browsing()


@pytest.fixture(scope="module")
def fitted(log: tuple) -> tuple:
    train, running = log
    return (SASRec(**SMALL_SASREC).fit(train), VSKNN().fit(train), Markov().fit(train)), prefixes(*running[:60])


WEIGHTS = {"sasrec": 2.0, "v-sknn": 1.0, "markov": 1.0}


def naive(models: tuple, some: Prefixes, depth: int, combine: str) -> np.ndarray:
    """Return the scores of a blend, item by item."""
    total = 0.0
    for model in models:
        scores = model.score(some).double().numpy()[:, 1:]
        best = -np.sort(-scores, axis=1)[:, :depth]
        weight = WEIGHTS[model.name] / 4
        if model.scores_are_logits:
            shares = np.exp(scores) / np.exp(best).sum(1, keepdims=True)
        else:
            sums = best.sum(1, keepdims=True)
            shares = scores / np.where(sums > 0, sums, 1)
        floor = 1e-6 if model.scores_are_logits else 1e-3
        total = total + weight * (shares if combine == "linear" else np.log(1 + shares / floor))
    return total


@pytest.mark.parametrize("depth", [1, 7, 60, 500])
@pytest.mark.parametrize("combine", ["linear", "log-linear"])
def test_scores_are_the_weighted_sum_of_shares_or_of_their_logarithms(combine: str, depth: int, fitted: tuple) -> None:
    models, some = fitted
    blend = Blend.of(models, weights=WEIGHTS, combine=combine, candidates=depth)
    expected = naive(models, some, depth, combine)
    np.testing.assert_allclose(blend.score(some).numpy()[:, 1:], expected, rtol=1e-4, atol=1e-7)
    items = np.tile(np.arange(1, 30), (len(some), 1))
    np.testing.assert_allclose(blend.score_items(some, items).numpy(), expected[:, :29], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("combine", ["log-linear", "linear", "rrf"])
@pytest.mark.parametrize(("depth", "k"), [(1, 1), (1, 10), (7, 3), (7, 20), (60, 60), (500, 10)])
def test_lists_are_those_of_the_scores(combine: str, depth: int, k: int, fitted: tuple) -> None:
    models, some = fitted
    blend = Blend.of(models, weights=WEIGHTS, combine=combine, candidates=depth)
    allowed = np.arange(61) % 3 > 0
    for options in ({}, {"exclude": some}, {"allowed": allowed}, {"allowed": allowed, "exclude": some}):
        items, values = blend.top_k(some, k, **options)
        scores = blend.score(some)
        expected, expected_values = top_k(scores, k, order=blend.vocabulary.order, **options)
        np.testing.assert_allclose(values, expected_values, rtol=1e-4)
        differ = items != expected  # Only where sums that are added up in another way are equal but for rounding.
        np.testing.assert_allclose(
            scores.numpy()[np.nonzero(differ)[0], items[differ]], expected_values[differ], rtol=1e-4
        )
        assert differ.mean() < 0.02


def test_ranks_give_the_inverse_of_60_and_the_rank(fitted: tuple) -> None:
    (_, knn, markov), some = fitted
    blend = Blend.of([knn, markov], combine="rrf", candidates=5)
    assert blend.weights.tolist() == [0.5, 0.5]
    expected = np.zeros((len(some), 61))
    for model in (knn, markov):
        items, values = model.top_k(some, 5)
        for row, place in np.argwhere(values > 0):
            expected[row, items[row, place]] += 0.5 / (60 + 1 + place)
    np.testing.assert_allclose(blend.score(some).numpy()[:, 1:], expected[:, 1:], rtol=1e-5)


def test_what_all_items_are_scored_for_is_rare(fitted: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    models, some = fitted
    blend = Blend.of(models, weights=WEIGHTS, candidates=30)
    scored = []
    plain = blend._score
    monkeypatch.setattr(blend, "_score", lambda part: scored.append(len(part)) or plain(part))
    blend.top_k(some, 3)
    assert sum(scored) < 0.1 * len(some)


def test_validation_chooses_the_weights(task: Task, helped: Blend) -> None:
    valid, test = task.cases[:300], task.cases[300:]
    ranking = {"metrics": ["ndcg@20"]}
    of_blend = measure(helped, valid, ranking).metrics["ndcg@20"]
    for part in helped.parts.values():
        assert of_blend >= measure(part, valid, ranking).metrics["ndcg@20"]
    rest = [measure(part, test, ranking).metrics["ndcg@20"] for part in helped.parts.values()]
    assert measure(helped, test, ranking).metrics["ndcg@20"] > min(rest)
    assert helped.weights.sum() == pytest.approx(1)
    assert helped.notes[0].startswith("weights: ")
    assert f"(ndcg@20 {of_blend:.4f})" in helped.notes[0]


@pytest.mark.parametrize("metric", ["ndcg@20", "recall@45", "ndcg"])
@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("several", [False, True])
def test_the_metric_that_chooses_the_weights_is_that_of_an_evaluation(several: bool, depth: int, metric: str) -> None:
    """Also where shares are those of fewer items than the metric ranks, and where a case has several targets."""
    task = markov_chain(n_items=50)
    models = [Markov().fit(task.train), VSKNN().fit(task.train)]
    valid = task.cases[:200]
    if several:
        following = valid.targets % 50 + 1
        pairs = np.ravel(np.stack([valid.targets, following], axis=1))
        valid = Cases(valid.prefixes, pairs, valid.groups, offsets=np.arange(0, 401, 2))
    blend = Blend.of(models, valid=valid, candidates=depth, metric=metric)
    value = measure(blend, valid, {"metrics": [metric]}).metrics[metric]
    assert f"({metric} {value:.4f})" in blend.notes[0]


@pytest.mark.parametrize("metrics", [("recall@5", "mrr@20"), ("recall@20", "mrr@5")])
def test_of_several_metrics_the_geometric_mean_chooses(metrics: tuple[str, str], task: Task) -> None:
    """In the first case, the weights for the first metric alone are worse, in the second those for the last one."""
    valid = task.cases[:300]
    models = [Markov().fit(task.train), SessionPopularity().fit(task.train), VSKNN().fit(task.train)]

    def product(blend: Blend) -> float:
        values = measure(blend, valid, {"metrics": metrics}).metrics
        return values[metrics[0]] * values[metrics[1]]

    both = Blend.of(models, valid=valid, metric=", ".join(metrics))
    mean = f"the geometric mean of {metrics[0]} and {metrics[1]}"
    assert f"({mean} {product(both) ** 0.5:.4f})" in both.notes[0]
    assert f"to {mean} on validation; without it" in " ".join(both.notes)
    alone = [product(Blend.of(models, valid=valid, metric=metric)) for metric in metrics]
    assert product(both) == max(alone) > min(alone)


def test_of_several_metrics_each_case_has_its_share_of_the_geometric_mean() -> None:
    rng = np.random.default_rng(0)
    items = np.tile(np.arange(1, 13, dtype=np.int32), (40, 1))
    cases = BlendedCases(
        candidates=items[:, :-1],
        shares=rng.random((2, 40, 11)).astype(np.float32),
        targets=items[:, -1:],
        own=rng.random((2, 40, 1)).astype(np.float32),
        order=ItemOrder.of(np.arange(1, 13, dtype=np.int32)),
        groups=np.arange(40),
    )
    weights, recall, mrr = np.array([0.5, 0.5]), MetricName.parse("recall@5"), MetricName.parse("mrr@5")
    alone = [cases.values(weights, [metric]) for metric in (recall, mrr)]
    both = cases.values(weights, [recall, mrr])
    assert both.mean() == pytest.approx((alone[0].mean() * alone[1].mean()) ** 0.5)
    np.testing.assert_allclose(cases.values(weights, [mrr, mrr]), alone[1])
    np.testing.assert_allclose(both, both.mean() * (alone[0] / alone[0].mean() + alone[1] / alone[1].mean()) / 2)
    missed = replace(cases, own=np.zeros_like(cases.own))
    assert not missed.values(weights, [recall, mrr]).any()


@pytest.fixture(scope="module")
def task() -> Task:
    return markov_chain()


@pytest.fixture(scope="module")
def helped(task: Task) -> Blend:
    models = {"models": ["markov", "popularity", "v-sknn"]}
    return Blend(**models).fit(task.train, valid=task.cases[:300])


def test_weights_find_the_top_of_a_hill() -> None:
    top = np.array([0.1, 0.7, 0.2])
    found = best_weights(lambda weights: -float(((weights - top) ** 2).sum()), range(3), 3)
    np.testing.assert_allclose(found, top, atol=1 / 64)
    assert found.sum() == pytest.approx(1)
    without = best_weights(lambda weights: -float(((weights - top) ** 2).sum()), [0, 2], 3)
    assert without[1] == 0


def test_no_blend_without_a_model_is_better_than_the_one_that_is_chosen() -> None:
    metrics, escaped = [MetricName.parse("mrr@5")], 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        items = np.tile(np.arange(1, 13, dtype=np.int32), (30, 1))
        cases = BlendedCases(
            candidates=items[:, :-1],
            shares=rng.random((4, 30, 11)).astype(np.float32) ** 4,
            targets=items[:, -1:],
            own=rng.random((4, 30, 1)).astype(np.float32) ** 2,
            order=ItemOrder.of(np.arange(1, 13, dtype=np.int32)),
            groups=np.arange(30),
        )
        chosen = choose_weights(cases, metrics)
        assert chosen.value >= np.nanmax(chosen.without)
        assert chosen.value == pytest.approx(cases.values(chosen.weights, metrics).mean())
        moved = best_weights(lambda weights, cases=cases: float(cases.values(weights, metrics).mean()), range(4), 4)
        escaped += chosen.value > cases.values(moved, metrics).mean()
    assert escaped


def test_without_validation_cases_all_weights_are_equal(task: Task, caplog: pytest.LogCaptureFixture) -> None:
    blend = Blend(models=["markov", "popularity"]).fit(task.train)
    assert blend.weights.tolist() == [0.5, 0.5]
    assert blend.notes[0] == "all models have the same weight, because there are no validation cases"
    assert "set blend.weights, or fit like a blend of a run" in caplog.text


def test_only_the_ratios_of_given_weights_matter(task: Task) -> None:
    models = [Markov().fit(task.train), Popularity().fit(task.train)]
    blend = Blend.of(models, weights={"markov": 1.5e308, "popularity": 0.5e308})
    assert blend.weights.tolist() == [0.75, 0.25]


def test_excluded_items_count_for_no_weight(task: Task) -> None:
    """Where items of the session are not candidates, a model that repeats them gets nothing for it."""
    cases = task.cases[:200]
    unseen = Cases(cases.prefixes, cases.targets, cases.groups, exclude_seen=True)
    blend = Blend(models=["session-popularity", "markov"]).fit(task.train, valid=unseen)
    value = measure(blend, unseen, {"metrics": ["ndcg@20"]}).metrics["ndcg@20"]
    assert f"(ndcg@20 {value:.4f})" in blend.notes[0]


def test_it_is_saved_and_updated_as_one(log: tuple, tmp_path: Path) -> None:
    train, running = log
    some = prefixes(*running[:20])
    first, last = (train.select(rows) for rows in np.split(np.arange(len(train)), [len(train) - 20]))
    own = {"v-sknn": {"updatable": True}, "sasrec": SMALL_SASREC}
    blend = Blend(models=["v-sknn", "sasrec"], parameters=own).fit(first)
    loaded = load(blend.save(tmp_path / "blend"))
    assert torch.equal(loaded.score(some), blend.score(some))
    updated = loaded.update(last)
    assert torch.equal(updated.parts["v-sknn"].score(some), VSKNN(updatable=True).fit(train).score(some))
    assert not torch.equal(updated.parts["sasrec"].score(some), loaded.parts["sasrec"].score(some))
    assert updated.weights.tolist() == blend.weights.tolist()
    with pytest.raises(
        ParameterError,
        match=r"with --set blend.parameters.v-sknn.updatable=true --set blend.parameters.markov.updatable=true$",
    ):
        Blend(models=["v-sknn", "markov"]).fit(first).update(last)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"models": ["markov"]}, "blend.models: must be two or more different models"),
        ({"models": ["markov", "markov"]}, "blend.models: must be two or more different models"),
        ({"models": ["markov", "markow"]}, "blend.models: unknown model 'markow': did you mean 'markov'?"),
        ({"models": ["markov", "blend"]}, "blend.models: unknown model 'blend'"),
        (
            {"parameters": {"als": {}}},
            "blend.parameters: must be for models of the blend (gru4rec, v-sknn), not for",
        ),
        ({"parameters": {"v-sknn": {"k": 0}}}, "blend.parameters.v-sknn.k: must be greater than or equal to 1, got 0"),
        ({"weights": {"gru4rec": 1.0}}, "blend.weights: must be a weight for each model (v-sknn has none)"),
        (
            {"weights": {"gru4rec": -1.0, "v-sknn": 1.0}},
            "blend.weights: must be weights of at least 0, one of",
        ),
        ({"metric": "gauc"}, "blend.metric: must be a metric of ranks"),
        ({"metric": "mrr@20,gauc"}, "blend.metric: must be a metric of ranks"),
        ({"metric": "mrr@20,"}, "blend.metric: must be one metric, or several different ones, separated by commas"),
        ({"metric": "mrr@20, mrr@20"}, "blend.metric: must be one metric, or several different ones"),
        ({"metric": "mrr@20,ndgc@20"}, "blend.metric: unknown metric 'ndgc@20': did you mean 'ndcg@20'?"),
        ({"combine": "scores"}, "blend.combine: must be"),
    ],
)
def test_mistakes_are_named(parameters: dict, line: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Blend(**parameters)
    assert str(caught.value).startswith(line)


def test_models_of_different_catalogues_are_refused(fitted: tuple, task: Task) -> None:
    with pytest.raises(ParameterError, match="models: "):
        Blend.of([fitted[0][1], Popularity().fit(task.train)])
