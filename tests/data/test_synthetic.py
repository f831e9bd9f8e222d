"""The generated logs hold what they promise: their shape, their rules, and who can predict them how well."""

import time

import numpy as np
import polars as pl
import pytest
import torch

from segue.data.synthetic import shop, structure, synthetic_log
from segue.errors import ParameterError
from segue.evaluation.ranking import target_ranks


@pytest.fixture(scope="module")
def log():
    return shop()


class Visits:
    """The log as arrays of products 0..N-1, with what each event after the first of its visit depends on."""

    def __init__(self, log):
        frame = log.frame.with_columns(
            product=pl.col("item").replace_strict(log.items["item"], np.arange(log.items.height)),
            seconds=pl.col("time").dt.epoch("s"),
        ).with_columns(
            first=pl.col("product").first().over("session"),
            last=pl.col("product").shift(1).over("session"),
            day=(pl.col("seconds").first().over("session") - pl.col("seconds").min()) // 86_400,
        )
        self.all = frame
        self.next = frame.drop_nulls("last")

    def arrays(self, *names):
        return [self.next[name].to_numpy() for name in names]


def test_the_shop_has_named_products(log):
    items = log.items
    assert items.columns == ["item", "name", "category", "price"]
    assert (items.height, items["category"].n_unique(), items["name"].n_unique()) == (480, 12, 480)
    assert "Trail running shoes, blue" in items["name"]
    assert items["price"].is_between(1, 1000).all()
    assert set(log.frame["item"]) == set(items["item"])


def test_the_shop_has_visits_over_a_month(log):
    frame = log.frame
    lengths = frame.group_by("session").len()["len"]
    assert (log.unit, log.n_sessions) == ("session", 20_000)
    assert lengths.min() == 2
    assert lengths.max() == 30
    assert lengths.mean() == pytest.approx(5.5, abs=0.2)
    assert frame["session"].is_sorted()
    assert frame.select((pl.col("time").diff().over("session") > pl.duration()).all()).item()
    assert frame.group_by("session", maintain_order=True).first()["time"].is_sorted()
    assert (frame["time"].max() - frame["time"].min()).days in (29, 30)


def test_the_shop_is_busier_in_the_evening_than_at_night(log):
    hours = log.frame["time"].dt.hour().value_counts().sort("time")["count"].to_numpy()
    assert hours[19:22].sum() > 8 * hours[2:5].sum()


def test_probabilities_are_probabilities():
    rules = structure()
    rng = np.random.Generator(np.random.PCG64(0))
    chances = rules.probabilities(rng.integers(0, 480, 50), rng.integers(0, 480, 50), rng.integers(0, 30, 50))
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert (chances > 0).all()


def test_the_log_follows_the_true_probabilities(log):
    target, first, last, day = Visits(log).arrays("product", "first", "last", "day")
    chances = structure().probabilities(first, last, day)
    likelihood = np.log(chances[np.arange(len(target)), target])
    expected = (chances * np.log(chances)).sum(axis=1)
    spread = np.sqrt((chances * np.log(chances) ** 2).sum(axis=1) - expected**2)
    # The mean log-likelihood of a log that was drawn from these probabilities is minus their entropy.
    assert abs((likelihood - expected).sum()) < 4 * np.sqrt((spread**2).sum())


def recall(scores, target):
    columns = np.concatenate([np.zeros((len(target), 1)), scores], axis=1).astype(np.float32)
    return (target_ranks(torch.from_numpy(columns), target + 1) <= 20).mean()


def counted(rows, targets):
    counts = np.zeros((480, 480))
    np.add.at(counts, (rows, targets), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def test_who_remembers_more_predicts_better(log):
    visits = Visits(log)
    target, first, last, day = visits.arrays("product", "first", "last", "day")
    train, test = day < 28, day >= 28
    views = visits.all.filter(pl.col("day") < 28)
    recent = views.filter(pl.col("day") >= 26)
    popularity, trend = (np.bincount(part["product"], minlength=480) + 0.0 for part in (views, recent))
    chain, memory = counted(last[train], target[train]), counted(first[train], target[train])
    n = test.sum()
    scores = {
        "popularity": np.tile(popularity, (n, 1)),
        "trend": np.tile(trend + 1e-6 * popularity, (n, 1)),
        "chain": chain[last[test]] + 1e-9 * popularity,
        "chain and memory": chain[last[test]] + memory[first[test]],
        "truth": structure().probabilities(first[test], last[test], day[test]),
    }
    recalls = {name: recall(matrix, target[test]) for name, matrix in scores.items()}
    assert list(recalls) == sorted(recalls, key=recalls.get)
    assert recalls["trend"] > recalls["popularity"] + 0.03
    assert recalls["chain"] > recalls["trend"] + 0.3
    assert recalls["chain and memory"] > recalls["chain"] + 0.1
    assert recalls["truth"] == pytest.approx(np.sort(scores["truth"])[:, -20:].sum(axis=1).mean(), abs=0.02)


def test_visits_stay_mostly_in_a_category(log):
    target, last = Visits(log).arrays("product", "last")
    categories = log.items["category"].to_numpy()
    assert 0.55 < (categories[target] == categories[last]).mean() < 0.8


@pytest.mark.parametrize("make", [lambda seed: shop(500, seed), lambda seed: synthetic_log(500, 50, 20, seed)])
def test_the_seed_decides(make):
    assert make(1).frame.equals(make(1).frame)
    assert not make(1).frame.equals(make(2).frame)


def test_a_plain_log_has_the_size_asked_for():
    plain = synthetic_log(200_000, 30_000, 1_000)
    frame = plain.frame
    assert (len(plain), plain.n_sessions) == (200_000, 30_000)
    assert frame.group_by("session").len()["len"].min() == 2
    assert 900 < plain.n_items <= 1_000
    assert (frame["item"].min(), frame["item"].max()) >= (1, 900)
    assert frame.select((pl.col("time").diff().over("session") > pl.duration()).all()).item()
    assert frame.group_by("session", maintain_order=True).first()["time"].is_sorted()


def test_a_plain_log_follows_zipfs_law():
    counts = synthetic_log(200_000, 30_000, 1_000).frame["item"].value_counts(sort=True)["count"].to_numpy()
    shares = counts / counts.sum()
    assert shares[0] == pytest.approx(np.log(2) / np.log(1_000), rel=0.05)
    assert shares[:31].sum() == pytest.approx(np.log(32) / np.log(1_000), rel=0.05)


def test_one_item_and_one_session_are_enough():
    assert synthetic_log(3, 1, 1).frame["item"].to_list() == [1, 1, 1]


def test_generating_is_quick():
    started = time.process_time()
    shop()
    synthetic_log(1_000_000, 200_000, 50_000)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(("events", "sessions", "items"), [(5, 3, 10), (10, 0, 10), (10, 3, 0)])
def test_an_impossible_log_is_explained(events, sessions, items):
    with pytest.raises(ParameterError, match=f"got {events} events, {sessions} sessions, {items} items"):
        synthetic_log(events, sessions, items)
