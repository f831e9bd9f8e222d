"""Options of a plot; nothing here is slow to import."""

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from segue.errors import ParameterError
from segue.validation import parameters_without_effect

Kind = Literal["pca", "tsne", "umap", "spectrum"]
Similarity = Literal["cosine", "dot"]

POPULARITY = "popularity"
"""Colours items by their number of training events."""

CLUSTER = "cluster"
"""Colours items by the cluster that their network assigns to them."""

MAX_PERPLEXITIES = 4
"""Maximum number of panels side by side."""

SUFFIXES = (".png", ".svg", ".html")
"""Formats of a plot."""


_OF_TSNE = ("perplexity", "iterations", "learning_rate")
"""Options that only t-SNE has."""


def _check_count(perplexities: tuple[float, ...]) -> tuple[float, ...]:
    if not 1 <= len(perplexities) <= MAX_PERPLEXITIES:
        raise ValueError(f"one to {MAX_PERPLEXITIES} numbers")
    return perplexities


def _check_rate(rate: object) -> object:
    if rate == "auto":
        return rate
    try:
        number = float(str(rate))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError("auto, or a number above 0")
    return number


class PlotOptions(BaseModel):
    """Options of a plot; each field is an option of ``segue plot``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    kind: Kind = "pca"
    """The first two principal components, t-SNE, UMAP, or the variance of all components."""
    color: str = POPULARITY
    """popularity; cluster, of the network attention-clustering; or a column of the item metadata. Text and
    integers are categories and decimals are numbers, unless the name ends in :number or :category."""
    perplexity: Annotated[tuple[Annotated[float, Field(ge=2)], ...], AfterValidator(_check_count)] = (5, 30, 50)
    """With tsne: effective number of neighbours; one panel for each, side by side."""
    iterations: int = Field(500, ge=1)
    """With tsne: steps after the 250 of the early exaggeration."""
    learning_rate: Annotated[float | Literal["auto"], BeforeValidator(_check_rate)] = "auto"
    """With tsne: size of a step; auto is the number of items, and a twelfth of it during the early exaggeration."""
    neighbours: str | None = None
    """An item, by id or name; its ten nearest items are listed and marked."""
    similarity: Similarity = "cosine"
    """Similarity of the nearest items: cosine, or dot, which prefers long vectors (usually of popular items)."""
    max_items: int = Field(50_000, ge=3)
    """Maximum number of plotted items; a larger catalogue is sampled at random."""
    stage: str | None = None
    """The model to plot, of several: retriever or ranker of a two-stage model, a name in a blend."""
    seed: int = Field(0, ge=0)
    """Random seed; equal seeds give identical plots."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        given = self.model_dump(include=set(_OF_TSNE), exclude_defaults=True)
        if given and self.kind != "tsne":
            no_effect = f"with kind '{self.kind}'", "set kind to tsne, or remove it"
            raise parameters_without_effect(self, dict.fromkeys(given, no_effect))
        return self


def checked_suffix(path: Path) -> Path:
    """Return a path that a plot can be written to.

    Raises:
        ParameterError: its suffix is not a supported format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(f"out: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, got '{path}'")
    return path
