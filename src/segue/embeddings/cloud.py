"""The items of a model as points: a vector each, and what is known of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64

from segue.data.item_names import ItemNames
from segue.data.vocabulary import COLD, PADDING
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.two_stage import TwoStage
from segue.rng import generator

LEAST = 3
"""Items that a picture needs."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Items as points.

    Attributes:
        vectors: one per item.
        items: a row per item: ``item`` (raw id), ``support`` (training events) and the metadata.
    """

    vectors: Float32[np.ndarray, "N D"]
    items: pl.DataFrame

    def __len__(self) -> int:
        """Number of items N."""
        return self.items.height

    @cached_property
    def directions(self) -> Float32[np.ndarray, "N D"]:
        """The vectors at length 1, so that their dot products are cosines; a vector of zeros stays one."""
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        directions: np.ndarray = np.divide(self.vectors, lengths, out=np.zeros_like(self.vectors), where=lengths > 0)
        return directions

    @cached_property
    def metadata(self) -> tuple[str, ...]:
        """Names of the columns of metadata."""
        return tuple(name for name in self.items.columns if name not in ("item", "support"))

    @cached_property
    def called(self) -> ItemNames:
        """The names of the items, in the order of the rows."""
        return ItemNames(self.items["item"], self.items.select(self.metadata))

    @property
    def name_column(self) -> str | None:
        """The column that names the items."""
        return self.called.column

    @property
    def names(self) -> list[str]:
        """What a reader calls each item: its name, or its id where it has none."""
        return self.called.names[PADDING + 1 :]

    def sample(self, size: int, seed: int) -> Int64[np.ndarray, "n"]:
        """Return the rows of a random part of the items, ascending; all of them if there are no more than ``size``."""
        if len(self) <= size:
            return np.arange(len(self))
        return np.sort(generator(seed, "sample of items").choice(len(self), size, replace=False))

    def part(self, rows: Int64[np.ndarray, "n"]) -> "Cloud":
        """Return some of the items."""
        return self if len(rows) == len(self) else Cloud(self.vectors[rows], self.items[rows])


def cloud_of(model: Model, metadata: pl.DataFrame | None = None, *, stage: str | None = None) -> Cloud:
    """Return the items that a model was trained on; those that were added later have no vector of their own.

    Args:
        model: a fitted model.
        metadata: a table with a column ``item``; its columns come in place of those that the model knows by that name.
        stage: which of two models, ``retriever`` or ``ranker``, where a model is made of two.

    Raises:
        ParameterError: the model has no vectors, too few, or a stage does not fit it.
    """
    model = _single(model, stage)
    table = model.item_vectors()
    if table is None:
        raise ParameterError(
            f"{model.name}: learns no vector per item, so there is nothing to draw; take a model that does, such as "
            "als, bpr or any network"
        )
    trained = model.vocabulary.n_trained
    if trained < LEAST:
        raise ParameterError(f"{model.name}: must know at least {LEAST} items for a picture, got {trained}")
    vectors = np.ascontiguousarray(table[PADDING + 1 : trained + 1], dtype=np.float32)
    items = model.vocabulary.table[:trained].drop(COLD, strict=False)
    return Cloud(vectors, items if metadata is None else _described(items, metadata))


def _single(model: Model, stage: str | None) -> Model:
    if stage is None:
        return model
    if not isinstance(model, TwoStage):
        raise ParameterError(f"stage: must be left out for {model.name}, which is one model, got '{stage}'")
    stages = {"retriever": model.retriever, "ranker": model.ranker}
    if stage not in stages:
        raise ParameterError(f"stage: must be retriever or ranker, got '{stage}'")
    return stages[stage]


def _described(items: pl.DataFrame, metadata: pl.DataFrame) -> pl.DataFrame:
    """Join metadata to the items by id."""
    known = metadata.drop("support", COLD, strict=False)
    known = known.with_columns(pl.col("item").cast(items["item"].dtype, strict=False)).drop_nulls("item")
    known = known.unique("item", keep="first", maintain_order=True)
    if not known.join(items, on="item", how="semi").height:
        raise ParameterError(
            f"items: must hold ids that the model was trained on, and none of these {metadata.height:,} is one; give "
            "the file that belongs to its log"
        )
    kept = items.drop([name for name in known.columns if name != "item"], strict=False)
    return kept.join(known, on="item", how="left", maintain_order="left")
