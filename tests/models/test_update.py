"""Updates of models that count: equal to a fit on all events, array for array and list for list."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.data.growth import grow
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.models.als import ALS
from segue.models.base import Model
from segue.models.item_knn import ItemKNN
from segue.models.markov import Markov
from segue.models.popularity import Popularity
from segue.models.registry import load
from segue.models.sequential_rules import SequentialRules
from segue.models.session_popularity import SessionPopularity
from segue.models.stan import STAN
from segue.models.updating import UpdatableModel
from segue.models.v_sknn import VSKNN
from segue.models.vstan import VSTAN
from segue.training.config import UpdatePlan

TIMED: list[tuple[type[Model], dict[str, Any]]] = [
    (Popularity, {}),
    (Popularity, {"season": "hour"}),
    (Popularity, {"window_days": 1.0, "season": "weekday"}),
    (Popularity, {"window_days": 0.7, "growth": True}),
    (SessionPopularity, {}),
    (Markov, {"n_neighbours": 3, "decay_days": 0.5}),
    (Markov, {"baskets": True, "decay_days": 2.0}),
    (Markov, {"baskets": True, "smoothing": 0.0}),
    (SequentialRules, {"decay_days": 0.02, "n_neighbours": 4}),
    (SequentialRules, {"baskets": True, "max_distance": 2}),
    (ItemKNN, {"decay_days": 1.5, "n_neighbours": 3}),
    (ItemKNN, {"decay_days": 0.02, "n_neighbours": 3}),
    (VSKNN, {"sample_size": 3, "decay_days": 1.0, "idf": "add"}),
    (STAN, {"sample_size": 4, "k": 3, "age_scale_days": 0.5}),
    (VSTAN, {"sample_size": 2}),
]
UNTIMED: list[tuple[type[Model], dict[str, Any]]] = [
    (Popularity, {}),
    (SessionPopularity, {}),
    (Markov, {"n_neighbours": 2, "history_weight": 0.3}),
    (SequentialRules, {"n_neighbours": 3}),
    (ItemKNN, {"alpha": 1.0, "damping": 0.0, "n_neighbours": 2}),
    (VSKNN, {"sample_size": 3, "decay_share": 0.5, "idf": "multiply"}),
    (STAN, {"sample_size": 2, "age_scale_share": 0.3}),
    (VSTAN, {"sample_size": 5}),
]


def random_log(seed: int, *, days: int, timed: bool) -> list[pl.DataFrame]:
    """Make the events of some days: new items come up every day, and sessions end in the order of their numbers."""
    rng = np.random.default_rng(seed)
    log, session, clock = [], 0, 1_700_000_000
    for day in range(days):
        rows: list[tuple[int, str, int]] = []
        for _ in range(int(rng.integers(3, 12))):
            session += 1
            clock += int(rng.integers(3_000, 20_000))
            length = int(rng.integers(1, 7))
            times = clock - np.cumsum(rng.integers(0, 3, length))[::-1] * 40
            rows += [(session, f"i{int(rng.integers(0, 6 + 4 * day))}", int(time)) for time in times]
        columns = ["session", "item", *(["time"] if timed else [])]
        log.append(pl.DataFrame([row[: len(columns)] for row in rows], schema=columns, orient="row"))
    return log


def encode(log: pl.DataFrame, vocabulary: Vocabulary) -> Sessions:
    """Encode a log whose sessions are in order."""
    lengths = log.group_by("session", maintain_order=True).len()["len"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = log["time"].to_numpy() if "time" in log.columns else None
    return Sessions(vocabulary.encode(log["item"]), offsets, times, vocabulary)


def steps(log: list[pl.DataFrame]) -> list[tuple[Sessions, Sessions]]:
    """Return, for each day, its sessions and all sessions up to it, both encoded with the items known by then."""
    vocabulary = Vocabulary.from_items(log[0]["item"])
    found = []
    for day, frame in enumerate(log):
        if day:
            vocabulary = grow(vocabulary, frame["item"])
        found.append((encode(frame, vocabulary), encode(pl.concat(log[: day + 1]), vocabulary)))
    return found


def prefixes_of(log: Sessions) -> Prefixes:
    """Return some prefixes, an empty one among them."""
    ends = np.minimum(log.offsets[:-1] + 3, log.offsets[1:])
    return log.prefixes(np.append(log.offsets[:-1], 0), np.append(ends, 0), ahead=False)


def assert_equal(updated: Model, fitted: Model, log: Sessions) -> None:
    assert updated.vocabulary.table.equals(fitted.vocabulary.table)
    ours, theirs = updated.arrays(), fitted.arrays()
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array, err_msg=f"{fitted.name}, {name}", strict=True)
    for ranked, expected in zip(*(model.top_k(prefixes_of(log), 7) for model in (updated, fitted)), strict=True):
        np.testing.assert_array_equal(ranked, expected)


CASES = [(True, *case) for case in TIMED] + [(False, *case) for case in UNTIMED]


@pytest.mark.parametrize(("timed", "model", "parameters"), CASES)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_updates_equal_a_fit_on_all_events(
    timed: bool, model: type[Model], parameters: dict[str, Any], seed: int
) -> None:
    first, *later = steps(random_log(seed, days=4, timed=timed))
    updated = model(updatable=True, **parameters).fit(first[0])
    for recent, everything in later:
        updated = updated.update(recent)
        assert_equal(updated, model(updatable=True, **parameters).fit(everything), everything)


def test_every_count_and_neighbour_model_is_tested() -> None:
    kinds = {model for _, model, _ in CASES}
    assert kinds == {Popularity, SessionPopularity, Markov, SequentialRules, ItemKNN, VSKNN, STAN, VSTAN}


@pytest.mark.parametrize("model", [Popularity, Markov, ItemKNN, VSKNN])
def test_what_an_update_needs_is_kept_only_if_updatable(model: type[UpdatableModel]) -> None:
    ((_, log),) = steps(random_log(3, days=1, timed=True))
    plain, updatable = model().fit(log), model(updatable=True).fit(log)
    arrays = updatable.arrays()
    assert set(plain.arrays()) == set(arrays) - set(arrays).difference(plain.array_names)
    assert all(np.array_equal(array, arrays[name]) for name, array in plain.arrays().items())


def test_an_update_after_loading_equals_one_before(tmp_path: Any) -> None:
    (first, _), (recent, _) = steps(random_log(5, days=2, timed=True))
    model = ItemKNN(updatable=True, decay_days=1.0).fit(first)
    model.save(tmp_path / "model")
    assert_equal(load(tmp_path / "model").update(recent), model.update(recent), recent)


def test_hand_worked_update() -> None:
    first = encode(pl.DataFrame({"session": [1, 1], "item": ["a", "b"], "time": [0, 10]}), vocabulary_of("a", "b"))
    model = Markov(smoothing=0, updatable=True).fit(first)
    later = pl.DataFrame({"session": [2, 2, 3, 3], "item": ["a", "new", "a", "b"], "time": [20, 30, 40, 50]})
    updated = model.update(encode(later, grow(first.vocabulary, later["item"])))
    assert updated.vocabulary.ids.to_list() == ["a", "b", "new"]
    assert updated.vocabulary.support.tolist() == [0, 3, 2, 1]
    assert updated.recommend(["a"], 2).items == ["b", "new"]
    assert updated.recommend(["a"], 2).scores == pytest.approx([2 / 3, 1 / 3])
    assert model.recommend(["a"], 1).items == ["b"]  # The model itself is unchanged.
    assert len(model.vocabulary) == 2


def vocabulary_of(*items: str) -> Vocabulary:
    return Vocabulary.from_items(pl.Series("item", items))


def test_the_end_of_training_and_each_update_are_recorded() -> None:
    (first, _), (recent, _), (last, _) = steps(random_log(7, days=3, timed=True))
    model = VSKNN(updatable=True).fit(first)
    updated = model.update(recent).update(last)
    assert "updates" not in model.about
    one, two = updated.about["updates"]
    assert (one["events"], one["sessions"]) == (len(recent.items), len(recent))
    assert one["items"] == len(recent.vocabulary) - len(first.vocabulary)
    assert model.about["until"] < one["from"] <= one["to"] < two["from"] <= two["to"] == updated.about["until"]


class TestRefusals:
    days = steps(random_log(11, days=2, timed=True))
    first, recent = days[0][0], days[1][0]

    def test_a_model_that_is_not_updatable(self) -> None:
        with pytest.raises(ParameterError, match=r"item-knn: .* with --set item-knn.updatable=true"):
            ItemKNN().fit(self.first).update(self.recent)

    def test_events_that_the_model_has_seen(self) -> None:
        model = Markov(updatable=True).fit(self.first)
        updated = model.update(self.recent)
        with pytest.raises(ParameterError, match="recent: must have only events after 20"):
            updated.update(self.recent)
        with pytest.raises(ParameterError, match="recent: must have only events after 20"):
            model.update(self.days[1][1])

    def test_another_catalogue(self) -> None:
        model = Markov(updatable=True).fit(self.first)
        foreign = replace(self.recent, vocabulary=Vocabulary(self.recent.vocabulary.table.reverse()))
        with pytest.raises(ParameterError, match=r"recent: must be encoded with the .* items of the model"):
            model.update(foreign)

    def test_a_log_without_times_for_one_with_times(self) -> None:
        model = VSTAN(updatable=True).fit(self.first)
        with pytest.raises(ParameterError, match="recent: must have times"):
            model.update(replace(self.recent, times=None))

    @pytest.mark.parametrize(("model", "parameters"), [(Markov, {"decay_days": 1.0}), (VSKNN, {}), (Popularity, {})])
    def test_a_log_with_times_for_one_without(self, model: type[Model], parameters: dict[str, Any]) -> None:
        fitted = model(updatable=True, **parameters).fit(replace(self.first, times=None))
        with pytest.raises(ParameterError, match=f"recent: must have no times, because {fitted.name} was fitted on a"):
            fitted.update(self.recent)
        assert fitted.update(replace(self.recent, times=None)).about["updates"][0]["from"] is None

    def test_events_that_a_model_without_facts_has_seen(self) -> None:
        model = Markov(updatable=True).fit(self.first)
        bare = Markov(updatable=True).restore(model.arrays(), model.vocabulary)
        with pytest.raises(ParameterError, match=r"recent: must have only events after 20.*that markov counts"):
            bare.update(self.first)

    @pytest.mark.parametrize(
        ("model", "parameters", "name"),
        [(Markov, {}, "last_time"), (Popularity, {"window_days": 9.0}, "recent_times"), (VSKNN, {}, "session_ends")],
    )
    def test_a_stored_time_that_no_calendar_has(
        self, model: type[UpdatableModel], parameters: dict[str, Any], name: str
    ) -> None:
        fitted = model(updatable=True, **parameters).fit(self.first)
        for time in (253_402_300_800, -62_135_596_801):
            arrays = {**fitted.arrays(), name: np.full_like(fitted.arrays()[name], time)}
            with pytest.raises(ParameterError, match=rf"{name}: must have values from -6\.21356e\+10 to 253402300799"):
                model(updatable=True, **parameters).restore(arrays, fitted.vocabulary)

    @pytest.mark.parametrize(("name", "most"), [("session_ends", "last_time"), ("session_ranks", "n_sessions")])
    def test_a_session_after_the_end_of_the_training(self, name: str, most: str) -> None:
        """An update would count its age below 0, and its weight could be infinite."""
        fitted = VSKNN(updatable=True).fit(self.first)
        arrays = dict(fitted.arrays())
        limit = int(arrays[most].max()) - (name == "session_ranks")
        arrays[name] = np.full_like(arrays[name], limit)
        VSKNN(updatable=True).restore(arrays, fitted.vocabulary)
        arrays[name][0] += 1
        with pytest.raises(ParameterError, match=f"{name}: must have values up to {limit}, which follows from {most}"):
            VSKNN(updatable=True).restore(arrays, fitted.vocabulary)

    def test_an_end_of_training_that_no_calendar_has(self) -> None:
        model = Markov(updatable=True).fit(self.first)
        model.about = {"until": "9999-12-31T23:59:59-12:00"}
        with pytest.raises(ParameterError, match=r"about\.until: must be a time in ISO 8601, got '9999"):
            model.update(self.recent)

    def test_no_sessions(self) -> None:
        model = Popularity(updatable=True).fit(self.first)
        with pytest.raises(ParameterError, match="recent: must be Sessions, got list"):
            model.update([])
        with pytest.raises(ParameterError, match="recent: must have at least one event"):
            model.update(self.recent.select(np.zeros(0, dtype=np.int64)))

    def test_a_plan_of_epochs_for_a_count(self) -> None:
        with pytest.raises(ParameterError, match="plan: has no effect on popularity"):
            Popularity(updatable=True).fit(self.first).update(self.recent, UpdatePlan())

    def test_a_history_for_a_count(self) -> None:
        with pytest.raises(ParameterError, match="history: has no effect on v-sknn"):
            VSKNN(updatable=True).fit(self.first).update(self.recent, history=self.first)

    def test_a_model_without_updates(self) -> None:
        with pytest.raises(ParameterError, match="als: cannot be updated; fit it again on all events"):
            ALS(embedding_size=4).fit(self.first).update(self.recent)

    def test_ages_by_rank_in_sums(self) -> None:
        log = replace(self.first, times=None)
        with pytest.raises(ParameterError, match=r"markov.updatable: must be false with decay_share"):
            Markov(updatable=True, decay_share=0.5).fit(log)
        Markov(updatable=True, decay_share=0.5).fit(self.first)  # It has times, so that decay_share is not used.


def test_growing_a_catalogue() -> None:
    known = Vocabulary.from_items(pl.Series([5, 3, 5]), pl.DataFrame({"item": [3, 5], "name": ["three", "five"]}))
    metadata = pl.DataFrame({"item": [9, 4], "name": ["nine", None], "colour": ["red", "blue"]})
    grown = grow(known, pl.Series([9, 4, 3, 9]), metadata)
    assert grown.table.to_dict(as_series=False) == {
        "item": [3, 5, 4, 9],
        "support": [2, 2, 1, 2],
        "name": ["three", "five", None, "nine"],
    }
    with pytest.raises(ParameterError, match="must have ids of type Int64"):
        grow(known, pl.Series(["a"]))
