"""A log to score, and models of an earlier log of the same shop."""

from pathlib import Path

import polars as pl

from segue import VSKNN, GRU4Rec, Popularity, prepare, read
from segue.data.synthetic import shop

MODELS = ("v-sknn", "gru4rec", "popularity")


def make_scored_shop(folder: Path) -> tuple[Path, Path]:
    """Write ``later.csv``, with unknown items, the prepared log ``data``, and a folder of models trained on it."""
    log = folder / "shop.csv"
    shop(400, 0).frame.write_csv(log)
    data = prepare(read(log))
    data.save(folder / "data")
    for model in (VSKNN(), GRU4Rec(hidden_size=16, training={"epochs": 1}), Popularity()):
        model.fit(data.train).save(folder / "models" / model.name)
    frame = pl.read_csv(log, infer_schema_length=None)
    some = (pl.int_range(pl.len()) % 7 == 0) | pl.col("session").is_in(frame["session"].unique().sort()[:20].implode())
    unknown = pl.when(some).then(pl.lit(frame["item"].max()) + 1).otherwise("item")
    frame.with_columns(item=unknown).write_csv(folder / "later.csv")
    return folder / "later.csv", folder / "models"
