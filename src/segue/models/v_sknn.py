"""V-SKNN: session-based kNN with weights that decrease with the distance from the end of the current session."""

from typing import Literal, get_args

import numpy as np
from pydantic import Field

from segue.models.decay import Decay, match_weights, position_weights
from segue.models.neighbours.model import NeighbourConfig, NeighbourModel, Weights
from segue.spaces import Choice


class VSKNNConfig(NeighbourConfig):
    """Parameters of ``VSKNN``."""

    position_decay: Decay = "linear"
    """Decay of an event's weight in the similarity with its distance from the end of the current session."""
    match_decay: Decay = "div"
    """Decay of a neighbour's weight with the distance of its most recent match from the end of the current session."""
    idf: Literal["off", "add", "multiply"] = "off"
    """Favour rare items: multiply the vote for an item by 1 + idf_weight x idf (add) or by idf (multiply)."""
    idf_weight: float = Field(1.0, gt=0)
    """Weight of the idf; used with idf=add."""
    decay_days: float | None = Field(None, gt=0)
    """Time constant, in days, of the exponential decay of a session's weight with its age; none means no decay."""
    decay_share: float | None = Field(None, gt=0)
    """Like decay_days, for a log without times: the age is the rank of a session, as a share of all sessions."""

    search = {
        **NeighbourConfig.search,
        "position_decay": Choice(get_args(Decay)),
        "match_decay": Choice(get_args(Decay)),
        "idf": Choice(("off", "add", "multiply")),
        "decay_days": Choice((None, 1.0, 3.0, 7.0, 30.0)),
    }


class VSKNN(NeighbourModel):
    """Recommends the items of recent sessions that are most similar to the current session; recent clicks count most.

    With current session s, its item i last at d_i events before the end, and neighbour n:

        sim(s, n) = sum over the shared items of w(d_i) / number of different items of s x recency of n
        score(j)  = sum over the k neighbours that contain j of sim(s, n) x v(min d_i over the shared items) x f(idf_j)

    Source: V-SKNN of Ludewig and Jannach 2018 (arXiv 1803.09587), as in session-rec with ``similarity="vec"``; lists
    are equal for equal parameters where the more recent of two equally similar sessions is preferred. The index is that
    of VMIS-kNN (Kersbergen et al., SIGMOD 2022): postings of the most recent sessions of each item, here merged from
    the most recent session back, so that no session is compared that is not used. VMIS-kNN itself is
    ``idf="multiply"`` and ``leave_out="last"``.
    """

    name = "v-sknn"
    paper = "Ludewig and Jannach 2018, arXiv 1803.09587; index: Kersbergen et al. 2022, SIGMOD"
    Config = VSKNNConfig
    config: VSKNNConfig

    def age_scales(self) -> tuple[float | None, float | None]:
        """Return the time constants of the decay; None means no decay."""
        return self.config.decay_days, self.config.decay_share

    def weights(self) -> Weights:
        """Return the weights of the configured decays and idf."""
        config = self.config
        item = {"off": np.ones_like(self.idf), "add": 1 + config.idf_weight * self.idf, "multiply": self.idf}
        return Weights(
            position=position_weights(config.position_decay, config.max_length),
            match=match_weights(config.match_decay, config.max_length),
            gap=np.ones(1),
            item=item[config.idf],
        )
