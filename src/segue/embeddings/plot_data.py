"""The content and the diagnostics of a plot of items."""

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from segue.embeddings.colours import Colours
from segue.embeddings.components import PrincipalComponents, random_plane_share
from segue.embeddings.diagnostics import Diagnostics
from segue.embeddings.options import PlotOptions
from segue.embeddings.projections import CAPTIONS, Projection
from segue.embeddings.vectors import ItemVectors, Purity


@dataclass(frozen=True, eq=False)
class PlotData:
    """A model's items on a plane, and the measures that belong to them.

    Attributes:
        model: name of the model.
        options: the options of the plot.
        total: number of items N.
        points: the plotted items.
        components: the principal components of all items.
        diagnostics: how the vectors of all items are distributed.
        colours: colours of the plotted items.
        projections: the items on a plane, one per panel; none of a spectrum.
        purity: of the categories among nearest neighbours; None unless the colours are categories.
        neighbours: the item of the option ``neighbours`` and its nearest items, a row each; the item itself first.
        notes: what was changed or left out.
    """

    model: str
    options: PlotOptions
    total: int
    points: ItemVectors
    components: PrincipalComponents
    diagnostics: Diagnostics
    colours: Colours
    projections: tuple[Projection, ...]
    purity: Purity | None
    neighbours: pl.DataFrame | None
    notes: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """Notes on the plot."""
        return [*self.diagnostics.warnings(), *self.components.warnings()]

    @property
    def caption(self) -> str:
        """How to read the plot."""
        return CAPTIONS.get(self.options.kind, "")

    def summary(self) -> list[str]:
        """Return the measures that belong to the plot, a line each."""
        components, half = self.components, self.components.components_for(0.5)
        lines = [
            f"{half} of {len(components.shares)} components explain half of the variance, the first two "
            f"{components.shares[:2].sum():.1%}; effective rank {components.effective_rank:.1f}"
        ]
        if self.options.kind in ("pca", "spectrum") and components.shares.any():
            lines.append(components.plane_remark(self.points.vectors.shape[1]))
        if self.purity is not None:
            lines.append(
                f"{self.purity.k} nearest neighbours of the same {self.colours.title}: {self.purity.value:.2f} "
                f"(by chance {self.purity.chance:.2f}), by cosine of the vectors"
            )
        if self.neighbours is not None:
            name, count = self.neighbours["name"][0], self.neighbours.height - 1
            lines.append(f"Ringed: {name} and its {count} nearest items, by {self.options.similarity} of the vectors")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return all measurements, ready for JSON."""
        components = self.components
        return {
            "model": self.model,
            "items": self.total,
            "drawn": len(self.points),
            "dimensions": self.points.vectors.shape[1],
            "options": self.options.model_dump(mode="json"),
            "variance": {
                "shares": components.shares.tolist(),
                "cumulative": components.cumulative.tolist(),
                "first_two": components.plane_share,
                "first_two_random": random_plane_share(self.total, self.points.vectors.shape[1]),
                "components_for_half": components.components_for(0.5),
                "effective_rank": components.effective_rank,
                "popularity_correlations": components.correlations.tolist(),
                "flagged": [component + 1 for component in components.flagged],
            },
            "diagnostics": asdict(self.diagnostics),
            "purity": None if self.purity is None else asdict(self.purity),
            "neighbours": None if self.neighbours is None else self.neighbours.to_dicts(),
            "warnings": self.warnings,
            "notes": list(self.notes),
        }
