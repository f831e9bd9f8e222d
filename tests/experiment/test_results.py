import json
import math
import random
from pathlib import Path

import numpy as np
import pytest

from made_up import PROTOCOL
from segue.errors import ArtifactError
from segue.experiment.comparison.case_values import CaseValues
from segue.experiment.comparison.verdicts import OVERLAP, differences_of, run_pairs, verdicts_of
from segue.experiment.results import Difference, Epoch, ModelResult, Results, Slice

DATA = {"test_cases": 1, "stages": [{"step": "read", "part": "log", "dropped": 0, "events": 1, "items": 1}]}


def row(label: str, value: float, half: float, *, baseline: bool) -> ModelResult:
    return ModelResult(
        model=label,
        label=label,
        baseline=baseline,
        config={},
        metrics={"mrr@20": value},
        confidence={"mrr@20": (value - half, value + half)},
        fit_seconds=1.0,
        evaluate_seconds=1.0,
        peak_memory_mb=1.0,
    )


def test_a_model_below_the_best_baseline_is_named_with_both_values() -> None:
    rows = [row("m", 0.2, 0.01, baseline=False), row("a", 0.1, 0.01, baseline=True), row("b", 0.3, 0.01, baseline=True)]
    assert verdicts_of(rows, ["mrr@20"]) == ["m loses to the baseline b on mrr@20: 0.2000 against 0.3000"]


def test_a_model_is_beaten_unless_it_beats_the_same_baseline_by_the_first_metric() -> None:
    def compared(one: str, other: str, metric: str, difference: float, *, significant: bool = True) -> Difference:
        interval = (difference - 0.01, difference + 0.01)
        certain = {"p_value": 0.01, "adjusted": 0.01, "significant": significant}
        return Difference(one=one, other=other, metric=metric, difference=difference, interval=interval, **certain)

    def beaten(*tests: Difference) -> dict[str, str]:
        rows = [row("m", 0.2, 0.01, baseline=False), row("b", 0.1, 0.01, baseline=True)]
        headline = {"headline": ["recall@20", "mrr@20"]}
        return Results.model_construct(models=rows, protocol=headline, differences=list(tests)).beaten()

    assert beaten(compared("m", "b", "mrr@20", -0.1)) == {"m": "loses to b on mrr@20"}
    assert beaten(compared("b", "m", "mrr@20", 0.1)) == {"m": "loses to b on mrr@20"}
    assert beaten(compared("m", "b", "mrr@20", -0.1), compared("b", "m", "recall@20", -0.1)) == {}
    assert beaten(compared("m", "b", "mrr@20", -0.1, significant=False)) == {}
    assert beaten(compared("m", "b", "mrr@20", 0.1), compared("n", "m", "mrr@20", 0.1)) == {}


def test_overlapping_intervals_are_said() -> None:
    rows = [row("m", 0.29, 0.01, baseline=False), row("b", 0.3, 0.01, baseline=True)]
    assert verdicts_of(rows, ["mrr@20"])[0].endswith(" (the intervals overlap, which leaves it open)")


def test_the_paired_test_says_whether_a_loss_is_real() -> None:
    rows = [row("m", 0.29, 0.01, baseline=False), row("b", 0.3, 0.01, baseline=True)]

    def said(adjusted: float, *, one: str = "b", other: str = "m") -> str:
        test = Difference(
            one=one,
            other=other,
            metric="mrr@20",
            difference=0.01,
            interval=(0.0, 0.02),
            p_value=adjusted / 2,
            adjusted=adjusted,
            significant=adjusted < 0.05,
        )
        return verdicts_of(rows, ["mrr@20"], [test])[0]

    assert said(0.0004).endswith("on mrr@20: 0.2900 against 0.3000 (significant, p < 0.001)")
    assert said(0.2104).endswith(" (not significant, p = 0.210)")
    assert said(0.2104, one="m", other="b").endswith(" (not significant, p = 0.210)")
    assert said(0.2104, other="a").endswith(" (the intervals overlap, which leaves it open)")


def test_a_model_gets_one_line_for_all_metrics() -> None:
    def two(one: ModelResult, value: float) -> ModelResult:
        return one.model_copy(update={"metrics": {**one.metrics, "recall@20": value}})

    rows = [
        two(row("m", 0.2, 0.01, baseline=False), 0.4),
        two(row("a", 0.1, 0.01, baseline=True), 0.5),
        two(row("b", 0.3, 0.01, baseline=True), 0.3),
    ]
    assert verdicts_of(rows, ["recall@20", "mrr@20"]) == [
        "m loses to the baseline a on recall@20: 0.4000 against 0.5000, and to b on mrr@20: 0.2000 against 0.3000"
    ]


@pytest.mark.parametrize(("value", "lost"), [(0.2, 0), (0.4, 1)])
def test_of_an_error_less_is_better(value: float, lost: int) -> None:
    def errs(one: ModelResult) -> ModelResult:
        return one.model_copy(update={"metrics": {"mae": one.metrics["mrr@20"]}, "confidence": {}})

    rows = [errs(row("m", value, 0, baseline=False)), errs(row("b", 0.3, 0, baseline=True))]
    said = ["m loses to the baseline b on mae: 0.4000 against 0.3000"] * lost
    assert [line.removesuffix(OVERLAP) for line in verdicts_of(rows, ["mae"])] == said


def test_a_winner_and_a_run_without_baselines_get_no_verdict() -> None:
    assert verdicts_of([row("m", 0.4, 0.01, baseline=False), row("b", 0.3, 0.01, baseline=True)], ["mrr@20"]) == []
    assert verdicts_of([row("m", 0.4, 0.01, baseline=False)], ["mrr@20"]) == []


def test_a_figure_without_an_interval_is_compared_too() -> None:
    rows = [row("m", 0.2, 0.01, baseline=False), row("b", 0.3, 0.01, baseline=True)]
    bare = [one.model_copy(update={"confidence": {}}) for one in rows]
    assert verdicts_of(bare, ["mrr@20"]) == ["m loses to the baseline b on mrr@20: 0.2000 against 0.3000"]


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = Results(
        segue="1",
        log="läden",
        seed=0,
        protocol=PROTOCOL | {"headline": ["mrr@20"]},
        data=DATA,
        notes=["n"],
        models=[row("m", 1 / 3, 0.1, baseline=False)],
        verdicts=[],
    )
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results
    (tmp_path / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="damaged"):
        Results.read(tmp_path / "results.json")


def strict(text: str) -> object:
    """Read JSON as its standard has it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_what_is_no_number_is_written_as_null_and_read_as_nan(tmp_path: Path) -> None:
    broken = row("m", math.nan, 0.1, baseline=False).model_copy(
        update={
            "diagnostics": {"train_auc": math.inf},
            "validation": {"mrr@20": math.nan},
            "curve": [Epoch(epoch=1, loss=math.inf, validation=math.nan, seconds=1.0)],
            "slices": [Slice(dimension="d", label="l", cases=1, metrics={"mrr@20": -math.inf}, confidence={})],
        }
    )
    test = Difference(
        one="m",
        other="b",
        metric="mrr@20",
        difference=math.nan,
        interval=(math.nan, math.nan),
        p_value=math.nan,
        adjusted=math.nan,
        significant=False,
    )
    results = Results(
        segue="1",
        log="l",
        seed=0,
        protocol=PROTOCOL | {"headline": ["mrr@20"]},
        data={**DATA, "length_mean": math.nan},
        notes=[],
        models=[broken],
        verdicts=[],
        differences=[test],
    )
    results.write(tmp_path / "results.json")
    strict((tmp_path / "results.json").read_text(encoding="utf-8"))
    again = Results.read(tmp_path / "results.json")
    (model,), (difference,) = again.models, again.differences
    read = [model.metrics["mrr@20"], *model.confidence["mrr@20"], model.diagnostics["train_auc"]]
    read += [model.validation["mrr@20"], model.curve[0].loss, model.slices[0].metrics["mrr@20"]]
    read += [difference.difference, *difference.interval, difference.p_value, difference.adjusted]
    assert all(map(math.isnan, read))
    assert again.data == {**DATA, "length_mean": None}


@pytest.mark.parametrize("metric", ["gini@20", "popularity@20", "mae"])
def test_of_what_should_be_low_the_lowest_baseline_is_the_best(metric: str) -> None:
    def by(one: ModelResult) -> ModelResult:
        return one.model_copy(update={"metrics": {metric: one.metrics["mrr@20"]}, "confidence": {}})

    rows = [row("m", 0.6, 0, baseline=False), row("a", 0.5, 0, baseline=True), row("b", 0.7, 0, baseline=True)]
    (said,) = verdicts_of(map(by, rows), [metric])
    assert said.startswith(f"m loses to the baseline a on {metric}: 0.6000 against 0.5000")
    assert run_pairs([by(one) for one in rows], [metric]) == [(metric, "a", "m")]


def test_a_value_that_is_no_number_loses_and_never_wins() -> None:
    broken, fine = row("m", math.nan, 0, baseline=False), row("b", 0.3, 0, baseline=True)
    assert verdicts_of([broken, fine], ["mrr@20"])[0].startswith(
        "m loses to the baseline b on mrr@20: nan against 0.3000"
    )
    assert verdicts_of([row("m", 0.1, 0, baseline=False), row("b", math.nan, 0, baseline=True)], ["mrr@20"]) == []


def test_one_value_that_is_no_number_does_not_scramble_the_order() -> None:
    rows = [row(str(n), n / 10, 0, baseline=False) for n in range(9)] + [row("nan", math.nan, 0, baseline=False)]
    for seed in range(20):
        random.Random(seed).shuffle(rows)
        ranked = sorted(rows, key=lambda one: one.order_key("mrr@20"))
        assert [one.label for one in ranked] == [*map(str, range(8, -1, -1)), "nan"]


def test_values_that_are_no_numbers_are_not_tested() -> None:
    def cases(*values: float) -> CaseValues:
        return CaseValues(np.arange(4), {"mae": np.array(values, dtype=np.float64)}, {}, "hash", "key")

    some = {"a": cases(1, 2, 3, 4), "b": cases(1, math.nan, 3, 4), "c": cases(2, 3, 4, 5)}
    found = differences_of([("mae", "a", "b"), ("mae", "a", "c")], some, seed=0)
    assert [(test.one, test.other) for test in found] == [("a", "c")]
    assert differences_of([("mae", "a", "b")], some, seed=0) == []
