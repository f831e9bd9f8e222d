"""What the targets of a test case are ranked among: the whole catalogue, or a few items that were drawn once for all.

A figure on drawn candidates is no estimate of the same figure on all items, and may order models otherwise (Krichene
and Rendle 2020). It exists here to compare with papers that used it, and says that it is sampled.
"""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor

from segue.data.sessions import Cases
from segue.data.vocabulary import PADDING
from segue.evaluation import kernels
from segue.nn.threads import share_rows
from segue.rng import derive

_LEAST_ROWS = 16
"""Rows below which they are done before another thread has started."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Candidates that are drawn for each case: a pure function of seed and number of the case.

    Neither the targets of a case nor the items of its prefix are drawn, and no item twice.

    Attributes:
        size: items per case; fewer where the catalogue has no more that are free.
        weights: weight of each item index in the draw, 0 for the padding.
        seed: equal seeds give equal candidates for all models.
    """

    size: int
    weights: Int64[np.ndarray, "M"]
    seed: int

    @classmethod
    def parse(cls, text: str, support: Int[np.ndarray, "M"], seed: int) -> "Sample | None":
        """Read ``uni100`` (uniform) or ``pop100`` (in proportion to ``support``); ``full`` is no sample: None."""
        parts = re.fullmatch(r"(uni|pop)(\d+)", text)
        if parts is None:
            return None
        # An item without an event (added after the training) can be drawn, too.
        weights = np.ones(len(support), dtype=np.int64) if parts[1] == "uni" else np.maximum(support, 1)
        weights[PADDING] = 0
        return cls(min(int(parts[2]), len(support) - 1), weights, seed)

    def draw(self, cases: Cases, first: int) -> Int32[np.ndarray, "C n"]:
        """Draw the candidates of some cases, 0 behind the last one of a case.

        Args:
            cases: consecutive cases.
            first: number of the first of them among all cases.
        """
        seeds = np.uint64(derive(self.seed, "candidates")) + _STRIDE * np.arange(
            first, first + len(cases), dtype=np.uint64
        )
        barred = barred_items(cases)
        ends = np.cumsum(np.bincount(barred["case"].to_numpy(), minlength=len(cases)))
        items, cumulative = barred["item"].to_numpy(), np.cumsum(self.weights, dtype=np.float64)
        drawn = np.zeros((len(cases), self.size), dtype=np.int32)

        def fill(part: slice) -> None:
            begin = ends[part.start - 1] if part.start else 0
            closed = items[begin : ends[part.stop - 1]]
            kernels.draw_rows(seeds[part], cumulative, closed, ends[part] - begin, drawn[part])

        share_rows(len(cases), fill, least=_LEAST_ROWS)
        return drawn


_STRIDE = np.uint64(0xD1342543DE82EF95)
"""Spreads the numbers of cases over the seeds."""


def barred_items(cases: Cases) -> pl.DataFrame:
    """Return the distinct items of the prefix and the targets of each case: columns ``case`` and ``item``, sorted."""
    rows, events = cases.prefixes.events()
    case = np.concatenate([rows, np.repeat(np.arange(len(cases)), cases.counts)])
    item = np.concatenate([cases.prefixes.items[events], cases.targets])
    return pl.DataFrame({"case": case, "item": item}).unique().sort("case", "item")


def restrict(
    scores: Float[Tensor, "B M"], targets: Int32[np.ndarray, "B R"], drawn: Int32[np.ndarray, "B n"]
) -> Float[Tensor, "B M"]:
    """Return scores in which only targets and drawn items are candidates."""
    allowed = torch.from_numpy(np.concatenate([targets, drawn], axis=1).astype(np.int64)).to(scores.device)
    restricted = torch.full_like(scores, -torch.inf)
    return restricted.scatter_(1, allowed, scores.gather(1, allowed))
