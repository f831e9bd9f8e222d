"""Context features of the sequence encoders: what they read, what they learn from it, and what they refuse."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, every_next, hit_rate, sessions

from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.models.bert4rec import BERT4Rec
from segue.models.core import CORE
from segue.models.fmlp_rec import FMLPRec
from segue.models.improved_gru4rec import ImprovedGRU4Rec
from segue.models.registry import load
from segue.models.sasrec import SASRec
from segue.models.sequence import SequenceModel
from segue.models.sr_gnn import SRGNN

DAY = 86_400
N_ITEMS = 4
ALL = ("hour", "weekday", "gap", "shop", "price", "colour", "weight:number")
SMALL = {"embedding_size": 16, "dropout": 0.0, "training": {"learning_rate": 0.02, "batch_size": 32, "epochs": 8}}


def told(feature: str) -> Task:
    """Return a log in which one feature of an event tells the next item, and nothing else does."""
    cases = every_next(told_log(feature, n_sessions=60, seed=2))
    # The gap before the first event of a session is not known.
    return Task(told_log(feature, n_sessions=150, seed=1), cases[np.flatnonzero(cases.prefixes.lengths > 1)], 1, 1.0)


def told_log(feature: str, *, n_sessions: int, seed: int) -> Sessions:
    rng = np.random.Generator(np.random.PCG64(seed))
    following = (N_ITEMS * rng.random((n_sessions, 6))).astype(np.int64)  # The next item, counted from 0.
    items = 1 + np.roll(following, 1, axis=1)
    items[:, 0] = 1 + (N_ITEMS * rng.random(n_sessions)).astype(np.int64)
    log, tells = sessions(items.tolist(), N_ITEMS), following.ravel()
    weeks = np.arange(len(tells)) * 7 * DAY
    match feature:
        case "weekday":
            return replace(log, times=weeks + tells * DAY)
        case "hour":
            return replace(log, times=weeks + tells * 3600)
        case "gap":
            return replace(log, times=np.cumsum(60 * 10**tells))
        case "shop":
            return replace(log, columns=pl.DataFrame({"shop": np.array(["Zürich", "b", "c", "d"])[tells]}))
        case _:
            return replace(log, columns=pl.DataFrame({"price": 10.0 * tells}))


def rich(n_sessions: int = 60) -> Sessions:
    """Return sessions with times, columns and metadata of items."""
    rng = np.random.Generator(np.random.PCG64(5))
    lists = [(1 + (8 * rng.random(int(2 + 9 * rng.random())))).astype(int).tolist() for _ in range(n_sessions)]
    log = sessions(lists, 8)
    size = len(log.items)
    columns = pl.DataFrame(
        {
            "shop": [None if number == 0 else "abc"[number % 3] for number in range(size)],
            "price": [None if number == 1 else 1.5 * (number % 7) for number in range(size)],
        }
    )
    table = log.vocabulary.table.with_columns(
        colour=pl.Series(["red", "red", "blue", None, "blue", "red", "green", "blue"]),
        weight=pl.Series([3, 1, 4, 1, 5, 9, 2, 6]),
    )
    times = log.times + np.cumsum((3600 * rng.random(size)).astype(np.int64))
    return replace(log, times=times, columns=columns, vocabulary=Vocabulary(table))


@pytest.mark.parametrize("feature", ["weekday", "hour", "gap", "shop", "price"])
def test_it_learns_what_only_the_context_tells(feature: str) -> None:
    task = told(feature)
    assert hit_rate(SASRec(**SMALL, features=[feature]).fit(task.train), task) >= 0.95


def test_without_the_context_there_is_nothing_to_learn() -> None:
    task = told("shop")
    assert hit_rate(SASRec(**SMALL).fit(task.train), task) <= 0.4


@pytest.fixture(scope="module")
def log() -> Sessions:
    return rich()


@pytest.fixture(scope="module")
def fitted(log: Sessions) -> SequenceModel:
    return SASRec(**SMALL, max_length=6, features=ALL).fit(log)


def running(log: Sessions) -> Prefixes:
    return every_next(log).prefixes[:40]


@pytest.mark.parametrize("feature", ALL)
def test_every_feature_changes_the_scores(feature: str, fitted: SequenceModel, log: Sessions) -> None:
    before = fitted.score(running(log))
    weights = fitted.network.context.weights[ALL.index(feature)]
    kept = weights.detach().clone()
    with torch.no_grad():
        weights.zero_()
    after = fitted.score(running(log))
    with torch.no_grad():
        weights.copy_(kept)
    assert not torch.allclose(before[:, 1:], after[:, 1:], atol=1e-4)


@pytest.mark.parametrize("kind", [ImprovedGRU4Rec, SRGNN, CORE, FMLPRec, BERT4Rec])
def test_every_kind_of_encoder_reads_them(kind: type[SequenceModel], log: Sessions) -> None:
    small = {"embedding_size": 8, "max_length": 6, "training": {"epochs": 2}, "features": ALL}
    model = kind(**small).fit(log)
    prefixes = running(log)
    scores = model.score(prefixes)
    assert not torch.allclose(scores, model.score(replace(prefixes, times=None, columns=None)), atol=1e-6)
    single = torch.cat([model.score(prefixes[row : row + 1]) for row in range(len(prefixes))])
    torch.testing.assert_close(scores, single)


def test_a_loaded_model_reads_as_before(fitted: SequenceModel, log: Sessions, tmp_path: Path) -> None:
    loaded = load(fitted.save(tmp_path / "model"))
    assert torch.equal(loaded.score(running(log)), fitted.score(running(log)))


def test_batches_and_padding_change_nothing(fitted: SequenceModel, log: Sessions) -> None:
    prefixes = running(log)
    single = torch.cat([fitted.score(prefixes[row : row + 1]) for row in range(len(prefixes))])
    torch.testing.assert_close(fitted.score(prefixes), single)
    window = fitted.network.window(prefixes[:3])
    wider = window.map(lambda numbers: torch.nn.functional.pad(numbers, (2, 0)))
    torch.testing.assert_close(fitted.network.embed(wider)[:, 2:], fitted.network.embed(window))
    assert not fitted.network.embed(wider)[:, :2].any()


def test_what_training_has_not_seen_contributes_nothing(fitted: SequenceModel) -> None:
    plain = fitted.recommend([101, 102], k=5)
    assert fitted.recommend([101, 102], k=5, context={"shop": [None, None], "price": [None, None]}) == plain
    assert fitted.recommend([101, 102], k=5, context={"shop": ["?", "never seen"]}) == plain
    assert fitted.recommend([101, 102], k=5, context={"shop": ["a", "b"]}).scores != plain.scores


def test_the_context_of_unknown_items_goes_with_them(fitted: SequenceModel) -> None:
    times = [datetime(2026, 1, day) for day in (1, 2, 3)]
    context = {"time": times, "shop": ["a", "b", "c"]}
    with_unknown = fitted.recommend([101, 999, 102], k=5, context=context)
    context = {"time": [["2026-01-01", "2026-01-03"]], "shop": [["a", "c"]]}
    without = fitted.recommend([[101, 102]], k=5, context=context)[0]
    assert (with_unknown.unknown, with_unknown.scores) == ([999], without.scores)
    assert without.scores != fitted.recommend([101, 102], k=5, context={"shop": ["a", "c"]}).scores


def test_numbers_of_a_window() -> None:
    table = pl.DataFrame({"item": [101, 102], "support": [2, 2], "colour": ["red", None]})
    times = np.array([0, 59, 90_000, 3600]) + 3 * DAY  # A Sunday, and the Monday after; then a Sunday.
    columns = pl.DataFrame({"price": [1.0, None, 3.0, 2.0], "shop": [7, 3, None, 7]})
    items = np.array([1, 2, 1, 2], dtype=np.int32)
    log = Sessions(items, np.array([0, 3, 4]), times, Vocabulary(table), columns)
    features = ["hour", "weekday", "gap", "price", "shop", "colour"]
    model = SASRec(**SMALL, max_length=2, features=features).fit(log)
    assert model.context.encoders["hour"].values.to_list() == ["0", "1"]
    assert model.context.encoders["weekday"].values.to_list() == ["0", "6"]
    context = model.network.window(log.as_prefixes()).context
    codes = {name: context[name][[0, 0, 1], [0, 1, 1]].tolist() for name in ("hour", "weekday", "shop", "colour")}
    assert codes == {"hour": [1, 2, 2], "weekday": [2, 1, 2], "shop": [1, 0, 2], "colour": [0, 1, 0]}
    gaps = np.log([60, 89_942])  # The second event of the window comes after one that the window does not hold.
    deviation = (gaps[1] - gaps[0]) / 2
    np.testing.assert_allclose(context["gap"][0], (gaps - gaps.mean()) / deviation, rtol=1e-6)
    np.testing.assert_allclose(context["price"][:, 1], [np.sqrt(1.5), 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["hour"], r"sasrec\.features: 'hour' needs a log with times and this one has none; leave it out"),
        (["size"], r"'size' must be hour, weekday, gap or a column of the log or its items; there are: 'shop', 'colo"),
        (["shop:number"], r"'shop' must be a column of numbers, got String"),
        (["shop", "shop:category"], r"must name each feature once, got shop, shop:category"),
    ],
)
def test_features_that_are_not_there_are_refused(features: list[str], message: str, log: Sessions) -> None:
    bare = replace(log, times=None, columns=log.columns.select("shop"))
    with pytest.raises(ParameterError, match=message):
        SASRec(features=features).check(bare)


def test_a_context_that_does_not_fit_is_refused(fitted: SequenceModel) -> None:
    with pytest.raises(ParameterError, match=r"context: sasrec can read time, shop, price of a session, got 'size'"):
        fitted.recommend([101], k=5, context={"size": [1]})
    with pytest.raises(ParameterError, match=r"context\.shop: must contain one value per item .* \[2\], got \[1\]"):
        fitted.recommend([101, 102], k=5, context={"shop": ["a"]})
    with pytest.raises(ParameterError, match=r"context\.time: must be a number or an ISO 8601 time"):
        fitted.recommend([101], k=5, context={"time": ["noon"]})
