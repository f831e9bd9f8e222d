"""Which models of a run are tested, and how the parts of its test cases are measured."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segue
from segue.errors import ArtifactError, ParameterError
from segue.evaluation.significance import holm, paired_tests
from segue.evaluation.slices import Partition
from segue.experiment.comparison.case_values import CaseValues, cases_file
from segue.experiment.comparison.verdicts import differences_of, run_choices, run_pairs, slices_of
from segue.experiment.results import ModelResult, Results
from segue.rng import generator


def row(label: str, *values: float, baseline: bool = False, metrics: tuple[str, ...] = ("recall@20", "mrr@20")):
    return ModelResult(
        model=label,
        label=label,
        baseline=baseline,
        config={},
        metrics=dict(zip(metrics, values, strict=True)),
        confidence={},
        fit_seconds=1.0,
        evaluate_seconds=1.0,
        peak_memory_mb=1.0,
    )


def values(seed: int, weighted: bool = True) -> CaseValues:
    rng = generator(seed, "test")
    columns = {"recall@20": rng.integers(0, 2, 60).astype(float), "mrr@20": rng.random(60), "gauc": rng.random(60)}
    weights = {"gauc": np.arange(60.0) % 4} if weighted else {}
    return CaseValues(np.arange(60) // 3, columns, weights, "hash", "key")


def test_models_are_compared_with_the_best_and_with_the_best_baseline() -> None:
    rows = [
        row("a", 0.5, 0.1),
        row("b", 0.3, 0.3),
        row("x", 0.4, 0.2, baseline=True),
        row("y", 0.1, 0.1, baseline=True),
    ]
    assert run_pairs(rows, ["recall@20"]) == [
        ("recall@20", "a", "b"),
        ("recall@20", "a", "x"),
        ("recall@20", "x", "b"),
    ]
    assert run_pairs(rows, ["mrr@20"]) == [("mrr@20", "b", "a"), ("mrr@20", "x", "a"), ("mrr@20", "b", "x")]
    best_is_a_baseline = [row("a", 0.2, 0), row("b", 0.3, 0), row("x", 0.4, 0, baseline=True)]
    assert run_pairs(best_is_a_baseline, ["recall@20"]) == [("recall@20", "x", "a"), ("recall@20", "x", "b")]
    nobody_asked = [row("x", 0.4, 0, baseline=True), row("y", 0.1, 0, baseline=True)]
    assert run_pairs(nobody_asked, ["recall@20"]) == [("recall@20", "x", "y")]
    assert run_pairs([row("a", 0.5, 0.1)], ["recall@20"]) == []


def test_tests_are_corrected_for_the_pairs_that_they_were_picked_from() -> None:
    one, two = row("a", 0.5, 0.1), row("b", 0.3, 0.3)
    x, y = row("x", 0.4, 0.2, baseline=True), row("y", 0.1, 0.1, baseline=True)
    # a b, a x, a y, b x, b y, but never x y, unless there is nothing else.
    assert [run_choices(rows) for rows in ([one, two, x, y], [one, x, y], [one, two], [x, y], [one])] == [5, 2, 1, 1, 0]
    cases = {label: values(seed) for seed, label in enumerate("ab")}
    pairs = [("recall@20", "a", "b"), ("mrr@20", "a", "b"), ("coverage@20", "a", "b")]
    found = differences_of(pairs, cases, seed=4, choices=5)
    p_values = np.array([one.p_value for one in found])
    np.testing.assert_array_equal([one.adjusted for one in found], holm(p_values, among=10))


def test_of_an_error_the_least_is_the_best() -> None:
    rows = [row("a", 0.5, metrics=("mae",)), row("b", 0.3, metrics=("mae",))]
    assert run_pairs(rows, ["mae"]) == [("mae", "b", "a")]


def test_tests_are_those_of_single_pairs_and_corrected_together() -> None:
    cases = {label: values(seed) for seed, label in enumerate("abc")}
    pairs = [("recall@20", "a", "b"), ("gauc", "a", "c"), ("mrr@20", "b", "c"), ("coverage@20", "a", "b")]
    found = differences_of(pairs, cases, seed=4)
    assert [(one.metric, one.one, one.other) for one in found] == pairs[:3]
    for one in found:
        difference = cases[one.one].values[one.metric] - cases[one.other].values[one.metric]
        weights = cases["a"].weights.get(one.metric)
        (alone,) = paired_tests(difference[:, None], cases["a"].groups, weights=weights, seed=4)
        assert one.p_value == alone.p_value
        assert (one.difference, *one.interval) == pytest.approx((alone.difference, *alone.interval))
    np.testing.assert_array_equal([one.adjusted for one in found], holm(np.array([one.p_value for one in found])))


def test_one_session_is_not_tested() -> None:
    one = values(0)
    alone = CaseValues(np.zeros(60, dtype=int), one.values, one.weights, "hash", "key")
    assert differences_of([("recall@20", "a", "b")], {"a": alone, "b": alone}, seed=0) == []


def test_a_part_is_measured_on_its_cases_alone() -> None:
    cases = {"a": values(0), "b": values(1)}
    part = Partition("half", ("first", "second", "one session"), np.repeat([0, 1, 2], [27, 30, 3]))
    found = slices_of([part], cases, seed=0)
    for label, slices in found.items():
        assert [one.label for one in slices] == ["first", "second", "one session"]
        assert [one.cases for one in slices] == [27, 30, 3]
        for one, members in zip(slices, (slice(0, 27), slice(27, 57), slice(57, 60)), strict=True):
            for metric, column in cases[label].values.items():
                weights = cases[label].weights.get(metric, np.ones(60))[members]
                assert one.metrics[metric] == pytest.approx(np.average(column[members], weights=weights))
                if len(column[members]) > 3:
                    low, high = one.confidence[metric]
                    assert low <= one.metrics[metric] <= high
        assert slices[2].confidence == {}


def test_a_part_whose_cases_do_not_count_in_a_metric_has_no_value_of_it() -> None:
    cases = {"a": values(0)}
    part = Partition("x", ("without weight", "rest"), (np.arange(60) % 4 > 0).astype(np.int64))
    without, rest = slices_of([part], cases, seed=0)["a"]
    assert without.metrics.keys() == {"recall@20", "mrr@20"}
    assert rest.metrics.keys() == {"recall@20", "mrr@20", "gauc"}


def test_values_come_back_as_they_were_written(tmp_path: Path) -> None:
    before, path = values(0), cases_file(tmp_path, "a")
    before.write(path)
    after = CaseValues.read(path)
    assert (after.hash, after.key) == ("hash", "key")
    np.testing.assert_array_equal(after.groups, before.groups)
    assert after.values.keys() == before.values.keys()
    for metric, column in before.values.items():
        np.testing.assert_array_equal(after.values[metric], column)
    assert after.weights.keys() == {"gauc"}
    some = CaseValues.read(path, ["mrr@20", "coverage@20"])
    assert (some.values.keys(), some.weights) == ({"mrr@20"}, {})
    with pytest.raises(ArtifactError, match=r"b\.parquet: is missing or damaged"):
        CaseValues.read(cases_file(tmp_path, "b"))


@pytest.fixture(scope="module")
def log() -> "segue.Events":
    rng = np.random.default_rng(0)
    items = (rng.integers(0, 20, 300)[:, None] + np.arange(6) * rng.integers(1, 3, 300)[:, None]) % 20
    times = np.arange(300)[:, None] * 7200 + np.arange(6) * 60
    kinds = pl.DataFrame({"item": range(20), "kind": ["a", "b"] * 10})
    table = {"session": np.repeat(np.arange(300), 6), "item": items.ravel(), "time": times.ravel()}
    return segue.read(pl.DataFrame(table), items=kinds)


def test_a_run_keeps_values_whose_means_are_its_figures(log: "segue.Events", tmp_path: Path) -> None:
    results = segue.run(segue.RunConfig(models=["markov"], slices=["kind"]), tmp_path / "run", events=log)
    written = Results.read(tmp_path / "run" / "results.json")
    assert (written.models, written.differences) == (results.models, results.differences)
    for model in results.models:
        cases = CaseValues.read(cases_file(tmp_path / "run", model.label))
        assert cases.hash == results.protocol["hash"]
        assert {metric: float(column.mean()) for metric, column in cases.values.items()} == {
            metric: model.metrics[metric] for metric in cases.values
        }
        assert model.metrics.keys() - cases.values.keys() == {"coverage@20"}
        by_kind = [one for one in model.slices if one.dimension == "kind of the target"]
        assert sum(one.cases for one in by_kind) == results.data["test_cases"]
        total = sum(one.cases * one.metrics["recall@20"] for one in by_kind) / results.data["test_cases"]
        assert total == pytest.approx(model.metrics["recall@20"])
    assert {one.one for one in results.differences} | {one.other for one in results.differences} >= {"markov"}
    p_values = np.array([one.p_value for one in results.differences])
    among = 2 * (len(results.models) - 1)
    np.testing.assert_array_equal([one.adjusted for one in results.differences], holm(p_values, among=among))
    lost = [one for one in results.differences if one.other == "markov" and one.difference > 0]
    assert bool(lost) == bool(results.verdicts)
    assert all(f"({one.verdict()})" in results.verdicts[0] for one in lost)


def test_slices_that_the_log_does_not_hold_are_refused_before_anything_is_written(
    log: "segue.Events", tmp_path: Path
) -> None:
    config = segue.RunConfig(models=["markov"], slices=["colour", "kind"])
    with pytest.raises(ParameterError, match=r"--slices: 'colour' must be length, .* there are: 'kind'"):
        segue.run(config, tmp_path / "run", events=log)
    assert not (tmp_path / "run").exists()
