"""Figures that look odd and are not, and how bad what is found is."""

import inspect
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from planted import Line, clicks, entry, few_test_sessions, visits

from segue.errors import ParameterError
from segue.evaluation.linter import lint
from segue.evaluation.linter.checks import run_checks
from segue.evaluation.linter.inputs import has_enough_sessions
from segue.evaluation.linter.results import (
    MAX_VALIDATION_CASES,
    RESULT_CHECKS,
    evaluate_validation,
    lint_results,
    row_of,
)
from segue.models.bpr import BPR
from segue.models.markov import Markov
from segue.models.popularity import Popularity


def found(row, *others):
    return run_checks(RESULT_CHECKS, row.label, entry(row, *others))


def test_a_loss_within_the_intervals_is_a_note():
    row = Line("m", {"mrr@20": 0.295})
    (finding,) = found(row, Line("b", {"mrr@20": 0.3}, baseline=True))
    assert (finding.severity, finding.subject) == ("note", "m")
    assert finding.message.startswith(
        "mrr@20 0.2950 is worse than the 0.3000 of the baseline b, and the intervals overlap"
    )


def test_baselines_and_winners_lose_to_nobody():
    rows = [Line("m", {"mrr@20": 0.4}), Line("a", {"mrr@20": 0.1}, baseline=True), Line("b", {"mrr@20": 0.3}, True)]
    assert lint_results(rows, ["mrr@20"]) == []


def test_few_test_sessions_are_no_ground_for_a_verdict():
    row = Line("m", {"recall@20": 1.0, "mrr@20": 0.06}, width=0.0)
    assert [one.code for one in lint_results([row], ["mrr@20"])] == ["order-in-list"]
    assert lint_results([row], ["mrr@20"], enough_sessions=False) == []
    failed = Line("m", {"recall@20": 1.0, "mrr@20": 0.06}, width=0.0, diagnostics={"train_auc": 0.6})
    assert [one.code for one in lint_results([failed], ["mrr@20"], enough_sessions=False)] == ["training-failed"]


def test_a_model_is_not_judged_by_few_test_sessions():
    data = few_test_sessions()
    assert has_enough_sessions(visits(clicks()))
    assert not has_enough_sessions(data)
    model = Popularity().fit(data.train)
    assert [one.code for one in lint(data, model)] == ["few-test-sessions"]


def test_days_that_are_easier_for_everyone_are_no_sign_of_a_bad_model():
    row = Line("m", {"mrr@20": 0.2}, validation={"mrr@20": 0.4})
    easier = Line("b", {"mrr@20": 0.1}, validation={"mrr@20": 0.19}, baseline=True)
    assert found(row, easier) == []


def test_validation_within_the_intervals_is_no_finding():
    assert found(Line("m", {"mrr@20": 0.2}, width=0.2, validation={"mrr@20": 0.4})) == []


def test_the_numbers_of_validation_above_test():
    row = Line("m", {"mrr@20": 0.2}, validation={"mrr@20": 0.4})
    (finding,) = found(row, Line("b", {"mrr@20": 0.1}, validation={"mrr@20": 0.11}, baseline=True))
    assert finding.message.startswith(
        "mrr@20 0.4000 on validation is 2.00 times the 0.2000 on the test (the baselines': 1.10 times)"
    )


def test_a_random_order_inside_the_lists_is_the_limit():
    by_chance = 0.5 * sum(1 / place for place in range(1, 21)) / 20
    assert found(Line("m", {"recall@20": 0.5, "mrr@20": by_chance})) == []
    (finding,) = found(Line("m", {"recall@20": 0.5, "mrr@20": 0.06}, width=0.001))
    assert finding.code == "order-in-list"


def test_fewer_targets_ranked_lower_are_no_matter_of_order():
    row = Line("m", {"recall@20": 0.4, "ndcg@20": 0.2, "map@20": 0.1})
    assert found(row, Line("o", {"recall@20": 0.5, "ndcg@20": 0.25, "map@20": 0.15})) == []


def test_a_low_recall_with_a_low_precision_is_just_a_bad_model():
    row = Line("m", {"recall@20": 0.2, "precision@20": 0.1})
    others = (Line(name, {"recall@20": 0.4, "precision@20": 0.2}) for name in ("a", "b"))
    assert found(row, *others) == []


def test_a_factorisation_that_learnt_is_no_finding():
    assert found(Line("bpr", {"mrr@20": 0.1}, diagnostics={"train_auc": 0.8})) == []


def overfitting(diagnostics: dict[str, float], **baselines: float) -> list[str]:
    """Messages on a factorisation with a recall of 0.2."""
    row = Line("bpr", {"recall@20": 0.2}, diagnostics=diagnostics)
    rows = [Line(label.replace("_", "-"), {"recall@20": value}, baseline=True) for label, value in baselines.items()]
    return [finding.message for finding in found(row, *rows) if finding.code == "overfitting"]


def test_a_high_train_auc_with_a_low_test_is_overfitting():
    (message,) = overfitting({"train_auc": 0.972}, popularity=0.3)
    assert message == (
        "train_auc 0.972 is excellent, but recall@20 0.2000 is below the 0.3000 of the baseline popularity: bpr "
        "overfits the training sessions; raise regularization, or lower embedding_size or training.epochs (als: "
        "training.iterations)"
    )
    (message,) = overfitting({"train_auc": 0.972}, popularity_7d=0.1, sequential_rules=0.41)
    assert "recall@20 0.2000 is below half of the 0.4100 of the baseline sequential-rules" in message
    assert overfitting({"train_auc": 0.972}, popularity=0.21) == []  # The intervals overlap.
    assert overfitting({"train_auc": 0.972}, popularity=0.1, markov=0.39) == []
    assert overfitting({"train_auc": 0.89}, popularity=0.3) == []
    assert overfitting({}, popularity=0.3) == []
    assert overfitting({"train_auc": 0.972}) == []


def test_a_validation_that_falls_is_overfitting():
    course = {"train_auc": 0.93, "validation_best": 0.2, "validation_cases": 1000.0}
    # The noise is 2 x sqrt(0.2 x 0.8 / 1000) = 0.0253, above a tenth of 0.2.
    (message,) = overfitting(course | {"validation_last": 0.174}, popularity=0.1)
    assert "is good, but validation fell from 0.2000 to 0.1740 during training: bpr overfits" in message
    assert overfitting(course | {"validation_last": 0.175}) == []
    assert overfitting(course | {"validation_last": 0.2}) == []
    many = course | {"validation_cases": 1e6}
    assert overfitting(many | {"validation_last": 0.181}) == []
    assert len(overfitting(many | {"validation_last": 0.179})) == 1


def test_overfitting_is_found_where_it_happens_and_nowhere_else():
    """Preferences that a factorisation can learn, and sessions of single, random items that it can only memorise."""
    rng = np.random.default_rng(0)
    sessions, length = np.repeat(np.arange(400), 8), 8
    taste = np.repeat(rng.integers(5, size=400), length)
    draws = {"taste": 20 * taste + rng.integers(20, size=3200), "noise": (100 * rng.random(3200) ** 3).astype(int)}
    outcome = {}
    for name, items in draws.items():
        frame = pl.DataFrame({"session": sessions, "item": items, "time": np.arange(3200) * 300})
        data = visits(frame, split={"valid_days": 2, "test_days": 2})
        model = BPR(embedding_size=64, regularization=0.0, training={"epochs": 300, "min_gain": None})
        rows = [
            replace(row_of(one.fit(data.train, valid=data.valid), data, 0), baseline=one.name != "bpr")
            for one in (model, Popularity())
        ]
        findings = lint_results(rows, data.protocol.ranking.headline)
        outcome[name] = [finding.code for finding in findings if finding.code == "overfitting"]
    assert outcome == {"taste": [], "noise": ["overfitting"]}


def test_validation_is_measured_on_cases_of_all_of_it():
    data = visits(clicks(), split={"valid_days": 4})
    evaluation = evaluate_validation(Popularity().fit(data.train), data)
    assert evaluation is not None
    assert data.valid is not None
    assert tuple(evaluation.metrics) == data.protocol.ranking.headline
    assert len(evaluation.groups) == len(data.valid) < MAX_VALIDATION_CASES


def test_lint_looks_at_the_log_and_then_at_the_model():
    data = visits(clicks())
    assert lint(data) == lint(data, Markov().fit(data.train)) == []
    assert lint(data, Popularity().fit(data.train)) == []
    disguised = Popularity().fit(data.train)
    disguised.ranks_by_popularity = False
    (finding,) = lint(data, disguised)
    assert (finding.code, finding.subject) == ("popularity-in-disguise", "popularity")
    assert str(finding).startswith("popularity: the lists do not depend on the session: ")


def test_a_factorisation_tells_how_its_training_went():
    data = visits(clicks())
    model = BPR(training={"epochs": 1, "learning_rate": 1e-6}).fit(data.train)
    assert "training-failed" in [finding.code for finding in lint(data, model)]


def test_what_is_no_data_set_is_refused():
    with pytest.raises(ParameterError, match=r"data: must be a Dataset, got DataFrame"):
        inspect.unwrap(lint)(clicks())  # Users have no checks of types, which would be first here.


def test_errors_are_better_when_they_are_lower():
    row = Line("m", {"rmse": 0.2}, validation={"rmse": 0.9})
    assert found(row, Line("b", {"rmse": 0.5}, baseline=True, validation={"rmse": 0.5})) == []


def test_labels_that_are_all_equal_tell_nothing_of_validation():
    frame = clicks().with_columns(rating=(pl.int_range(pl.len()) % 2).cast(pl.Float64))
    data = visits(frame, ranking={"candidates": "labeled"}, cases={"label_threshold": 1.0})
    data = replace(data, valid=replace(data.valid, labels=np.ones(len(data.valid))))
    assert evaluate_validation(Popularity().fit(data.train), data) is None


def test_of_an_error_the_higher_one_loses_and_so_does_what_is_no_number():
    baselines = [Line("a", {"mae": 0.9}, baseline=True), Line("b", {"mae": 0.5}, baseline=True)]
    (finding,) = found(Line("m", {"mae": 0.7}), *baselines)
    assert finding.severity == "warning"
    assert finding.message.startswith("mae 0.7000 is worse than the 0.5000 of the baseline b: ")
    assert found(Line("m", {"mae": 0.4}), *baselines) == []
    (finding,) = found(Line("m", {"mae": float("nan")}), *baselines)
    assert finding.severity == "warning"


def test_lists_are_not_compared_with_those_of_validation_which_has_other_cases():
    row = Line("m", {"coverage@20": 0.2}, validation={"coverage@20": 0.9})
    assert found(row) == []
