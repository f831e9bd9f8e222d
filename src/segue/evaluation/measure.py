"""Measure a scorer on test cases: over the full catalogue, streamed in chunks, with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from segue.data.sessions import Cases, Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError, ParameterError
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
        ranks: rank of each target, infinity where it was no candidate.
        groups: the session (or user) of each case.
        seed: seed of the bootstrap.
        hash: hash of the protocol and the data, where the cases came from a prepared data set.
    """

    metrics: dict[str, float]
    values: dict[str, Float64[np.ndarray, "C"]]
    ranks: Float64[np.ndarray, "C"]
    groups: Int64[np.ndarray, "C"]
    seed: int
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
    chunk: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank the target of each case among all items and measure the ranks and the lists.

    Args:
        scorer: what is measured.
        cases: the test cases; with ``exclude_seen`` the items of a prefix are no candidates of its case.
        metrics: names such as ``"recall@20"``; see ``segue.nn.metrics``.
        ties: place of a target among items of equal score; see ``segue.nn.ranking.target_ranks``.
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
    ranks = np.empty(len(cases))
    lists = _Lists([name for name in names.values() if name.name in LIST_METRICS], len(cases), scorer.vocabulary)
    with (progress or Progress()).task("evaluate", len(cases)) as task:
        for start in range(0, len(cases), chunk):
            part = cases[start : start + chunk]
            exclude = part.prefixes if cases.exclude_seen else None
            scores = scorer.score(part.prefixes)
            ranks[start : start + chunk] = target_ranks(scores, part.targets, ties=ties, exclude=exclude)
            lists.add(start, scores, exclude)
            del scores  # Its memory is free before the next chunk is scored.
            task.advance(len(part))
    return _measured(names, ranks, lists, cases.groups, seed)


def _measured(
    names: dict[str, MetricName], ranks: Float64[np.ndarray, "C"], lists: "_Lists", groups: np.ndarray, seed: int
) -> Evaluation:
    relevant = np.ones(len(ranks), dtype=np.int64)
    values, totals = {}, {}
    for text, name in names.items():
        if name.name in RANK_METRICS:
            values[text] = RANK_METRICS[name.name](ranks[:, None], relevant, name.k)
        elif name.name == "popularity":
            values[text] = lists.popularity[int(name.k)]
        else:
            totals[text] = item_coverage(lists.listed[int(name.k)])
    means = {text: float(column.mean()) for text, column in values.items()}
    metrics = {text: means[text] if text in means else totals[text] for text in names}
    return Evaluation(metrics, values, ranks, groups.astype(np.int64), seed)


class _Lists:
    """What is kept of the lists: which items they held, and how popular each list was; never the lists."""

    def __init__(self, names: Sequence[MetricName], cases: int, vocabulary: Vocabulary) -> None:
        self._support = vocabulary.support
        self._cutoffs = sorted({int(name.k) for name in names})
        self.listed = {k: np.zeros(len(vocabulary) + 1, dtype=bool) for k in self._cutoffs}
        self.popularity = {k: np.empty(cases) for k in self._cutoffs}

    def add(self, start: int, scores: Float[Tensor, "B M"], exclude: Prefixes | None) -> None:
        """Take the lists of the chunk that begins with case ``start``."""
        if not self._cutoffs:
            return
        items, _ = top_k(scores, self._cutoffs[-1], prior=self._support, exclude=exclude)
        for k in self._cutoffs:
            self.listed[k][items[:, :k]] = True
            self.popularity[k][start : start + len(items)] = average_popularity(items[:, :k], self._support)
