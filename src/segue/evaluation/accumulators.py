"""Meters take scored cases, chunk after chunk, and keep what their metrics need; never the scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from jaxtyping import Float64, Int64

from segue.data.cases import Cases
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.candidate_sampling import Drawn, Sample, barred_items
from segue.evaluation.ranking import TargetCounts, count_targets, top_k
from segue.evaluation.scorer import Scorer, score_all
from segue.metrics import LIST_METRICS, MetricName
from segue.metrics.beyond_accuracy import COUNT_METRICS, LIST_WEIGHTS, average_weight
from segue.metrics.ranking import AUC_METRICS, RANK_METRICS, Ties, case_auc, wrong_before

ROC_STEPS = 100
"""Steps of the false positive rate at which a curve is kept."""


@dataclass(frozen=True, eq=False)
class Scored:
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
    def of(cls, scorer: Scorer, cases: Cases, start: int, sample: Sample | None, ties: Ties) -> "Scored":
        """Score some cases, and rank their targets among all items, or among those of a sample."""
        if sample is not None:
            drawn = Drawn.score(scorer, cases, sample.draw(cases, start))
            counts = drawn.counts()
            return cls(start, cases, counts, counts.ranks(ties), drawn.others, drawn.lists)
        scores, order = score_all(scorer, cases.prefixes), scorer.vocabulary.order
        exclude = cases.prefixes if cases.exclude_seen else None
        counts = count_targets(scores, cases.padded_targets(), order=order, exclude=exclude)
        taken = cases.counts
        if exclude is not None:
            taken = np.bincount(barred_items(cases)["case"].to_numpy(), minlength=len(cases))
        return cls(
            start,
            cases,
            counts,
            counts.ranks(ties),
            scores.shape[1] - 1 - taken,
            lambda k: top_k(scores, k, order=order, exclude=exclude)[0],
        )

    @property
    def rows(self) -> slice:
        """Where these cases lie among all."""
        return slice(self.start, self.start + len(self.cases))


@dataclass(frozen=True, eq=False)
class MeterResult:
    """What a meter found: figures, their values and weights per case, ranks of the targets, ties, and a curve."""

    totals: dict[str, float] = field(default_factory=dict)
    values: dict[str, Float64[np.ndarray, "C"]] = field(default_factory=dict)
    weights: dict[str, Float64[np.ndarray, "C"]] = field(default_factory=dict)
    ranks: Float64[np.ndarray, "T"] = field(default_factory=lambda: np.empty(0))
    tied: float = 0.0
    tie_bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    roc: list[tuple[float, float]] = field(default_factory=list)


class Meter(Protocol):
    """What takes scored cases."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None: ...

    def add(self, scored: Scored) -> None:
        """Take some cases."""

    def result(self) -> MeterResult:
        """Return what all of them came to."""


class RankMeter:
    """The ranks of the targets, the metrics of them, and what these would be if ties were decided otherwise."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        self._names = {text: name for text, name in names.items() if name.name in RANK_METRICS}
        self._values = {text: np.empty(len(cases)) for text in self._names}
        self._bounds = {text: np.zeros(2) for text in self._names}
        self._ranks = np.empty(len(cases.targets))
        self._ranked = self._tied = 0

    def add(self, scored: Scored) -> None:
        """Take some cases."""
        counts = scored.cases.counts
        tied = int((scored.counts.tied > 0).sum())
        worst, best = (scored.counts.ranks(ties) if tied else scored.ranks for ties in ("conservative", "standard"))
        for text, name in self._names.items():
            metric = RANK_METRICS[name.name]
            self._values[text][scored.rows] = metric(scored.ranks, counts, name.k)
            self._bounds[text] += [metric(ranks, counts, name.k).sum() for ranks in (worst, best)]
        ranks = scored.ranks[np.arange(scored.ranks.shape[1]) < counts[:, None]]
        self._ranks[self._ranked : self._ranked + len(ranks)] = ranks
        self._ranked += len(ranks)
        self._tied += tied

    def result(self) -> MeterResult:
        """Return the values."""
        means = {text: sums / len(self._values[text]) for text, sums in self._bounds.items()}
        bounds = {text: (float(worst), float(best)) for text, (worst, best) in means.items()}
        tied = self._tied / max(1, self._ranked)
        return MeterResult(_means(self._values), self._values, ranks=self._ranks, tied=tied, tie_bounds=bounds)


class AucMeter:
    """The share of pairs of a relevant and another item that are ranked right, and its curve."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        self._names = [text for text, name in names.items() if name.name in AUC_METRICS]
        self._values = np.zeros(len(cases))
        self._weights = {text: np.zeros(len(cases)) for text in self._names}
        self._steps = np.zeros(ROC_STEPS + 1)

    def add(self, scored: Scored) -> None:
        """Take some cases."""
        if not self._names:
            return
        counts, others = scored.cases.counts, scored.others
        values = case_auc(scored.ranks, counts, counts + others)
        defined = np.isfinite(values)
        self._values[scored.rows] = np.where(defined, values, 0.0)
        for text, weights in self._weights.items():
            weights[scored.rows] = np.where(defined, counts if text == "gauc" else 1, 0)
        wrong = wrong_before(scored.ranks, counts, others) / np.maximum(others, 1)[:, None]
        per_target = self._weights[self._names[0]][scored.rows] / np.maximum(counts, 1)
        there = np.arange(wrong.shape[1]) < counts[:, None]
        steps = np.ceil(wrong[there] * ROC_STEPS - 1e-9).astype(np.int64)
        self._steps += np.bincount(steps, np.repeat(per_target, counts), minlength=ROC_STEPS + 1)

    def result(self) -> MeterResult:
        """Return the values, and the curve of the first of the metrics: the mean of those of the cases."""
        if not self._names:
            return MeterResult()
        if not self._steps.any():
            raise ParameterError(
                f"metric '{self._names[0]}': no case has both a relevant and another candidate; leave the metric out"
            )
        totals = {text: float(np.average(self._values, weights=column)) for text, column in self._weights.items()}
        shares = np.cumsum(self._steps) / self._steps.sum()
        roc = [(0.0, 0.0), *((step / ROC_STEPS, float(share)) for step, share in enumerate(shares))]
        return MeterResult(totals, dict.fromkeys(self._names, self._values), self._weights, roc=roc)


class ListMeter:
    """How often each item is listed, and what each list weighs."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        chosen = {text: name for text, name in names.items() if name.name in LIST_METRICS}
        self._support = vocabulary.support
        self._counted = {text: name for text, name in chosen.items() if name.name in COUNT_METRICS}
        self._weighed = {text: name for text, name in chosen.items() if name.name in LIST_WEIGHTS}
        self._longest = min(max((int(name.k) for name in chosen.values()), default=0), len(vocabulary))
        cutoffs = {int(name.k) for name in self._counted.values()}
        self._counts = {k: np.zeros(len(vocabulary) + 1, dtype=np.int64) for k in cutoffs}
        self._weights = {name.name: LIST_WEIGHTS[name.name](self._support) for name in self._weighed.values()}
        self._values = {text: np.empty(len(cases)) for text in self._weighed}

    def add(self, scored: Scored) -> None:
        """Take the lists of some cases."""
        if not self._longest:
            return
        items = scored.lists(self._longest)
        for k, counts in self._counts.items():
            np.add.at(counts, items[:, :k], 1)
        for text, name in self._weighed.items():
            self._values[text][scored.rows] = average_weight(items[:, : int(name.k)], self._weights[name.name])

    def result(self) -> MeterResult:
        """Return the values."""
        counted = {text: COUNT_METRICS[name.name](self._counts[int(name.k)]) for text, name in self._counted.items()}
        return MeterResult(_means(self._values) | counted, self._values)


METERS: tuple[type[Meter], ...] = (RankMeter, AucMeter, ListMeter)
"""All that take rankings."""


def _means(values: Mapping[str, Float64[np.ndarray, "C"]]) -> dict[str, float]:
    return {text: float(column.mean()) for text, column in values.items()}
