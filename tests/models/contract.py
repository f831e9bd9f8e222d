"""The contract of every model. Each model's test subclasses ``ModelContract`` and says what the model can learn."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from chains import Task, hit_rate, prefixes

from segue.data.array_files import read_sessions, write_sessions
from segue.data.cases import Cases
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError, SegueError
from segue.evaluation.ranking import top_k
from segue.manifest import DATASET
from segue.models.base import Model
from segue.models.composite import CompositeModel
from segue.models.popularity import Popularity
from segue.models.registry import load, model_class
from segue.models.v_sknn import VSKNN
from segue.parameters import merge
from segue.rng import generator


class ModelContract:
    """What holds for every model.

    Attributes:
        model: the class under test.
        parameters: parameters that suit the small task.
        make_task: the log with a known answer that the model must learn, as a static method.
    """

    model: ClassVar[type[Model]]
    parameters: ClassVar[dict[str, Any]] = {}
    make_task: ClassVar[Callable[[], Task]]

    @classmethod
    def new(cls) -> Model:
        return cls.model(**cls.parameters)

    @classmethod
    def brief(cls) -> Model:
        """Return a model whose training is one epoch, if it has epochs: enough to compare two fits."""
        short = {"training": {"epochs": 1}} if "training" in cls.parameters else {}
        return cls.model(**merge(cls.parameters, short))

    @pytest.fixture(scope="class")
    @classmethod
    def task(cls) -> Task:
        return cls.make_task()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, task: Task) -> Model:
        return cls.new().fit(task.train)

    @pytest.fixture(scope="class")
    @classmethod
    def briefly_fitted(cls, task: Task) -> Model:
        return cls.brief().fit(task.train)

    @pytest.fixture
    def some(self, task: Task) -> Prefixes:
        """A few current sessions of different lengths, one of them empty."""
        lists = [
            task.train.items[start : start + length] for start, length in ((0, 1), (3, 2), (9, 5), (20, 0), (30, 8))
        ]
        return prefixes(*lists)

    def test_learns_the_task(self, fitted: Model, task: Task) -> None:
        assert hit_rate(fitted, task) >= 0.95 * task.optimum

    def test_fit_returns_the_model(self, task: Task) -> None:
        model = self.new()
        assert model.fit(_cut(task.train, [0, 40])) is model

    def test_scores_have_one_finite_column_per_item(self, fitted: Model, task: Task, some: Prefixes) -> None:
        scores = fitted.score(some)
        assert scores.dtype == torch.float32
        assert scores.shape == (len(some), len(task.train.vocabulary) + 1)
        assert torch.isfinite(scores[:, 1:]).all()

    def test_a_batch_scores_as_its_parts(self, fitted: Model, task: Task, some: Prefixes) -> None:
        many = task.cases.prefixes[:100]
        for batch in (some, many):
            single = torch.cat([fitted.score(batch[row : row + 1]) for row in range(len(batch))])
            torch.testing.assert_close(fitted.score(batch)[:, 1:], single[:, 1:])

    def test_saved_and_loaded_it_gives_identical_scores(self, fitted: Model, some: Prefixes, tmp_path: Path) -> None:
        loaded = load(fitted.save(tmp_path / "model"))
        assert type(loaded) is self.model
        assert loaded.config == fitted.config
        assert torch.equal(loaded.score(some), fitted.score(some))

    def test_a_second_fit_is_that_of_a_new_model(self, briefly_fitted: Model, task: Task) -> None:
        first = self.brief().fit(_cut(task.train, [0, 40]))
        before = {name: array.copy() for name, array in first.arrays().items()}
        again = first.fit(task.train)
        assert again is not first
        _assert_same_arrays(again, briefly_fitted)
        for name, array in first.arrays().items():
            np.testing.assert_array_equal(array, before[name], err_msg=name)

    def test_a_fit_that_fails_leaves_no_fitted_model(self, task: Task, tmp_path: Path) -> None:
        """Nothing follows in sessions of one event, of which not every model can make something."""
        model = self.new()
        try:
            model.fit(_cut(task.train, range(41)))
        except SegueError:
            _assert_not_fitted(model, tmp_path)
        else:
            assert len(model.recommend([101], k=5).items) == 5

    def test_equal_seeds_give_equal_arrays(self, briefly_fitted: Model, task: Task) -> None:
        _assert_same_arrays(self.brief().fit(task.train, seed=0), briefly_fitted)

    def test_a_data_set_on_disk_gives_the_same_model(self, briefly_fitted: Model, task: Task, tmp_path: Path) -> None:
        """Its arrays cannot be written to, which is no reason to copy them or to warn."""
        DATASET.write(tmp_path / "set", {}, lambda folder: write_sessions(task.train, folder / "train"))
        mapped = read_sessions(DATASET.open(tmp_path / "set"), "train", task.train.vocabulary)
        assert not mapped.items.flags.writeable
        _assert_same_arrays(self.brief().fit(mapped), briefly_fitted)
        running = mapped.as_prefixes()[:50]
        assert torch.equal(briefly_fitted.score(running), briefly_fitted.score(task.train.as_prefixes()[:50]))

    def test_it_keeps_no_training_data(self, fitted: Model, task: Task) -> None:
        assert not [name for name, value in vars(fitted).items() if isinstance(value, Sessions | Prefixes | Cases)]
        for array in fitted.arrays().values():
            assert not np.shares_memory(array, task.train.items)

    def test_an_empty_session_gets_the_popular_items(self, fitted: Model, task: Task) -> None:
        assert fitted.recommend([], k=5) == []
        (answer,) = fitted.recommend([[]], k=5)
        assert answer.source == "popularity"
        support = task.train.vocabulary.support
        assert [support[item - 100] for item in answer.items] == sorted(support, reverse=True)[:5]

    def test_unknown_items_are_ignored_and_named(self, fitted: Model) -> None:
        answer = fitted.recommend([104, "never seen", 107], k=5)
        assert answer == _replace_unknown(fitted.recommend([104, 107], k=5), ["never seen"])
        full = fitted.recommend([104, 107], k=20).items
        some = [str(full[3]), full[0], full[7]]  # In any order, and an id may be text.
        assert fitted.recommend([104, 107], k=5, allowed=some).items == [full[0], full[3], full[7]]
        left = [item for number, item in enumerate(full) if number not in (0, 3, 7)]
        assert fitted.recommend([104, 107], k=5, exclude=some).items == left[:5]
        nothing = fitted.recommend(["never seen"], k=5)
        assert (nothing.source, nothing.unknown) == ("popularity", ["never seen"])
        assert len(nothing.items) == 5

    def test_a_long_session_is_answered_by_what_is_read_of_it(self, fitted: Model, task: Task) -> None:
        session = [100 + int(item) for item in task.train.items[:500]]
        answer = fitted.recommend(session, k=30)
        assert answer.source == "model"
        assert len(set(answer.items)) == 30
        read = getattr(fitted.config, "max_length", len(session))
        assert fitted.recommend(session[-read:], k=30) == answer

    def test_a_fitted_model_hands_out_no_array_that_can_be_written_to(self, fitted: Model, tmp_path: Path) -> None:
        for model in (fitted, load(fitted.save(tmp_path / "model"))):
            arrays = {**model.arrays(), **{name: getattr(model, name) for name in model.array_names}}
            if not isinstance(model, CompositeModel) and model.item_vectors() is not None:
                arrays["item_vectors"] = model.item_vectors()
            for name, array in arrays.items():
                assert not array.flags.writeable, name
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 0

    def test_it_recommends_ids_of_both_kinds(self, fitted: Model, task: Task) -> None:
        table = task.train.vocabulary.table.with_columns(pl.format("item {}", "item").alias("item"))
        named = self.new().restore(fitted.arrays(), Vocabulary(table))
        numbers, names = (
            fitted.recommend([[104], [105, 106]], k=5),
            named.recommend([["item 104"], ["item 105", "item 106"]], k=5),
        )
        assert [[f"item {item}" for item in answer.items] for answer in numbers] == [answer.items for answer in names]
        assert fitted.recommend([np.array([104]), np.array([105, 106])], k=5) == numbers
        with pytest.raises(ParameterError, match=r"sessions: must be a list of item ids, .* got '104'"):
            fitted.recommend("104", k=5)
        with pytest.raises(ParameterError, match=r"got \[104\] at 0 and 'a02' at 1; write each session as a list"):
            fitted.recommend([[104], "a02"], k=5)

    def test_lists_are_those_of_the_scores(self, fitted: Model, task: Task, some: Prefixes) -> None:
        """With any items allowed and excluded, ties included."""
        rng, vocabulary = generator(0, "filters"), task.train.vocabulary
        for batch in (some, task.cases.prefixes[:40]):
            scores = fitted.score(batch)
            for share in (1.0, 0.6, 0.1):
                allowed = rng.random(len(vocabulary) + 1) < share
                gone = [rng.choice(np.arange(1, 31), rng.integers(0, 6), replace=False) for _ in range(len(batch))]
                exclude = Prefixes.from_lists(gone)
                mask = None if share == 1.0 else allowed
                for k in (1, 5, 30):
                    items, values = fitted.top_k(batch, k, allowed=mask, exclude=gone)
                    expected = top_k(scores, k, order=vocabulary.order, allowed=mask, exclude=exclude)
                    np.testing.assert_allclose(values, expected[1], rtol=1e-4, atol=1e-5)
                    _assert_same_lists(items, expected[0], scores.numpy())
            np.testing.assert_array_equal(
                fitted.top_k(batch, 7, allowed=np.flatnonzero(allowed))[0], fitted.top_k(batch, 7, allowed=allowed)[0]
            )

    def test_given_items_have_the_scores_of_their_columns(self, fitted: Model, task: Task, some: Prefixes) -> None:
        rng = generator(1, "items")
        for batch in (some, task.cases.prefixes[:40]):
            items = rng.integers(0, 31, (len(batch), 9))
            columns = fitted.score(batch).gather(1, torch.from_numpy(items))
            expected = columns.masked_fill(torch.from_numpy(items == 0), -torch.inf)
            torch.testing.assert_close(fitted.score_items(batch, items), expected)

    def test_another_catalogue_is_refused(self, fitted: Model, task: Task) -> None:
        table = task.train.vocabulary.table
        other = Vocabulary(table.with_columns(pl.col("item") + 1000))
        foreign = Prefixes.from_lists([np.array([3, 4], dtype=np.int32)], other)
        outside = Prefixes.from_lists([np.array([3, 4000], dtype=np.int32)])
        for ask in (
            fitted.score,
            lambda prefixes: fitted.top_k(prefixes, 5),
            lambda prefixes: fitted.score_items(prefixes, np.array([[1, 2]])),
        ):
            with pytest.raises(ParameterError, match=r"segue.prepare\(log, vocabulary=model.vocabulary\)"):
                ask(foreign)
            with pytest.raises(ParameterError, match="item indices must be between 1 and 30"):
                ask(outside)
        own = Prefixes.from_lists([np.array([3, 4], dtype=np.int32)], task.train.vocabulary)
        for items in ([[31]], [[-1]]):
            with pytest.raises(ParameterError, match="items: must be item indices from 0 to 30"):
                fitted.score_items(own, np.array(items))
        for filters in ({"allowed": [31]}, {"exclude": [[31]]}, {"exclude": []}, {"allowed": np.ones(30, dtype=bool)}):
            with pytest.raises(ParameterError, match=f"{next(iter(filters))}: "):
                fitted.top_k(own, 5, **filters)

    def test_it_is_fitted_on_sessions_of_its_own_catalogue(self, task: Task) -> None:
        with pytest.raises(ParameterError, match=r"train: must be Sessions, got Task; .* pass data.train"):
            self.new().fit(task)
        train = task.train
        for broken in (
            replace(train, items=train.items + np.int32(30)),
            replace(train, offsets=train.offsets[:-1]),
            replace(train, offsets=train.offsets[::-1].copy()),
        ):
            with pytest.raises(ParameterError, match="train: "):
                self.new().fit(broken)

    def test_a_copy_of_an_artifact_keeps_its_facts(self, fitted: Model, tmp_path: Path) -> None:
        once = load(fitted.save(tmp_path / "once", protocol={"hash": "abc"}, seed=3))
        again = load(once.save(tmp_path / "again", seed=4))
        assert (again.about["protocol"], again.about["seed"]) == ({"hash": "abc"}, 4)
        assert not self.new().about

    def test_a_configuration_of_another_model_is_refused(self) -> None:
        other = Popularity.Config() if self.model is not Popularity else VSKNN.Config()
        with pytest.raises(ParameterError, match=rf"{self.model.name}.config: must be of type .*Config, got"):
            self.model(other)

    def test_seen_items_can_be_left_out(self, fitted: Model) -> None:
        answer = fitted.recommend([101, 102, 103], k=10, exclude_seen=True)
        assert len(answer.items) == 10
        assert not {101, 102, 103} & set(answer.items)

    def test_k_must_fit_the_catalogue(self, fitted: Model, task: Task) -> None:
        assert len(fitted.recommend([101], k=len(task.train.vocabulary)).items) == len(task.train.vocabulary)
        with pytest.raises(ParameterError, match="k: must be between 1 and the 30 known items, got 31"):
            fitted.recommend([101], k=31)

    def test_its_item_vectors_are_a_row_per_item(self, fitted: Model, task: Task) -> None:
        try:
            vectors = fitted.item_vectors()
        except ParameterError:
            assert issubclass(self.model, CompositeModel)
            return
        assert (vectors is None) == (not fitted.per_item_arrays())
        if vectors is not None:
            assert (vectors.dtype, len(vectors)) == (np.float32, len(task.train.vocabulary) + 1)
            assert len(np.unique(vectors[1:], axis=0)) > 1

    def test_it_must_be_fitted_first(self, tmp_path: Path) -> None:
        _assert_not_fitted(self.new(), tmp_path)

    def test_an_unknown_parameter_is_refused(self) -> None:
        with pytest.raises(ParameterError, match="unknown parameter of " + self.model.name):
            self.model(no_such_parameter=1)

    def test_a_whole_configuration_takes_no_parameters_beside_it(self) -> None:
        config = self.new().config
        assert self.model(config).config is config
        with pytest.raises(ParameterError, match=rf"{self.model.name}\.config: is the whole configuration; give no"):
            self.model(config, no_such_parameter=1)

    def test_it_is_documented(self) -> None:
        assert model_class(self.model.name) is self.model
        assert self.model.paper
        assert self.model.description().endswith(".")
        undocumented = [name for name, info in self.model.Config.model_fields.items() if not info.description]
        assert not undocumented


def _assert_same_lists(items: np.ndarray, expected: np.ndarray, scores: np.ndarray) -> None:
    """Products of fewer rows are rounded otherwise: only items whose scores all but agree may change places."""
    for row, (one, other) in enumerate(zip(items, expected, strict=True)):
        differ = one != other
        np.testing.assert_allclose(scores[row, one[differ]], scores[row, other[differ]], rtol=1e-5, atol=1e-6)


def _cut(train: Sessions, offsets: Sequence[int]) -> Sessions:
    """Return the first events of a log as other sessions."""
    times = None if train.times is None else train.times[: offsets[-1]]
    return Sessions(train.items[: offsets[-1]], np.array(offsets), times, train.vocabulary)


def _replace_unknown(answer: Any, unknown: list[str]) -> Any:
    return type(answer)(answer.items, answer.scores, unknown, answer.source)


def _assert_not_fitted(model: Model, tmp_path: Path) -> None:
    with pytest.raises(SegueError, match="not fitted"):
        model.recommend([101])
    with pytest.raises(SegueError, match="not fitted"):
        model.save(tmp_path / "model")


def _assert_same_arrays(one: Model, other: Model) -> None:
    assert one.arrays().keys() == other.arrays().keys()
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name)
