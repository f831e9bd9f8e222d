"""The table of item vectors: what is read, what is refused, and what is computed of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from segue import open_dataset, prepare
from segue.data.content_vectors import ContentVectors, LinearMap, describe_vectors
from segue.data.fingerprint import fingerprint
from segue.data.readers.read import read, read_item_vectors
from segue.data.vocabulary import COLD, VECTOR, Vocabulary
from segue.errors import ArtifactError, LogError

LOG = pl.DataFrame({"session": [number // 3 for number in range(60)], "item": [10, 20, 30] * 20})
VECTORS = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])


def catalogue(rows: np.ndarray, present: list[bool] | None = None) -> Vocabulary:
    vectors = pl.Series(VECTOR, rows.astype(np.float32))
    table = pl.DataFrame({"item": np.arange(len(rows)), "support": np.ones(len(rows), dtype=np.int64)})
    if present is not None:
        vectors = pl.select(pl.when(pl.Series(present)).then(vectors)).to_series().alias(VECTOR)
    return Vocabulary(table.with_columns(vectors))


def test_vectors_reach_the_catalogue_whatever_holds_them(tmp_path: Path) -> None:
    frame = pl.DataFrame({"item_id": [30, 10, 99], "emb": VECTORS})
    frame.write_parquet(tmp_path / "vectors.parquet")
    frame.with_columns(pl.col("emb").cast(pl.List(pl.Float64))).write_parquet(tmp_path / "lists.parquet")
    (tmp_path / "vectors.item").write_text(
        "item_id:token\temb:float_seq\n30\t1 0\n10\t0 1\n99\t2 2\n", encoding="utf-8"
    )
    (tmp_path / "vectors.jsonl").write_text(
        "\n".join(f'{{"item_id": {item}, "emb": {row.tolist()}}}' for item, row in zip([30, 10, 99], VECTORS)),  # noqa: B905
        encoding="utf-8",
    )
    sources = [
        tmp_path / "vectors.parquet",
        tmp_path / "lists.parquet",
        tmp_path / "vectors.item",
        tmp_path / "vectors.jsonl",
        frame,
        {"item": np.array([30, 10, 99]), "vector": VECTORS},
        frame.rename({"item_id": "code"}),
        pd.DataFrame({"item": ["30", "10", "99"], "vector": VECTORS.tolist()}),
    ]
    for source in sources:
        events = read(LOG.rename({"item": "code"}), columns={"item": "code"}, item_vectors=source)
        assert events.notes[-1].endswith("has 2 numbers for each of 2 of 3 items, and for 1 other items")
        vocabulary = prepare(events, split="ratio").vocabulary
        vectors = ContentVectors.of(vocabulary)
        assert vectors.rows.tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
        assert vectors.present.tolist() == [False, True, False, True]
        assert vocabulary.metadata == ()


def test_vectors_join_metadata_and_are_kept_by_a_data_set(tmp_path: Path) -> None:
    items = pl.DataFrame({"item": [10, 20], "shop": ["a", "b"]})
    data = prepare(read(LOG, items=items, item_vectors={"item": [30, 10], "vector": VECTORS[:2]}), split="ratio")
    assert data.vocabulary.table["shop"].to_list() == ["a", "b", None]
    again = open_dataset(data.save(tmp_path / "data")).vocabulary
    assert again.table.equals(data.vocabulary.table)
    assert again.metadata == ("shop",)
    assert fingerprint(again.table) == fingerprint(data.vocabulary.table)
    assert describe_vectors(again) == describe_vectors(data.vocabulary)
    assert again.without_vectors().table.columns == ["item", "support", "shop"]


def test_every_mistake_is_named_with_its_row() -> None:
    table = pl.DataFrame(
        {
            "item": [1, 2, 2, None, 5, 6, 7],
            "vector": [[1.0, 2.0], [1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0], None, [8.0, np.nan]],
        }
    )
    with pytest.raises(LogError) as raised:
        read_item_vectors(table)
    assert raised.value.lines == [
        "the frame: row 3, column 'item': must have an id, got None; add it, or remove the row",
        "the frame: row 2, column 'item': must have each id once, got 2; keep one vector per item",
        "the frame: row 5, column 'vector': must have a vector, got None; remove the rows of items without one",
        "the frame: row 4, column 'vector': must have 2 numbers as the other vectors, got [7.0]; vectors of one model "
        "have one length",
        "the frame: row 6, column 'vector': must have finite numbers within the range of 32-bit floats, got [8.0, nan]"
        "; correct them or remove their rows",
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [1, 2], "v": [[1.0, None], [1.0, 2.0]]}, r"row 0, column 'v': must have no missing number"),
        ({"item": [1, 2], "v": [[1.0, 2.0], [np.inf, 2.0]]}, r"row 1, column 'v': must have finite numbers"),
        ({"item": [1, 2], "v": [[1.0, 2.0], [1e300, 2.0]]}, r"row 1, column 'v': must have finite numbers"),
        (
            {"item": [1, 2], "v": pl.Series([[], []], dtype=pl.List(pl.Float64))},
            r"rows 0 and 1, column 'v': must have at least one number",
        ),
        ({"item": [1, 2], "v": ["1 2", "3 4"]}, r"has no column of lists of numbers, only 'item', 'v'; write one"),
        ({"item": [1], "v": [["a"]]}, r"has no column of lists of numbers"),
        ({"item": [1], "v": [[1.0]], "w": [[1.0]]}, r"must have one column of vectors, got 'v', 'w'; leave out"),
        ({"item": [1.5], "v": [[1.0]]}, r"row 0, column 'item': must be an integer or text, got 1.5"),
        ({"thing": [1], "v": [[1.0]]}, r"has no column for the item"),
    ],
)
def test_invalid_tables_are_refused(columns: dict[str, object], message: str) -> None:
    with pytest.raises(LogError, match=message):
        read_item_vectors(pl.DataFrame(columns, strict=False))
    with pytest.raises(LogError, match="has no rows"):
        read_item_vectors(pl.DataFrame(schema={"item": pl.Int64, "v": pl.List(pl.Float32)}))


def test_vectors_of_another_log_are_refused() -> None:
    with pytest.raises(LogError, match="has vectors of none of the 3 items of the log; its ids must be those"):
        read(LOG, item_vectors={"item": ["a", "b", "c"], "vector": VECTORS})


def test_a_damaged_column_of_vectors_is_refused(tmp_path: Path) -> None:
    data = prepare(read(LOG, item_vectors={"item": [10], "vector": VECTORS[:1]}), split="ratio")
    damaged = catalogue(np.full((3, 2), np.nan))
    replace(data, train=replace(data.train, vocabulary=damaged)).save(tmp_path / "data")
    with pytest.raises(ArtifactError, match="must have finite numbers"):
        open_dataset(tmp_path / "data")


def test_standardised_vectors_have_mean_zero_and_mean_square_one() -> None:
    rows = np.random.default_rng(0).normal(3, 5, (40, 6))
    vectors = ContentVectors.of(catalogue(rows, [True] * 30 + [False] * 10))
    standard = vectors.standardised()
    assert not standard[[0, *range(31, 41)]].any()
    np.testing.assert_allclose(standard[1:31].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose((standard[1:31] ** 2).sum(axis=1).mean(), 1, rtol=1e-5)
    assert ContentVectors.of(catalogue(rows[:3], [False] * 3)) is None
    assert not ContentVectors.of(catalogue(np.ones((3, 2)))).standardised().any()


def test_principal_components_are_those_of_scikit_learn() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 8)) @ np.diag([5, 4, 3, 2, 1, 0.5, 0.2, 0.1]) + 7
    vectors = ContentVectors.of(catalogue(rows))
    expected = PCA(5, svd_solver="full").fit_transform(vectors.standardised()[1:])
    np.testing.assert_allclose(vectors.principal_components(5)[1:], expected, atol=1e-5)
    assert vectors.principal_components(20).shape == (51, 8)
    assert ContentVectors.of(catalogue(rows[:4])).principal_components(20).shape == (5, 4)


def test_means_and_components_are_those_of_training_items() -> None:
    rows = np.random.default_rng(2).normal(size=(20, 4))
    alone = ContentVectors.of(catalogue(rows[:15]))
    added = pl.Series(COLD, [None] * 15 + ["similar items"] * 5)
    grown = ContentVectors.of(Vocabulary(catalogue(rows).table.with_columns(added)))
    np.testing.assert_array_equal(grown.standardised()[:16], alone.standardised())
    np.testing.assert_array_equal(grown.principal_components(3)[:16], alone.principal_components(3))


def test_the_linear_map_is_a_ridge_regression() -> None:
    rng = np.random.default_rng(3)
    vectors, new = rng.normal(2, 1, (60, 5)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)
    learnt = (vectors @ rng.normal(size=(5, 3)) + rng.normal(size=(60, 3)) + 4).astype(np.float32)
    weights = rng.integers(1, 50, 60)
    found = LinearMap(vectors, weights)
    shares = weights / weights.mean()
    mean, center = np.average(learnt, axis=0, weights=weights), np.average(vectors, axis=0, weights=weights)
    shared = found._axes.T @ (shares[:, None] * (vectors - center)).T @ (learnt - mean)
    penalty = found._penalty(shared, float((shares[:, None] * (learnt - mean) ** 2).sum()))
    expected = Ridge(penalty).fit(vectors.astype(np.float64), learnt, sample_weight=shares).predict(new)
    np.testing.assert_allclose(found.predict(learnt, new), expected, rtol=1e-4)
    np.testing.assert_allclose(found.predict(learnt[:, 0], new), found.predict(learnt[:, :1], new)[:, 0])


def test_the_penalty_is_the_best_by_generalised_cross_validation() -> None:
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(30, 20)).astype(np.float32)
    learnt = (vectors[:, :1] + rng.normal(size=(30, 1))).astype(np.float64)
    x, y = vectors - vectors.mean(axis=0, dtype=np.float64), learnt - learnt.mean()
    values, axes = np.linalg.eigh(x.T @ x)

    def score(penalty: float) -> float:
        hat = x @ np.linalg.solve(x.T @ x + penalty * np.eye(20), x.T)
        return float(((y - hat @ y) ** 2).sum() / (29 - np.trace(hat)) ** 2)

    tried = values.mean() * 10.0 ** np.arange(-4, 4.5, 0.5)
    best = tried[np.argmin([score(one) for one in tried])]
    assert LinearMap(vectors, np.ones(30))._penalty(axes.T @ x.T @ y, float((y**2).sum())) == pytest.approx(best)


def test_few_or_equal_vectors_give_the_mean() -> None:
    learnt = np.array([[1.0, 5.0], [3.0, 7.0]], dtype=np.float32)
    one = LinearMap(np.ones((1, 3), dtype=np.float32), np.array([4])).predict(
        learnt[:1], np.zeros((2, 3), dtype=np.float32)
    )
    assert one.tolist() == [[1, 5], [1, 5]]
    equal = LinearMap(np.ones((2, 3), dtype=np.float32), np.array([1, 1])).predict(
        learnt, np.zeros((1, 3), dtype=np.float32)
    )
    np.testing.assert_allclose(equal, [[2, 6]])
