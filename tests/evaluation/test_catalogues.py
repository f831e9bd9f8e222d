"""A model and a data set of different catalogues are refused wherever they meet; the remedy works."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segue
from segue.errors import ParameterError

REMEDY = r"segue.prepare\(log, vocabulary=model.vocabulary\)"


def log(prefix: str, n_items: int) -> segue.Events:
    """Return sessions that walk round a ring of items."""
    rows = [
        (session, f"{prefix}{(start + step) % n_items}", 86_400 * session + 60 * step)
        for session in range(max(60, n_items))
        for start in [7 * session]
        for step in range(4)
    ]
    return segue.read(pl.DataFrame(rows, schema=["session", "item", "time"], orient="row"))


def data(prefix: str, n_items: int, **parameters: object) -> segue.Dataset:
    return segue.prepare(
        log(prefix, n_items),
        "session-next",
        cleaning={"min_support": 1},
        split={"test_days": 20, "valid_days": 5},
        **parameters,
    )


def test_a_model_is_not_tested_on_the_indices_of_other_items() -> None:
    """Both have indices 1 to 30, so that every figure would look right."""
    model, other = segue.Markov().fit(data("a", 30).train), data("b", 30)
    for ask in (
        lambda: segue.evaluate(model, other),
        lambda: segue.measure(model, other.test),
        lambda: segue.lint(other, model),
        lambda: model.score(other.test.prefixes),
        lambda: model.top_k(other.train.as_prefixes(), 5),
    ):
        with pytest.raises(ParameterError, match=REMEDY):
            ask()


def test_a_larger_catalogue_is_refused_before_any_kernel_sees_it() -> None:
    model, other = segue.VSKNN().fit(data("a", 30).train), data("a", 3000)
    with pytest.raises(ParameterError, match=REMEDY):
        segue.evaluate(model, other)


def test_yesterdays_model_is_tested_on_todays_log_as_the_message_says() -> None:
    model = segue.Markov().fit(data("a", 30).train)
    today = log("a", 40)
    own = segue.prepare(
        today,
        "session-next",
        vocabulary=model.vocabulary,
        cleaning={"min_support": 1},
        split={"test_days": 20, "valid_days": 5},
    )
    assert segue.evaluate(model, own).metrics["recall@5"] > 0.9


def test_models_meet_sessions_of_their_own_catalogue_only() -> None:
    one, other = data("a", 30), data("b", 30)
    small = {"embedding_size": 8, "training": {"epochs": 1}}
    teacher = segue.Markov().fit(one.train)
    with pytest.raises(ParameterError, match=REMEDY):
        segue.SASRec(**small).learn_from(teacher, other.train)
    with pytest.raises(ParameterError, match=REMEDY):
        segue.SASRec(**small).fit(one.train, valid=other.valid)
    with pytest.raises(ParameterError, match=REMEDY):
        segue.TwoStage.of(teacher, segue.Markov().fit(other.train))


def test_support_and_metadata_are_no_part_of_the_identity() -> None:
    vocabulary = data("a", 30).vocabulary
    same = segue.Vocabulary(vocabulary.table.with_columns(support=pl.lit(1), colour=pl.lit("red")))
    turned = segue.Vocabulary(vocabulary.table.reverse())
    numbers = segue.Vocabulary(pl.DataFrame({"item": np.arange(1, 3), "support": [1, 1]}))
    texts = segue.Vocabulary(pl.DataFrame({"item": ["1", "2"], "support": [1, 1]}))
    assert vocabulary.hash == same.hash
    assert len({vocabulary.hash, turned.hash, numbers.hash, texts.hash}) == 4
    joined = [segue.Vocabulary(pl.DataFrame({"item": ids, "support": [1, 1]})) for ids in (["ab", "c"], ["a", "bc"])]
    assert joined[0].hash != joined[1].hash


_CHILD = """
import segue
from test_catalogues import data
prepared, fitted = data("a", 30), segue.Markov().fit(data("a", 30).train)
for ask in (
    lambda: segue.evaluate(segue.Markov(), prepared),
    lambda: segue.measure(segue.Markov(), prepared.test),
    lambda: segue.lint(prepared, segue.Markov()),
    lambda: segue.evaluate("runs/markov", prepared),
    lambda: segue.evaluate(fitted, prepared.test),
    lambda: segue.evaluate(fitted, prepared, part="tset"),
    lambda: segue.Markov().fit(prepared),
    lambda: segue.Markov().fit(prepared.train, valid=prepared),
    lambda: fitted.score(["a1"]),
):
    try:
        ask()
    except segue.SegueError as error:
        print(error)
    else:
        print("answered")
"""


def test_what_is_of_the_wrong_kind_is_named() -> None:
    """In a process of its own, for the types of arguments are checked while the tests run."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    unfitted = "scorer: must be fitted, got markov without a vocabulary; call fit first"
    assert child.stdout.splitlines() == [
        unfitted,
        unfitted,
        unfitted,
        "scorer: must be a model, got str; segue.load(...) reads a saved one",
        "data: must be a Dataset, got Cases; prepare the log first: segue.prepare(...)",
        "unknown part of the data 'tset': did you mean 'test'? choose one of test, valid",
        "train: must be Sessions, got Dataset; of a data set, pass data.train",
        "valid: must be Cases, got Dataset; of a data set, pass data.valid",
        "prefixes: must be Prefixes, got list; recommend takes lists of item ids",
    ]
