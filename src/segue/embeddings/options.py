"""Options of a plot; nothing here is slow to import."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from segue.errors import ParameterError

Kind = Literal["pca", "tsne", "umap", "spectrum"]
Similarity = Literal["cosine", "dot"]

POPULARITY = "popularity"
"""Colours items by their number of training events."""

MAX_PERPLEXITIES = 4
"""Pictures that fit side by side."""

SUFFIXES = (".png", ".svg", ".html")
"""Formats of a plot."""


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
    """What a plot shows; each field is an option of ``segue plot``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    kind: Kind = "pca"
    """The first two principal components, t-SNE, UMAP, or the variance of all components."""
    color: str = POPULARITY
    """popularity, or a column of the items' metadata. Text and integers are categories and decimals numbers, unless the
    name ends in :number or :category."""
    perplexity: Annotated[tuple[Annotated[float, Field(ge=2)], ...], AfterValidator(_check_count)] = (5, 30, 50)
    """With tsne: effective number of neighbours; one panel for each, side by side."""
    iterations: int = Field(500, ge=1)
    """With tsne: steps after the 250 of the early exaggeration."""
    learning_rate: Annotated[float | Literal["auto"], BeforeValidator(_check_rate)] = "auto"
    """With tsne: size of a step; auto is the number of items, and a twelfth of it during the early exaggeration."""
    neighbours: str | None = None
    """An item, by its id or name: its ten nearest items are listed and marked."""
    similarity: Similarity = "cosine"
    """How the neighbours of that item are compared; dot prefers long vectors, those of popular items as a rule."""
    max_items: int = Field(50_000, ge=3)
    """Items that are drawn; of more, a random sample."""
    stage: Literal["retriever", "ranker"] | None = None
    """Which model of a two-stage artifact."""
    seed: int = Field(0, ge=0)
    """Seed of every random draw: the same seed gives the same picture."""


def checked_suffix(path: Path) -> Path:
    """Return a path that a plot can be written to.

    Raises:
        ParameterError: its name ends in something that is no format of a plot.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(f"out: must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, got '{path}'")
    return path
