"""Sampled candidates, the same for all models, and the ranking of targets among them.

A metric on sampled candidates does not estimate the same metric on all items, and may rank models differently (Krichene
and Rendle 2020). It is here to compare with papers that used it, and its values are marked as sampled.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float32, Int, Int32, Int64

from segue.data.cases import Cases
from segue.data.vocabulary import PADDING
from segue.evaluation.ranking import TargetCounts, count_targets, top_k
from segue.evaluation.scorer import Scorer, score_items
from segue.evaluation.weighted_sampling import draw_rows
from segue.protocols.ranking import Ranking
from segue.rng import derive
from segue.threads import share_rows


@dataclass(frozen=True, eq=False)
class CandidateSampler:
    """Draws candidates for each case: a pure function of the seed and the number of the case.

    Items are sampled without replacement, excluding the targets of a case and the items of its prefix.

    Attributes:
        size: items per case; fewer where the catalogue has no more that are free.
        weights: weight of each item index in the draw, 0 for the padding.
        seed: equal seeds give equal candidates for all models.
    """

    size: int
    weights: Int64[np.ndarray, "M"]
    seed: int

    @classmethod
    def from_ranking(cls, ranking: Ranking, support: Int[np.ndarray, "M"]) -> "CandidateSampler | None":
        """Return the sampler that a ranking names; None where all items are ranked.

        Args:
            ranking: names the candidates and the seed of the draw.
            support: training events per item index.
        """
        if ranking.draw is None:
            return None
        distribution, size = ranking.draw
        # An item without an event (added after the training) can be drawn, too.
        weights = np.ones(len(support), dtype=np.int64) if distribution == "uni" else np.maximum(support, 1)
        weights[PADDING] = 0
        return cls(min(size, len(support) - 1), weights, ranking.seed)

    def draw(self, cases: Cases, first: int) -> Int32[np.ndarray, "C n"]:
        """Draw the candidates of some cases, 0 behind the last one of a case.

        Args:
            cases: consecutive cases.
            first: number of the first of them among all cases.
        """
        seeds = np.uint64(derive(self.seed, "candidates")) + _STRIDE * np.arange(
            first, first + len(cases), dtype=np.uint64
        )
        excluded = excluded_items(cases)
        ends = np.cumsum(np.bincount(excluded["case"].to_numpy(), minlength=len(cases)))
        items, cumulative = excluded["item"].to_numpy(), np.cumsum(self.weights, dtype=np.float64)
        drawn = np.zeros((len(cases), self.size), dtype=np.int32)

        def fill(part: slice) -> None:
            begin = ends[part.start - 1] if part.start else 0
            part_excluded = items[begin : ends[part.stop - 1]]
            draw_rows(seeds[part], cumulative, part_excluded, ends[part] - begin, drawn[part])

        share_rows(len(cases), fill)
        return drawn


_STRIDE = np.uint64(0xD1342543DE82EF95)
"""Spreads the numbers of cases over the seeds."""


def excluded_items(cases: Cases) -> pl.DataFrame:
    """Return the distinct items of the prefix and the targets of each case: columns ``case`` and ``item``, sorted."""
    rows, events = cases.prefixes.events()
    case = np.concatenate([rows, np.repeat(np.arange(len(cases)), cases.counts)])
    item = np.concatenate([cases.prefixes.items[events], cases.targets])
    return pl.DataFrame({"case": case, "item": item}).unique().sort("case", "item")


@dataclass(frozen=True, eq=False)
class SampledCandidates:
    """Targets and sampled items of B cases, in columns such that of equal scores the first column leads.

    Attributes:
        items: item indices, column 0 and what is behind the last candidate of a row are padding.
        scores: their scores; minus infinity for what is not a candidate.
        targets: columns of the targets, 0 behind the last one of a row.
        others: number of items sampled for each case.
    """

    items: Int64[np.ndarray, "B W"]
    scores: Float32[np.ndarray, "B W"]
    targets: Int64[np.ndarray, "B R"]
    others: Int64[np.ndarray, "B"]

    @classmethod
    def score(cls, scorer: Scorer, cases: Cases, drawn: Int32[np.ndarray, "B n"]) -> "SampledCandidates":
        """Score the targets and the sampled items of some cases."""
        wanted = cases.padded_targets()
        items = np.concatenate([wanted, drawn], axis=1).astype(np.int64)
        scores = score_items(scorer, cases.prefixes, items)
        scores[items == PADDING] = -np.inf
        if cases.exclude_seen:
            scores[:, : wanted.shape[1]][_in_prefix(cases, wanted)] = -np.inf
        columns = np.argsort(scorer.vocabulary.order.places[items], axis=1, kind="stable")
        targets = 1 + np.argsort(columns, axis=1)[:, : wanted.shape[1]]
        first = np.zeros((len(items), 1), dtype=np.int64)
        return cls(
            items=np.hstack([first, np.take_along_axis(items, columns, axis=1)]),
            scores=np.hstack([first.astype(np.float32), np.take_along_axis(scores, columns, axis=1)]),
            targets=np.where(wanted == PADDING, 0, targets),
            others=np.count_nonzero(drawn, axis=1),
        )

    def counts(self) -> TargetCounts:
        """Count the candidates around the targets."""
        return count_targets(torch.from_numpy(self.scores), self.targets)

    def lists(self, k: int) -> Int64[np.ndarray, "B k"]:
        """Return the best candidates of each case."""
        columns, _ = top_k(torch.from_numpy(self.scores), k)
        return np.take_along_axis(self.items, columns, axis=1)


def _in_prefix(cases: Cases, wanted: Int32[np.ndarray, "B R"]) -> Bool[np.ndarray, "B R"]:
    """Return a mask of the targets that occur in the prefix of their case."""
    rows, events = cases.prefixes.events()
    in_prefix = np.stack([rows, cases.prefixes.items[events]])
    size = 1 + max(in_prefix[1].max(initial=0), wanted.max(initial=0))
    return np.isin(np.arange(len(wanted))[:, None] * size + wanted, in_prefix[0] * size + in_prefix[1])
