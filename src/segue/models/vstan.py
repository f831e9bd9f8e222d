"""VSTAN: STAN with the weights of V-SKNN."""

from pydantic import Field

from segue.models.decay import exponential
from segue.models.neighbours.model import Weights
from segue.models.stan import STAN, STANConfig
from segue.spaces import Range


class VSTANConfig(STANConfig):
    """Parameters of ``VSTAN``."""

    position_scale: float = Field(4.0, gt=0)
    """lambda_1, in events: decay constant of an event's weight with its distance from the end of the current session;
    larger means slower decay."""
    match_scale: float = Field(1.02, gt=0)
    """lambda_4, in events: decay constant of a neighbour's weight with the distance of its most recent match from the
    end of the current session; larger means slower decay."""
    idf_weight: float = Field(1.0, ge=0)
    """lambda_5: favour rare items; multiplies the vote for an item by 1 + idf_weight x idf."""

    search = {**STANConfig.search, "match_scale": Range(0.5, 50.0, log=True), "idf_weight": Range(0.0, 10.0)}


class VSTAN(STAN):
    """Recommends like STAN, but also weights neighbours by their most recent match and items by their rarity.

        score(j) = STAN's sum, each term x exp(-min d_i / lambda_4) x (1 + lambda_5 idf_j)

    with d_i the events of the current session after shared item i, ``idf_j = ln(sessions / events on j)``, not below 0.

    Source: Ludewig et al., arXiv 1910.12781, as in session-rec. Where we differ: see ``STAN``.
    """

    name = "vstan"
    paper = "Ludewig et al. 2019, arXiv 1910.12781"
    Config = VSTANConfig
    config: VSTANConfig

    def weights(self) -> Weights:
        """Return STAN's decays and the weights that VSTAN adds."""
        return (
            super()
            .weights()
            ._replace(
                match=exponential(self.config.match_scale, self.config.max_length),
                item=1 + self.config.idf_weight * self.idf,
            )
        )
