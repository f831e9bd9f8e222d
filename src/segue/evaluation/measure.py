"""Measure a scorer on test cases: over the full catalogue, streamed in chunks, with confidence intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from segue.data.sessions import Cases, Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError, ParameterError
from segue.evaluation.candidates import Sample, restrict
from segue.evaluation.confidence import intervals
from segue.nn.metrics import DEFAULT_METRICS, LIST_METRICS, RANK_METRICS, MetricName, average_popularity, item_coverage
from segue.nn.ranking import target_ranks, top_k
from segue.progress import Progress

_CHUNK_SCORES = 6_000_000
"""Scores held at once. Below 32 MiB glibc hands the same memory out again; above, every chunk is mapped and zeroed
anew, which takes longer than ranking it."""

_CHUNK_CASES = 1024
"""Most cases scored at once, which bounds what a scorer itself holds on the way."""


@runtime_checkable
class Scorer(Protocol):
    """What can be evaluated."""

    vocabulary: Vocabulary
    """The catalogue; its support decides between equal scores in the lists, and is the popularity of an item."""

    def score(self, prefixes: Prefixes) -> Float[Tensor, "B M"]:
        """Score every item as the next event of each prefix; column 0 is never ranked."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a scorer is on C cases.

    Attributes:
        metrics: value of each metric over all cases.
        values: the same per case; a metric that is no mean over cases (coverage) has none.
        ranks: ranks at which the T targets stand, ascending within each case; infinity for one that is no candidate.
        groups: the session (or user) of each case.
        seed: seed of the bootstrap.
        weights: how much each case counts in a metric that is a weighted mean (gauc).
        sampled: the targets were ranked among drawn items: the figures are not those of the whole catalogue.
        hash: hash of the protocol and the data, where the cases came from a prepared data set.
    """

    metrics: dict[str, float]
    values: dict[str, Float64[np.ndarray, "C"]]
    ranks: Float64[np.ndarray, "T"]
    groups: Int64[np.ndarray, "C"]
    seed: int
    weights: dict[str, Float64[np.ndarray, "C"]] = field(default_factory=dict)
    sampled: bool = False
    hash: str | None = None

    @cached_property
    def confidence(self) -> dict[str, tuple[float, float]]:
        """95% bootstrap interval of each metric that has values per case; empty for cases of one session only."""
        if not self.values or (self.groups == self.groups[0]).all():
            return {}
        bounds = intervals(np.column_stack(list(self.values.values())), self.groups, seed=self.seed)
        return {name: (float(low), float(high)) for name, (low, high) in zip(self.values, bounds, strict=True)}


def measure(
    scorer: Scorer,
    cases: Cases,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    ties: str = "conservative",
    candidates: str = "full",
    candidate_seed: int = 0,
    chunk: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank the targets of each case among its candidates and measure the ranks and the lists.

    Args:
        scorer: what is measured.
        cases: the test cases; with ``exclude_seen`` the items of a prefix are no candidates of its case.
        metrics: names such as ``"recall@20"``; see ``segue.nn.metrics``.
        ties: place of a target among items of equal score; see ``segue.nn.ranking.target_ranks``.
        candidates: ``"full"`` for all items; ``"uni100"`` or ``"pop100"`` for the targets and so many drawn ones, see
            ``segue.evaluation.candidates``.
        candidate_seed: seed of the draw.
        chunk: cases scored at once; None takes what keeps their scores under 24 MB. It changes no result.
        seed: seed of the confidence intervals.
        progress: who is told how far it is.

    Raises:
        EmptyDataError: there is no case.
        UnknownNameError: a metric or the tie rule is unknown.
        ParameterError: a cut-off or ``chunk`` breaks its rule, or targets and scores are of different catalogues.
    """
    names = {text: MetricName.parse(text) for text in metrics}
    if not len(cases):
        raise EmptyDataError("evaluation: there is no test case; check what the protocol's steps dropped")
    if chunk is None:
        chunk = max(1, min(_CHUNK_CASES, _CHUNK_SCORES // (len(scorer.vocabulary) + 1)))
    if chunk < 1:
        raise ParameterError(f"chunk: must be at least 1, got {chunk}")
    sample = Sample.parse(candidates, scorer.vocabulary.support, candidate_seed)
    ranks = np.empty(len(cases.targets))
    meters = [kind(names, cases, scorer.vocabulary) for kind in (_Ranks, _Lists)]
    ranked = 0
    with (progress or Progress()).task("evaluate", len(cases)) as task:
        for start in range(0, len(cases), chunk):
            part = cases[start : start + chunk]
            scored = _scored(scorer, part, start, sample, ties)
            found = scored.ranks[np.arange(scored.ranks.shape[1]) < part.counts[:, None]]
            ranks[ranked : ranked + len(found)] = found
            ranked += len(found)
            for meter in meters:
                meter.add(scored)
            del scored  # Its memory is free before the next chunk is scored.
            task.advance(len(part))
    values = {text: column for meter in meters for text, column in meter.values.items()}
    totals = {text: float(column.mean()) for text, column in values.items()}
    for meter in meters:
        totals |= meter.totals()
    return Evaluation(
        metrics={text: totals[text] for text in names},
        values={text: values[text] for text in names if text in values},
        ranks=ranks,
        groups=cases.groups.astype(np.int64),
        seed=seed,
        sampled=sample is not None,
    )


@dataclass(frozen=True, eq=False)
class _Scored:
    """Some cases, scored.

    Attributes:
        start: number of the first case.
        cases: B cases.
        scores: of all items; in the columns of items that were not drawn, -infinity.
        exclude: the prefixes, if their items are no candidates.
        ranks: of the targets, ascending, with infinity behind the last one.
    """

    start: int
    cases: Cases
    scores: Float[Tensor, "B M"]
    exclude: Prefixes | None
    ranks: Float64[np.ndarray, "B R"]

    @property
    def rows(self) -> slice:
        """Where these cases lie among all."""
        return slice(self.start, self.start + len(self.cases))


def _scored(scorer: Scorer, part: Cases, start: int, sample: Sample | None, ties: str) -> _Scored:
    scores, wanted = scorer.score(part.prefixes), part.wanted()
    if sample is not None:
        scores = restrict(scores, wanted, sample.draw(part, start))
    exclude = part.prefixes if part.exclude_seen else None
    return _Scored(start, part, scores, exclude, target_ranks(scores, wanted, ties=ties, exclude=exclude))


class _Ranks:
    """Metrics of the ranks of the targets."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        self._names = {text: name for text, name in names.items() if name.name in RANK_METRICS}
        self.values = {text: np.empty(len(cases)) for text in self._names}

    def add(self, scored: _Scored) -> None:
        """Take some cases."""
        for text, name in self._names.items():
            self.values[text][scored.rows] = RANK_METRICS[name.name](scored.ranks, scored.cases.counts, name.k)

    def totals(self) -> dict[str, float]:
        """Return the figures that are no mean over cases."""
        return {}


class _Lists:
    """Metrics of the lists: what is kept is which items they held and how popular each was; never the lists."""

    def __init__(self, names: Mapping[str, MetricName], cases: Cases, vocabulary: Vocabulary) -> None:
        self._names = {text: name for text, name in names.items() if name.name in LIST_METRICS}
        self._support = vocabulary.support
        self._cutoffs = sorted({int(name.k) for name in self._names.values()})
        self._listed = {k: np.zeros(len(vocabulary) + 1, dtype=bool) for k in self._cutoffs}
        popular = [text for text, name in self._names.items() if name.name == "popularity"]
        self.values = {text: np.empty(len(cases)) for text in popular}

    def add(self, scored: _Scored) -> None:
        """Take the lists of some cases."""
        if not self._cutoffs:
            return
        items, _ = top_k(scored.scores, self._cutoffs[-1], prior=self._support, exclude=scored.exclude)
        for k in self._cutoffs:
            self._listed[k][items[:, :k]] = True
        for text, column in self.values.items():
            column[scored.rows] = average_popularity(items[:, : int(self._names[text].k)], self._support)

    def totals(self) -> dict[str, float]:
        """Return the figures that are no mean over cases."""
        names = {text: name for text, name in self._names.items() if name.name == "coverage"}
        return {text: item_coverage(self._listed[int(name.k)]) for text, name in names.items()}
