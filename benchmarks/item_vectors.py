"""Item vectors on ML-100K: warm and cold items with and without them, and two ways to score cold items.

    SEGUE_DATA=... python benchmarks/item_vectors.py [--seed 0] [--epochs 10] [--out vectors.parquet]

The vectors are made of the metadata alone, as no text model is at hand: genres, the year of release, and a truncated
SVD of TF-IDF weights of the words of the titles (needs scikit-learn: the extra ``plot``). ``--out`` keeps them.

The last 10% of the events are the test part. One in ten items is cold: its events before the test part are dropped. A
model is trained without them, the cold items are added to it, and every event of the test part is predicted among all
items that the user has not seen. Intervals resample users.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import segue
from segue.data.content_vectors import ContentVectors
from segue.data.events import ITEM, PART, TIME, Events
from segue.data.vocabulary import VECTOR, Vocabulary
from segue.evaluation.confidence import intervals
from segue.models.base import Model

COLD, TEST = 0.1, 0.1
METRICS = ("hit@20", "mrr@20")
PROTOCOL: dict[str, Any] = {
    "split": "given",
    "cases": {"targets": "every-next", "exclude_seen": True},
    "ranking": {"metrics": METRICS},
}
NEAREST = 10


def content_vectors(items: pl.DataFrame) -> pl.DataFrame:
    """Return one vector per item from its genres, its year and the words of its title."""
    from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    words = TfidfVectorizer(min_df=2, sublinear_tf=True).fit_transform(items["movie_title"].fill_null("").to_list())
    titles = TruncatedSVD(32, random_state=0).fit_transform(words)
    genres = items["class"].fill_null("").str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    names = sorted({name for row in genres.to_list() for name in row})
    has = np.array([[name in row for name in names] for row in genres.to_list()], dtype=np.float64)
    has /= np.maximum(np.linalg.norm(has, axis=1, keepdims=True), 1.0)
    year = items["release_year"].cast(pl.Float64, strict=False)
    years = ((year - year.mean()) / year.std()).clip(-3, 3).fill_null(0.0).to_numpy()[:, None]
    vectors = np.hstack([has, 0.5 * years, titles]).astype(np.float32)
    return pl.DataFrame({"item": items[ITEM], "vector": vectors})


@dataclass(frozen=True, eq=False)
class Parts:
    """The log in parts, and its cold items.

    Attributes:
        whole: all events, with the part of each.
        train: the same without the earlier events on cold items.
        cold: the cold items.
    """

    whole: Events
    train: Events
    cold: pl.Series


def split(events: Events, seed: int) -> Parts:
    """Split by time, and draw the cold items."""
    order = events.frame[TIME].rank("ordinal").to_numpy() / len(events)
    part = np.where(order > 1 - TEST, "test", "train")
    frame = events.frame.with_columns(pl.Series(PART, part))
    cold = frame[ITEM].unique().sort().sample(fraction=COLD, seed=seed)
    kept = frame.filter((pl.col(PART) == "test") | ~pl.col(ITEM).is_in(cold.implode()))
    return Parts(replace(events, frame=frame), replace(events, frame=kept), cold)


def nearest(model: Model, grown: Model, content: ContentVectors) -> Model:
    """Return the grown model with cold items that are means of the nearest training items, weighted by cosine."""
    known = len(model.vocabulary) + 1
    rows = content.standardised()
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    cosines = rows[known:] @ rows[1:known].T
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    weights = np.maximum(np.take_along_axis(cosines, best, axis=1), 1e-9)
    weights /= weights.sum(axis=1, keepdims=True)
    arrays = dict(grown.arrays())
    for name in model.per_item_arrays():
        means = np.einsum("ck,ck...->c...", weights, model.arrays()[name][1:][best])
        arrays[name] = np.concatenate([model.arrays()[name], means]).astype(arrays[name].dtype)
    return grown._copy(arrays, grown.vocabulary)


def at_zero(model: Model, grown: Model) -> Model:
    """Return the grown model with embeddings of zero for cold items, whose projected vectors are left."""
    arrays = dict(grown.arrays())
    for name in model.per_item_arrays():
        arrays[name] = arrays[name].copy()
        arrays[name][len(model.vocabulary) + 1 :] = 0.0
    return grown._copy(arrays, grown.vocabulary)


def report(label: str, model: Model, parts: Parts) -> None:
    """Print the metrics on warm and on cold targets, with their intervals."""
    data = segue.prepare(parts.whole, vocabulary=model.vocabulary, **PROTOCOL)
    found = segue.evaluate(model, data)
    cold = data.test.targets > model.vocabulary.n_trained
    cells = []
    for chosen in (~cold, cold):
        values = np.column_stack([found.values[name][chosen] for name in METRICS])
        bounds = intervals(values, found.groups[chosen])
        cells += [
            f"{mean:.3f} ({low:.3f}-{high:.3f})" for mean, (low, high) in zip(values.mean(0), bounds, strict=True)
        ]
    only = np.arange(model.vocabulary.n_trained + 1, len(model.vocabulary) + 1)
    some = data.test[cold]
    listed, _ = model.top_k(some.prefixes, 10, allowed=only.tolist(), exclude=some.prefixes)
    hits = (listed == some.targets[:, None]).any(axis=1).astype(np.float64)
    ((low, high),) = intervals(hits[:, None], some.groups)
    cells.append(f"{hits.mean():.3f} ({low:.3f}-{high:.3f})")
    print(f"| {label} | {' | '.join(cells)} |", flush=True)


def compare(parts: Parts, vectors: pl.DataFrame, items: pl.DataFrame, epochs: int, seed: int) -> None:
    """Train the models and print one row for each way to score cold items."""
    train = segue.prepare(parts.train, **PROTOCOL).train
    cold = items.filter(pl.col(ITEM).is_in(parts.cold.implode()))
    training = {"epochs": epochs, "patience": None}
    models: dict[str, Model] = {
        "als": segue.ALS(preset="implicit"),
        "sasrec": segue.SASRec(training=training),
        "sasrec, initial": segue.SASRec(item_vectors="initial", training=training),
        "sasrec, features": segue.SASRec(item_vectors="features", training=training),
    }
    for name, model in models.items():
        model.fit(train, seed=seed)
        by_map = model.add_items(cold, vectors=vectors)
        table = vectors.rename({"vector": VECTOR})
        catalogue = by_map.vocabulary.without_vectors().table.join(table, on=ITEM, how="left", maintain_order="left")
        content = ContentVectors.of(Vocabulary(catalogue))
        assert content is not None
        if not model.uses_item_vectors:
            report(f"{name}; genres", model.add_items(cold, by="class"), parts)
            report(f"{name}; {NEAREST} nearest vectors", nearest(model, by_map, content), parts)
        if name.endswith("features"):
            report(f"{name}; embedding of zero", at_zero(model, by_map), parts)
        report(f"{name}; linear map", by_map, parts)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0, help="of the cold items and of the trainings")
    parser.add_argument("--epochs", type=int, default=10, help="of SASRec")
    parser.add_argument("--out", type=Path, help="Parquet file to write the vectors to")
    given = parser.parse_args()
    items = segue.read("ml-100k").items
    assert items is not None
    vectors = content_vectors(items)
    if given.out is not None:
        vectors.write_parquet(given.out)
    parts = split(segue.read("ml-100k", item_vectors=vectors), given.seed)
    print("| model; cold items by | warm hit@20 | warm mrr@20 | cold hit@20 | cold mrr@20 | hit@10 among cold |")
    print("|---|---|---|---|---|---|", flush=True)
    compare(parts, vectors, items, given.epochs, given.seed)


if __name__ == "__main__":
    main()
