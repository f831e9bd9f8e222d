"""Accumulators take ranked cases, chunk after chunk, and keep what their metrics need; never the scores."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from jaxtyping import Float64, Int64

from segue.data.cases import Cases
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.candidate_sampling import CandidateSampler, SampledCandidates, excluded_items
from segue.evaluation.ranking import TargetCounts, count_targets, top_k
from segue.evaluation.scorer import Scorer, score_all
from segue.metrics import LIST_METRICS, MetricName
from segue.metrics.beyond_accuracy import COUNT_METRICS, LIST_WEIGHTS, average_weight
from segue.metrics.rank_metrics import AUC_METRICS, RANK_METRICS, Ties, case_auc, wrong_before

ROC_STEPS = 100
"""Steps of the false positive rate at which a curve is kept."""


@dataclass(frozen=True, eq=False)
class RankedCases:
    """Some cases, scored and ranked.

    Attributes:
        start: number of the first case.
        cases: B cases.
        counts: the candidates around each target.
        ranks: of the targets, ascending, with infinity behind the last one.
        others: how many candidates of each case are not relevant.
        lists: returns the k best items of each case.
    """

    start: int
    cases: Cases
    counts: TargetCounts
    ranks: Float64[np.ndarray, "B R"]
    others: Int64[np.ndarray, "B"]
    lists: Callable[[int], Int64[np.ndarray, "B k"]]

    @classmethod
    def score(
        cls, scorer: Scorer, cases: Cases, start: int, sampler: CandidateSampler | None, ties: Ties
    ) -> "RankedCases":
        """Score some cases, and rank their targets among all items, or among those of a sample."""
        if sampler is not None:
            drawn = SampledCandidates.score(scorer, cases, sampler.draw(cases, start))
            counts = drawn.counts()
            return cls(start, cases, counts, counts.ranks(ties), drawn.others, drawn.lists)
        scores, order = score_all(scorer, cases.prefixes), scorer.vocabulary.order
        exclude = cases.prefixes if cases.exclude_seen else None
        counts = count_targets(scores, cases.padded_targets(), order=order, exclude=exclude)
        taken = cases.counts
        if exclude is not None:
            taken = np.bincount(excluded_items(cases)["case"].to_numpy(), minlength=len(cases))
        return cls(
            start,
            cases,
            counts,
            counts.ranks(ties),
            scores.shape[1] - 1 - taken,
            lambda k: top_k(scores, k, order=order, exclude=exclude)[0],
        )

    def with_lists(self, longest: int) -> "RankedCases":
        """Return the same without the scores: its lists are made, and have at most ``longest`` items."""
        return replace(self, lists=_MadeLists(self.lists(longest) if longest else None))

    @property
    def rows(self) -> slice:
        """Where these cases lie among all."""
        return slice(self.start, self.start + len(self.cases))


@dataclass(frozen=True, eq=False)
class _MadeLists:
    """The lists of some cases, as a function of their length."""

    items: Int64[np.ndarray, "B k"] | None

    def __call__(self, k: int) -> Int64[np.ndarray, "B k"]:
        assert self.items is not None
        return self.items[:, :k]


@dataclass(frozen=True, eq=False)
class ChunkRanking:
    """Cases that are ranked in chunks; which cases a chunk has, is the same wherever it is ranked.

    Attributes:
        cases: all cases.
        sampler: draws the candidates; None for all items.
        ties: the order of equal scores.
        chunk: cases scored at once.
        longest: length of the longest list that a metric needs.
    """

    cases: Cases
    sampler: CandidateSampler | None
    ties: Ties
    chunk: int
    longest: int

    def ranked(self, scorer: Scorer, first: int, last: int) -> Iterator[RankedCases]:
        """Rank the cases from a chunk that begins at ``first`` to ``last``, which ends one."""
        for start in range(first, last, self.chunk):
            yield RankedCases.score(scorer, self.cases[start : start + self.chunk], start, self.sampler, self.ties)


RankChunks = Callable[[ChunkRanking], Iterator[RankedCases]]
"""Ranks all cases and yields them in order."""


@dataclass(frozen=True, eq=False)
class AccumulatedMetrics:
    """Results of an accumulator: metrics, values and weights per case, ranks of the targets, ties, and a curve."""

    totals: dict[str, float] = field(default_factory=dict)
    values: dict[str, Float64[np.ndarray, "C"]] = field(default_factory=dict)
    weights: dict[str, Float64[np.ndarray, "C"]] = field(default_factory=dict)
    ranks: Float64[np.ndarray, "T"] = field(default_factory=lambda: np.empty(0))
    tied: float = 0.0
    tie_bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    roc: list[tuple[float, float]] = field(default_factory=list)


class MetricAccumulator(Protocol):
    """Accumulates metrics over chunks of ranked cases."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None: ...

    def update(self, ranked: RankedCases) -> None:
        """Take some cases."""

    def compute(self) -> AccumulatedMetrics:
        """Return the combined results."""


class RankAccumulator:
    """The ranks of the targets, the metrics of them, and what these would be if ties were decided otherwise."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        self._names = {text: name for text, name in names.items() if name.name in RANK_METRICS}
        self._values = {text: np.empty(len(cases)) for text in self._names}
        self._bounds = {text: np.zeros(2) for text in self._names}
        self._ranks = np.empty(len(cases.targets))
        self._ranked = self._tied = 0

    def update(self, ranked: RankedCases) -> None:
        """Take some cases."""
        counts = ranked.cases.counts
        tied = int((ranked.counts.tied > 0).sum())
        worst, best = (ranked.counts.ranks(ties) if tied else ranked.ranks for ties in ("pessimistic", "optimistic"))
        for text, name in self._names.items():
            metric = RANK_METRICS[name.name]
            self._values[text][ranked.rows] = metric(ranked.ranks, counts, name.k)
            self._bounds[text] += [metric(ranks, counts, name.k).sum() for ranks in (worst, best)]
        ranks = ranked.ranks[np.arange(ranked.ranks.shape[1]) < counts[:, None]]
        self._ranks[self._ranked : self._ranked + len(ranks)] = ranks
        self._ranked += len(ranks)
        self._tied += tied

    def compute(self) -> AccumulatedMetrics:
        """Return the values."""
        means = {text: sums / len(self._values[text]) for text, sums in self._bounds.items()}
        bounds = {text: (float(worst), float(best)) for text, (worst, best) in means.items()}
        tied = self._tied / max(1, self._ranked)
        return AccumulatedMetrics(_means(self._values), self._values, ranks=self._ranks, tied=tied, tie_bounds=bounds)


class AucAccumulator:
    """The share of pairs of a relevant and another item that are ranked right, and its curve."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        self._names = [text for text, name in names.items() if name.name in AUC_METRICS]
        self._values = np.zeros(len(cases))
        self._weights = {text: np.zeros(len(cases)) for text in self._names}
        self._steps = np.zeros(ROC_STEPS + 1)

    def update(self, ranked: RankedCases) -> None:
        """Take some cases."""
        if not self._names:
            return
        counts, others = ranked.cases.counts, ranked.others
        values = case_auc(ranked.ranks, counts, counts + others)
        defined = np.isfinite(values)
        self._values[ranked.rows] = np.where(defined, values, 0.0)
        for text, weights in self._weights.items():
            weights[ranked.rows] = np.where(defined, counts if text == "gauc" else 1, 0)
        wrong = wrong_before(ranked.ranks, counts, others) / np.maximum(others, 1)[:, None]
        per_target = self._weights[self._names[0]][ranked.rows] / np.maximum(counts, 1)
        there = np.arange(wrong.shape[1]) < counts[:, None]
        steps = np.ceil(wrong[there] * ROC_STEPS - 1e-9).astype(np.int64)
        self._steps += np.bincount(steps, np.repeat(per_target, counts), minlength=ROC_STEPS + 1)

    def compute(self) -> AccumulatedMetrics:
        """Return the values, and the curve of the first of the metrics: the mean of those of the cases."""
        if not self._names:
            return AccumulatedMetrics()
        if not self._steps.any():
            raise ParameterError(
                f"metric '{self._names[0]}': no case has both a relevant and another candidate; leave the metric out"
            )
        totals = {text: float(np.average(self._values, weights=column)) for text, column in self._weights.items()}
        shares = np.cumsum(self._steps) / self._steps.sum()
        roc = [(0.0, 0.0), *((step / ROC_STEPS, float(share)) for step, share in enumerate(shares))]
        return AccumulatedMetrics(totals, dict.fromkeys(self._names, self._values), self._weights, roc=roc)


class ListAccumulator:
    """The number of times that each item is listed, and the weight of each list."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        chosen = {text: name for text, name in names.items() if name.name in LIST_METRICS}
        self._support = vocabulary.support
        self._counted = {text: name for text, name in chosen.items() if name.name in COUNT_METRICS}
        self._weighed = {text: name for text, name in chosen.items() if name.name in LIST_WEIGHTS}
        self._longest = longest_list(names, vocabulary)
        cutoffs = {int(name.k) for name in self._counted.values()}
        self._counts = {k: np.zeros(len(vocabulary) + 1, dtype=np.int64) for k in cutoffs}
        self._weights = {name.name: LIST_WEIGHTS[name.name](self._support) for name in self._weighed.values()}
        self._values = {text: np.empty(len(cases)) for text in self._weighed}

    def update(self, ranked: RankedCases) -> None:
        """Take the lists of some cases."""
        if not self._longest:
            return
        items = ranked.lists(self._longest)
        for k, counts in self._counts.items():
            np.add.at(counts, items[:, :k], 1)
        for text, name in self._weighed.items():
            self._values[text][ranked.rows] = average_weight(items[:, : int(name.k)], self._weights[name.name])

    def compute(self) -> AccumulatedMetrics:
        """Return the values."""
        counted = {text: COUNT_METRICS[name.name](self._counts[int(name.k)]) for text, name in self._counted.items()}
        return AccumulatedMetrics(_means(self._values) | counted, self._values)


ACCUMULATORS: tuple[type[MetricAccumulator], ...] = (RankAccumulator, AucAccumulator, ListAccumulator)
"""The accumulators of all metrics of rankings."""


def longest_list(names: Mapping[str, MetricName], vocabulary: Vocabulary) -> int:
    """Return the length of the longest list that metrics need; 0 if none needs lists."""
    lengths = (int(name.k) for name in names.values() if name.name in LIST_METRICS)
    return min(max(lengths, default=0), len(vocabulary))


def _means(values: Mapping[str, Float64[np.ndarray, "C"]]) -> dict[str, float]:
    return {text: float(column.mean()) for text, column in values.items()}
