"""Every check finds what is planted for it, and nothing in what is clean."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from planted import (
    Line,
    catalogue_of_all,
    clicks,
    double_logging,
    entry,
    few_test_sessions,
    hidden_popularity,
    histories,
    input_with_target,
    noise,
    parted,
    random_events,
    random_histories,
    random_sessions,
    repeated_sessions,
    scored,
    shifted_test,
    swapped_validation,
    target_first,
    telling_column,
    training_with_test,
    visits,
)

from segue.data.readers.read import read
from segue.evaluation.linter import LOG_CHECKS, lint_log
from segue.evaluation.linter.checks import run_checks
from segue.evaluation.linter.results import RESULT_CHECKS
from segue.evaluation.linter.scores import SCORE_CHECKS
from segue.protocols.prepare import prepare

COURSE = {"train_auc": 0.99, "validation_best": 0.2, "validation_cases": 1000}
"""The course of a training whose validation was best before the end."""

PLANTED = {
    "excluded-targets": (lambda: histories(clicks(), "leave-one-out", cleaning={"k_core": 1}),),
    "equal-times": (lambda: visits(clicks().with_columns(pl.col("time").min().over("session"))),),
    "cutoff-above-catalogue": (lambda: visits(clicks().with_columns(pl.col("item") % 15)),),
    "few-test-sessions": (few_test_sessions,),
    "overlap-in-time": (random_sessions, random_events, shifted_test),
    "validation-overlaps-training": (random_sessions,),
    "validation-after-test": (random_sessions, swapped_validation),
    "future-in-input": (random_histories,),
    "vocabulary-from-test": (catalogue_of_all,),
    "duplicate-sessions": (repeated_sessions, lambda: repeated_sessions(timed=False)),
    "divided-sessions": (random_events,),
    "target-in-input": (input_with_target, training_with_test, target_first),
    "double-events": (double_logging,),
    "target-in-column": (telling_column,),
    "broken-scores": (lambda: scored(lambda prefixes, size: np.full((len(prefixes), size), np.nan)),),
    "constant-scores": (
        lambda: scored(lambda prefixes, size: np.full((len(prefixes), size), 0.3)),
        lambda: scored(lambda prefixes, size: 3 + 1e-7 * noise(prefixes, size)),
        lambda: scored(lambda prefixes, size: np.minimum(noise(prefixes, size), 0.5)),
    ),
    "popularity-in-disguise": (hidden_popularity,),
    "loses-to-baseline": (lambda: entry(Line("m", {"mrr@20": 0.2}), Line("b", {"mrr@20": 0.3}, baseline=True)),),
    "validation-above-test": (
        lambda: entry(Line("m", {"mrr@20": 0.2}, validation={"mrr@20": 0.4})),
        lambda: entry(
            Line("m", {"mrr@20": 0.2}, validation={"mrr@20": 0.4}),
            Line("b", {"mrr@20": 0.1}, validation={"mrr@20": 0.12}, baseline=True),
        ),
    ),
    "order-in-list": (
        lambda: entry(Line("m", {"recall@20": 0.5, "mrr@20": 0.06})),
        lambda: entry(
            Line("m", {"recall@20": 0.5, "hit@20": 0.5, "ndcg@20": 0.2, "map@20": 0.1}),
            Line("b", {"recall@20": 0.505, "hit@20": 0.505, "ndcg@20": 0.25, "map@20": 0.15}),
        ),
    ),
    "precision-without-recall": (
        lambda: entry(
            Line("m", {"recall@20": 0.2, "precision@20": 0.3}),
            Line("a", {"recall@20": 0.4, "precision@20": 0.2}),
            Line("b", {"recall@20": 0.5, "precision@20": 0.3}),
        ),
    ),
    "training-failed": (lambda: entry(Line("bpr", {"mrr@20": 0.1}, diagnostics={"train_auc": 0.61})),),
    "overfitting": (
        lambda: entry(
            Line("bpr", {"recall@20": 0.1, "ndcg@20": 0.05}, diagnostics={"train_auc": 0.97}),
            Line("popularity", {"recall@20": 0.2, "ndcg@20": 0.1}, baseline=True),
        ),
        lambda: entry(
            Line("als", {"recall@20": 0.2}, diagnostics={"train_auc": 0.93}),
            Line("popularity", {"recall@20": 0.1}, baseline=True),
            Line("markov", {"recall@20": 0.5}, baseline=True),
        ),
        lambda: entry(Line("bpr", {"mrr@20": 0.2}, diagnostics=COURSE | {"validation_last": 0.15})),
    ),
}

CHECKS = {check.code: check for check in (*LOG_CHECKS, *SCORE_CHECKS, *RESULT_CHECKS)}


def codes(data) -> list[str]:
    return [finding.code for finding in lint_log(data)]


def test_every_check_has_its_leak():
    assert set(PLANTED) == set(CHECKS)


@pytest.mark.parametrize(("code", "plant"), [(code, plant) for code, plants in PLANTED.items() for plant in plants])
def test_a_planted_leak_is_found(code, plant):
    (finding,) = run_checks([CHECKS[code]], "log", plant())
    assert finding.code == code
    assert any(letter.isdigit() for letter in finding.message)


@pytest.mark.parametrize("protocol", ["session-next", "global-time", "gru4rec-2015"])
def test_clean_visits_raise_nothing(protocol):
    assert codes(visits(clicks(), protocol, cases={"exclude_seen": False})) == []


def test_clean_visits_in_the_order_of_a_file_raise_nothing():
    assert codes(visits(clicks().drop("time"), split="ratio")) == []


def test_clean_visits_of_a_given_split_raise_nothing():
    frame = clicks()
    ends = frame.group_by("session").agg(end=pl.col("time").max())
    late = pl.when(pl.col("end") > ends["end"].quantile(0.9)).then(pl.lit("test")).otherwise(pl.lit("train"))
    assert codes(visits(frame.join(ends.select("session", part=late), on="session", maintain_order="left"))) == []


def test_clean_histories_raise_the_overlap_of_leave_one_out_alone():
    cases = {"exclude_seen": False}
    assert codes(histories(clicks(), "global-time", cases=cases)) == []
    (finding,) = lint_log(histories(clicks(), "leave-one-out", cleaning={"k_core": 1}, cases=cases))
    assert (finding.code, finding.severity, finding.subject) == ("overlap-in-time", "note", "log")
    assert "the protocol 'global-time' avoids it" in finding.message


def test_a_random_split_of_visits_raises_what_it_is():
    assert codes(random_sessions()) == ["overlap-in-time", "validation-overlaps-training", "validation-after-test"]
    assert [finding.severity for finding in lint_log(random_sessions())] == ["warning"] * 3


def test_the_numbers_of_an_overlap():
    parts = ["train"] * 4 + ["test"] * 2 + ["train"] * 2
    frame = pl.DataFrame({"session": [1, 1, 2, 2, 3, 3, 4, 4], "item": [1, 2] * 4, "part": parts})
    frame = frame.with_columns(time=pl.Series([0, 60, 120, 180, 240, 300, 330, 390], dtype=pl.Int64))
    finding, *_ = lint_log(visits(frame, split={"valid_share": 0.0}))
    assert finding.message.startswith(
        "2 of 6 training events (33.3%) are later than the end of the first test session (1970-01-01 00:05), "
        "and 1 of 1 test sessions end before training does"
    )


def test_one_session_in_a_hundred_may_seem_to_end_too_early():
    data = visits(clicks())
    assert data.test.prefixes.times is not None
    groups = np.unique(data.test.groups)
    for count, expected in ((len(groups) // 101, []), (len(groups) // 99 + 1, ["overlap-in-time"])):
        times = data.test.prefixes.times.copy()
        for group in groups[:count]:
            rows = np.flatnonzero(data.test.groups == group)
            times[data.test.prefixes.starts[rows[0]] : data.test.prefixes.ends[rows[-1]] + 1] -= 10 * 86_400
        shifted = replace(data, test=replace(data.test, prefixes=replace(data.test.prefixes, times=times)), valid=None)
        assert codes(shifted) == expected


def test_short_visits_that_are_alike_by_chance_are_no_duplicates():
    rng = np.random.default_rng(0)
    items = rng.integers(0, 3, (800, 4)).ravel()
    frame = pl.DataFrame({"session": np.repeat(np.arange(800), 4), "item": items})
    assert codes(visits(frame, split="ratio", ranking={"metrics": ["recall@2"]})) == []


def test_a_shop_whose_visitors_return_to_items_leaks_nothing():
    rng = np.random.default_rng(0)
    frame = clicks()
    again = pl.Series(rng.random(frame.height) < 0.6)
    before = pl.col("item").shift(1).over("session").fill_null(pl.col("item"))
    data = visits(frame.with_columns(item=pl.when(again).then(before).otherwise("item")))
    prefixes = data.test.prefixes
    assert (prefixes.items[prefixes.ends - 1] == data.test.targets).mean() > 0.35
    assert codes(data) == []


def test_ids_counted_from_one_in_each_file_are_not_divided_sessions():
    frame = visits_apart()
    assert codes(visits(frame)) == []
    assert visits(frame).overlapping_sessions == 0


def visits_apart() -> pl.DataFrame:
    """A test part that lies behind training and counts its sessions from 1 again."""
    first, second = clicks(0), clicks(1)
    second = second.with_columns(pl.col("time") + pl.duration(days=12))
    return pl.concat([first.with_columns(part=pl.lit("train")), second.with_columns(part=pl.lit("test"))])


def test_a_torn_visit_is_counted_once():
    data = visits(parted(clicks(), np.random.default_rng(0), by="event"))
    assert 0 < data.overlapping_sessions < 1_500


def test_what_is_prepared_for_a_trained_model_has_nothing_to_leak_from():
    data = visits(clicks())
    assert codes(prepare(read(clicks()), data.protocol.on_whole_log(), vocabulary=data.vocabulary)) == []


@pytest.mark.parametrize("cases", ["first", "last", "together"])
def test_clean_cases_of_each_kind_raise_nothing(cases):
    data = histories(clicks(), "global-time", cases={"targets": cases, "exclude_seen": False})
    assert [code for code in codes(data) if code != "few-test-sessions"] == []


def test_sound_scores_raise_nothing():
    assert run_checks(SCORE_CHECKS, "m", scored(noise)) == []
    masked = scored(lambda prefixes, size: np.where(noise(prefixes, size) < 0.3, -np.inf, noise(prefixes, size)))
    assert run_checks(SCORE_CHECKS, "m", masked) == []


@pytest.mark.real
@pytest.mark.parametrize(
    ("log", "protocol", "expected"),
    [
        ("ml-100k", "session-next", ["few-test-sessions"]),  # Eleven users rated on the last day.
        ("ml-100k", "global-time", []),
        ("yoochoose-100k", "session-next", []),
        ("yoochoose-100k", "global-time", ["excluded-targets"]),  # Visitors return to what they have seen.
    ],
)
def test_clean_splits_of_real_logs_leak_nothing(real_data: Path, log: str, protocol: str, expected: list[str]):
    split = {"session-next": "last-days", "global-time": "global-time"}[protocol]
    assert codes(prepare(read(real_data / log), protocol, split=split)) == expected


@pytest.mark.real
def test_the_given_split_of_yoochoose_raises_nothing(real_data: Path):
    assert codes(prepare(read(real_data / "yoochoose-100k"))) == []


@pytest.mark.real
def test_leave_one_out_on_a_real_log_raises_its_overlap_alone(real_data: Path):
    (finding,) = lint_log(prepare(read(real_data / "ml-100k"), "leave-one-out"))
    assert (finding.code, finding.severity) == ("overlap-in-time", "note")
    assert finding.message.startswith("96,535 of 97,401 training events (99.1%)")
