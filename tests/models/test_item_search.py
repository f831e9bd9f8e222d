"""Searches that propose candidates: lists equal exact ones, filters hold, and what does not pay is refused."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import MissingExtraError, ParameterError, UnknownNameError
from segue.models import measured_search
from segue.models.bpr import BPR
from segue.models.item_search import SEARCHES, ItemSearch
from segue.models.measured_search import SearchReport, measure_search
from segue.models.popularity import Popularity

N, D = 3000, 24


def model(kind: str = "clustered", n: int = N, seed: int = 0) -> BPR:
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((n + 1, D))
    if kind == "clustered":
        table = 0.5 * table + rng.standard_normal((40, D))[rng.integers(0, 40, n + 1)]
    arrays = {
        "item_factors": table.astype(np.float32),
        "item_biases": rng.standard_normal(n + 1).astype(np.float32),
        "scale": np.ones(1, dtype=np.float32),
    }
    vocabulary = Vocabulary.from_items(pl.Series("item", np.arange(n)))
    return BPR(embedding_size=D).restore(arrays, vocabulary)


def searching(exact: BPR, name: str) -> BPR:
    """The model with a search that nobody measured."""
    if name == "faiss":
        pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    with torch.inference_mode():
        search = SEARCHES[name](*exact._table(), exact.vocabulary)
        if name == "faiss":
            search._index.nprobe = search._index.nlist  # All clusters, so that it misses nothing.
    other = BPR(embedding_size=D).restore(exact.arrays(), exact.vocabulary)
    other._search = search
    return other


def prefixes(exact: BPR, rows: int = 200) -> Prefixes:
    rng = np.random.default_rng(1)
    lists = [rng.integers(1, len(exact.vocabulary) + 1, rng.integers(1, 9)).tolist() for _ in range(rows)]
    return Prefixes.from_lists(lists, exact.vocabulary)


def recall(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.mean([np.isin(right, left).mean() for left, right in zip(found, wanted, strict=True)]))


@pytest.mark.parametrize("kind", ["random", "clustered"])
@pytest.mark.parametrize("name", SEARCHES)
def test_lists_and_scores_equal_exact_ones(name: str, kind: str) -> None:
    exact = model(kind)
    other, sessions = searching(exact, name), prefixes(exact)
    wanted, scores = exact.top_k(sessions, 20)
    found, values = other.top_k(sessions, 20)
    assert recall(found, wanted) > 0.97
    whole = (found == wanted).all(1)
    assert whole.mean() > (0.95 if name == "int8" else 0.5)
    np.testing.assert_allclose(values[whole], scores[whole], rtol=1e-5, atol=1e-5)
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("name", SEARCHES)
def test_filters_are_exact(name: str) -> None:
    exact = model()
    other, sessions = searching(exact, name), prefixes(exact, 40)
    best, _ = exact.top_k(sessions, 30)
    exclude = Prefixes.from_lists([row[:15].tolist() for row in best], exact.vocabulary)
    found, _ = other.top_k(sessions, 20, exclude=exclude)
    assert not any(np.isin(row, left_out[:15]).any() for row, left_out in zip(found, best, strict=True))
    assert recall(found, exact.top_k(sessions, 20, exclude=exclude)[0]) > 0.97
    for share in (2, 50):  # Of 50, few are left, which are all scored.
        allowed = np.arange(N + 1) % share == 0
        allowed[0] = False
        found, _ = other.top_k(sessions, 20, allowed=allowed, exclude=exclude)
        assert allowed[found].all()
        assert recall(found, exact.top_k(sessions, 20, allowed=allowed, exclude=exclude)[0]) > 0.97


@pytest.mark.parametrize("name", SEARCHES)
def test_one_session_gets_the_list_that_a_batch_gives_it(name: str) -> None:
    exact = model()
    other, sessions = searching(exact, name), prefixes(exact, 10)
    together = other.top_k(sessions, 10)[0]
    alone = [other.top_k(sessions[np.array([row])], 10)[0][0] for row in range(10)]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("name", SEARCHES)
def test_items_that_the_model_cannot_score_come_last_in_the_order_of_popularity(name: str) -> None:
    exact = model(n=900)
    items = pl.DataFrame({"item": np.arange(2000, 2040), "kind": ["a"] * 40, "support": np.arange(40)})
    vocabulary = exact.vocabulary
    table = vocabulary.table.with_columns(kind=pl.lit("b"))
    exact.vocabulary = Vocabulary.from_items(table["item"], table.select("item", "kind"))
    grown = exact.add_items(items, by="kind")
    assert not grown.vocabulary.all_known
    other, sessions = searching(grown, name), prefixes(grown, 20)
    for k in (20, 800, 940):  # The last two are longer than what a search proposes.
        np.testing.assert_array_equal(other.top_k(sessions, k)[0][:, -1], grown.top_k(sessions, k)[0][:, -1])
    assert grown.vocabulary.known[other.top_k(sessions, 20)[0]].all()


def test_a_search_that_proposes_too_little_changes_no_list() -> None:
    class Blind(ItemSearch):
        name = "int8"

        def _candidates(self, states, count, allowed, exclude):  # type: ignore[no-untyped-def]
            return np.tile(np.array([5, 0, 7]), (len(states), 1))

    exact = model()
    sessions = prefixes(exact, 5)
    wanted = exact.top_k(sessions, 20)
    exact._search = Blind(*exact._table(), exact.vocabulary)
    found = exact.top_k(sessions, 20)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(np.sort(exact.top_k(sessions, 2)[0]), [[5, 7]] * 5)


def test_equal_items_are_listed_in_the_order_of_exact_search() -> None:
    exact = model(n=400)
    arrays = {**exact.arrays(), "item_factors": np.repeat(exact.item_factors[:1], 401, axis=0)}
    arrays["item_biases"] = np.zeros(401, dtype=np.float32)
    support = np.random.default_rng(0).permutation(400)
    level = BPR(embedding_size=D).restore(
        arrays, Vocabulary.from_items(pl.Series("item", np.repeat(np.arange(400), support + 1)))
    )
    other, sessions = searching(level, "int8"), prefixes(level, 3)
    np.testing.assert_array_equal(other.top_k(sessions, 30)[0], level.top_k(sessions, 30)[0])


def with_speed(monkeypatch: pytest.MonkeyPatch, **speeds: float) -> None:
    """Report a speed for each search instead of measuring it."""
    monkeypatch.setattr(measured_search, "_speed", lambda search, *_: speeds[search.name])


def test_what_is_faster_is_used_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with_speed(monkeypatch, int8=2.0)
    exact = model()
    faster = exact.with_search("int8")
    assert faster.search_report.speed == {1: 2.0, 32: 2.0}
    assert faster.search_report.recall > 0.99
    assert str(faster.search_report).startswith("int8: 2.0 times as fast for 1 session, 2.0 times as fast for 32 ses")
    assert faster._search is not None
    assert exact._search is None
    assert faster.with_search("exact")._search is None
    assert faster.with_search("exact").search_report == SearchReport()
    assert faster.recommend([3, 4]).items == exact.recommend([3, 4]).items


def test_what_is_slower_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_speed(monkeypatch, int8=0.8, faiss=0.5)
    with pytest.raises(ParameterError, match=r"search: int8 is 0.80 times as fast as exact search for 1 session, on"):
        model().with_search("int8")
    auto = model().with_search("auto")
    assert auto._search is None
    assert auto.search_report.reason == "int8 is 0.80 times as fast as exact search for 1 session"


def test_auto_takes_the_fastest_that_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    with_speed(monkeypatch, int8=2.0, faiss=3.0)
    assert model().with_search("auto").search_report.search == "int8"  # The catalogue is too small for an index.
    pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    monkeypatch.setattr(measured_search, "FAISS_FROM", 1000)
    monkeypatch.setattr(measured_search, "_recall", lambda *_: 1.0)
    assert model().with_search("auto").search_report.search == "faiss"


def test_what_misses_items_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_speed(monkeypatch, int8=2.0)
    monkeypatch.setattr(
        SEARCHES["int8"], "_candidates", lambda self, states, *_: np.tile(np.arange(1, 41), (len(states), 1))
    )
    with pytest.raises(ParameterError, match=r"int8 finds 0\.0\d\d of the exact top 20, less than 0.99"):
        model().with_search("int8")


def test_an_index_reads_more_clusters_until_it_finds_enough() -> None:
    pytest.importorskip("faiss", reason="needs the extra 'faiss'")
    exact = model("random")
    with torch.inference_mode():
        search = SEARCHES["faiss"](*exact._table(), exact.vocabulary)
        states = exact._states(prefixes(exact, 384))

        def listed(found, some):  # type: ignore[no-untyped-def]
            exact._search = found
            return exact._list(some, 20, None, None)[0]

        report = measure_search(search, states, listed)
    assert search._index.nprobe > 8
    assert 0.5 < report.recall < 0.99  # Random vectors have no clusters.
    assert report.problem is not None
    assert set(report.speed) == {1, 32}


def test_a_search_belongs_to_its_table() -> None:
    found = searching(model(), "int8")
    assert found._search is not None
    assert found._copy(found.arrays(), found.vocabulary)._search is None
    assert found.restore(found.arrays(), found.vocabulary)._search is None


def test_searches_are_deterministic() -> None:
    exact = model()
    for name in SEARCHES:
        one, two = (searching(exact, name).top_k(prefixes(exact), 20)[0] for _ in range(2))
        np.testing.assert_array_equal(one, two)


def test_models_without_an_item_table_say_so() -> None:
    vocabulary = Vocabulary.from_items(pl.Series("item", [1, 2, 2]))
    popularity = Popularity()
    popularity.vocabulary = vocabulary
    with pytest.raises(ParameterError, match="must be 'exact' or 'auto' for popularity, got 'int8'"):
        popularity.with_search("int8")
    assert "table of items" in str(popularity.with_search("auto").search_report)
    with pytest.raises(UnknownNameError, match="unknown search 'int4'"):
        popularity.with_search("int4")
    with pytest.raises(UnknownNameError, match="unknown search 'int4'"):
        model().with_search("int4")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"segue\[faiss\]\""):
        model().with_search("faiss")


def test_a_report_names_its_worst_problem() -> None:
    report = SearchReport("int8", {1: 2.0, 32: 0.5}, 1.0)
    assert report.problem == "int8 is 0.50 times as fast as exact search for 32 sessions"
    assert replace(report, recall=0.5).problem == "int8 finds 0.500 of the exact top 20, less than 0.99"
    assert replace(report, speed={1: 1.0, 32: 1.0}).problem is None
