"""STAN: session-based kNN with decays in the current session, in time and inside the neighbour."""

import numpy as np
from pydantic import Field

from segue.models.decay import exponential, exponential_positions
from segue.models.neighbours.model import NeighbourConfig, NeighbourModel, Weights
from segue.spaces import Range


class STANConfig(NeighbourConfig):
    """Parameters of ``STAN``."""

    k: int = Field(500, ge=1, le=1_000_000_000)
    """Number of neighbours: the most similar sessions, which vote for their items."""
    max_length: int = Field(50, ge=1, le=1000)
    """Number of most recent events of the current session to use."""
    position_scale: float = Field(1.02, gt=0)
    """lambda_1, in events: decay constant of an event's weight with its distance from the end of the current session;
    larger means slower decay."""
    age_scale_days: float = Field(20.0, gt=0)
    """lambda_2, in days: decay constant of a session's weight with its age at the end of training; larger means slower
    decay."""
    age_scale_share: float = Field(1.0, gt=0)
    """Like age_scale_days, for a log without times: lambda_2 as a share of all sessions."""
    gap_scale: float = Field(4.0, gt=0)
    """lambda_3, in events: decay constant of the weight of a neighbour's item with its distance from the last match;
    larger means slower decay."""

    search = {
        **NeighbourConfig.search,
        "position_scale": Range(0.5, 50.0, log=True),
        "age_scale_days": Range(1.0, 200.0, log=True),
        "gap_scale": Range(0.5, 50.0, log=True),
    }


class STAN(NeighbourModel):
    """Recommends from the most similar sessions: recent clicks, recent sessions and items near the match count most.

    With current session s of which item i is last at d_i events before the end, neighbour n of age a_n, and p_n(j) the
    last place of item j in n:

        w_i       = exp(-d_i / lambda_1)
        sim(s, n) = sum over the shared items of w_i / (sqrt(sum over s of w_i^2) sqrt(different items of n))
                    x exp(-a_n / lambda_2)
        score(j)  = sum over the k neighbours that contain j of sim(s, n) x exp(-|p_n(j) - p_n*| / lambda_3)

    where p_n* is the last position in n of an item of s.

    Source: Garg et al., SIGIR 2019. The lists equal those of session-rec for equal parameters and "now" at the end of
    training. Where we differ: ages count back from the end of training, which multiplies all scores of a prefix by one
    number and changes no list; and in a log without times the rank of a session, counted from the most recent one and
    divided by the number of sessions, takes the place of its age.
    """

    name = "stan"
    paper = "Garg et al. 2019, SIGIR"
    Config = STANConfig
    config: STANConfig
    cosine = True

    def age_scales(self) -> tuple[float, float]:
        """Return lambda_2."""
        return self.config.age_scale_days, self.config.age_scale_share

    def weights(self) -> Weights:
        """Return the decays."""
        longest = int(np.diff(self.offsets).max(initial=1))
        return Weights(
            position=exponential_positions(self.config.position_scale, self.config.max_length),
            match=np.ones(self.config.max_length),
            gap=exponential(self.config.gap_scale, longest),
            item=np.ones_like(self.idf),
        )
