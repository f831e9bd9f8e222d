"""What there is to see of a model's items, and to say of it."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from segue.embeddings.cloud import Cloud
from segue.embeddings.colours import Colours
from segue.embeddings.maps import NOT_TO_BE_READ, Map
from segue.embeddings.neighbours import Purity
from segue.embeddings.options import PlotOptions
from segue.embeddings.shape import Shape
from segue.embeddings.variance import POPULARITY as FLAGGED
from segue.embeddings.variance import Variance


@dataclass(frozen=True, eq=False)
class Look:
    """Pictures of a model's items, and what is to be known of them.

    Attributes:
        model: name of the model.
        options: what was asked for.
        total: number of items N.
        cloud: the items that are drawn.
        variance: the principal components of all items.
        shape: what is to be told from the shape of the cloud.
        colours: what colours the items.
        maps: the pictures; none of a spectrum.
        purity: of the categories among nearest neighbours; None unless the colours are categories.
        asked: the item whose neighbours were asked for, and these; a row each, the item itself first.
        notes: what was done with the items, beside what was asked for.
    """

    model: str
    options: PlotOptions
    total: int
    cloud: Cloud
    variance: Variance
    shape: Shape
    colours: Colours
    maps: tuple[Map, ...]
    purity: Purity | None
    asked: pl.DataFrame | None
    notes: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """What a reader should know before looking."""
        return [*self.shape.warnings(), *_on_popularity(self.variance)]

    @property
    def caption(self) -> str:
        """What may be read from the picture, and what may not."""
        return NOT_TO_BE_READ.get(self.options.kind, "")

    def facts(self) -> list[str]:
        """Say the numbers that belong to the picture, a line each."""
        variance, half = self.variance, self.variance.components_for(0.5)
        lines = [
            f"{half} of {len(variance.shares)} components hold half of the variance, the first two "
            f"{variance.shares[:2].sum():.1%}; effective rank {variance.effective_rank:.1f}"
        ]
        if self.purity is not None:
            lines.append(
                f"{self.purity.k} nearest neighbours of the same {self.colours.title}: {self.purity.value:.2f} "
                f"(by chance {self.purity.chance:.2f}), by cosine of the vectors"
            )
        if self.asked is not None:
            name, count = self.asked["name"][0], self.asked.height - 1
            lines.append(f"Ringed: {name} and its {count} nearest items, by {self.options.similarity} of the vectors")
        return lines

    def numbers(self) -> dict[str, Any]:
        """Return everything that was measured, as JSON can hold it."""
        variance = self.variance
        return {
            "model": self.model,
            "items": self.total,
            "drawn": len(self.cloud),
            "dimensions": self.cloud.vectors.shape[1],
            "options": self.options.model_dump(mode="json"),
            "variance": {
                "shares": variance.shares.tolist(),
                "cumulative": variance.cumulative.tolist(),
                "components_for_half": variance.components_for(0.5),
                "effective_rank": variance.effective_rank,
                "popularity_correlations": variance.correlations.tolist(),
                "flagged": [component + 1 for component in variance.flagged],
            },
            "shape": self.shape.numbers(),
            "purity": None if self.purity is None else asdict(self.purity),
            "neighbours": None if self.asked is None else self.asked.to_dicts(),
            "warnings": self.warnings,
            "notes": list(self.notes),
        }


def _on_popularity(variance: Variance) -> list[str]:
    return [
        f"component {component + 1} follows popularity: rank correlation {variance.correlations[component]:.2f}, "
        f"flagged above {FLAGGED} in size"
        for component in variance.flagged
    ]
