"""Checks of the scores that a model gives to a sample of the test cases."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from segue.data.cases import Cases
from segue.evaluation.linter.checks import Check, Finding, Issue, evenly_spaced, run_checks
from segue.evaluation.ranking import top_k
from segue.evaluation.scorer import Scorer
from segue.protocols.dataset import Dataset

_SAMPLED_CASES, _SAMPLED_SCORES = 256, 10_000_000
"""Maximum numbers of cases and of scores to check."""

_MIN_CASES = 16

_CHUNK_SCORES = 6_000_000
"""Scores in memory at once."""

_LIST_LENGTH = 20
"""Length of the compared lists; in a small catalogue a tenth of its size, so that lists can differ."""

FLAT = 1e-6
"""Range of the scores of a case, relative to their size, up to which all items count as equal."""

MAX_TIED = 0.5
"""Minimum share of the cases for ties to be reported."""

MAX_OVERLAP = 0.9
"""Mean share of items that the lists of two sessions have in common above which lists ignore the session."""

MAX_POPULAR = 0.9
"""Mean share of listed items that are among the 2 k most popular items, above which lists of length k are flagged."""


@dataclass(frozen=True, eq=False)
class ScoredCases:
    """Summary of the scores and lists of B test cases from different sessions.

    Attributes:
        ranks_by_popularity: the scorer declares that it ranks by popularity.
        broken: cases with a score that is NaN or +infinity, or without a finite one.
        flat: cases in which all items have one score.
        tied_best: how many items share the best score of each case.
        lists: the k best items of each case; equal scores are listed by popularity.
        last_items: the last item of each prefix.
        popular_share: share of each list that is among the 2 k items with most training events.
    """

    ranks_by_popularity: bool
    broken: Bool[np.ndarray, "B"]
    flat: Bool[np.ndarray, "B"]
    tied_best: Int64[np.ndarray, "B"]
    lists: Int64[np.ndarray, "B k"]
    last_items: Int64[np.ndarray, "B"]
    popular_share: Float64[np.ndarray, "B"]


def score_sample(scorer: Scorer, cases: Cases) -> ScoredCases:
    """Score a sample of the test cases, each from a different session."""
    n_items = len(scorer.vocabulary)
    _, firsts = np.unique(cases.groups, return_index=True)
    most = min(_SAMPLED_CASES, max(_MIN_CASES, _SAMPLED_SCORES // (n_items + 1)))
    some = cases[firsts[evenly_spaced(len(firsts), most)]]
    length = min(_LIST_LENGTH, max(1, n_items // 10))
    chunk = max(1, _CHUNK_SCORES // (n_items + 1))
    parts = [
        _summarise(scorer.score(some.prefixes[start : start + chunk]), scorer, length)
        for start in range(0, len(some), chunk)
    ]
    broken, flat, tied_best, lists = (np.concatenate(column) for column in zip(*parts, strict=True))
    popular = np.zeros(n_items + 1, dtype=bool)
    popular[scorer.vocabulary.order.items[: 2 * length]] = True
    return ScoredCases(
        ranks_by_popularity=bool(getattr(scorer, "ranks_by_popularity", False)),
        broken=broken,
        flat=flat,
        tied_best=tied_best,
        lists=lists,
        last_items=some.prefixes.items[np.maximum(some.prefixes.ends, 1) - 1].astype(np.int64),
        popular_share=popular[lists].mean(axis=1),
    )


def _summarise(scores: Float[Tensor, "B M"], scorer: Scorer, length: int) -> tuple[np.ndarray, ...]:
    lists, _ = top_k(scores, length, order=scorer.vocabulary.order)
    rows = scores[:, 1:].detach().float().cpu().numpy()
    finite = np.isfinite(rows)
    broken = np.isnan(rows).any(axis=1) | np.isposinf(rows).any(axis=1) | ~finite.any(axis=1)
    best = np.where(finite, rows, -np.inf).max(axis=1)
    least = np.where(finite, rows, np.inf).min(axis=1)
    sound = ~broken
    flat = np.zeros(len(rows), dtype=bool)
    flat[sound] = best[sound] - least[sound] <= FLAT * np.maximum(np.abs(best[sound]), np.abs(least[sound]))
    return broken, flat, (rows == best[:, None]).sum(axis=1), lists


def broken_scores(scored: ScoredCases) -> Issue | None:
    """Find scores that are not finite."""
    count = int(scored.broken.sum())
    if not count:
        return None
    return Issue(
        f"{count:,} of {len(scored.broken):,} sampled cases have scores that are NaN or infinite: such items are never "
        "listed; check the training for divergence (learning rate, precision), or for a division by zero"
    )


def constant_scores(scored: ScoredCases) -> Issue | None:
    """Find scorers that give all items the same score, or give the best score to more items than fit into a list."""
    flat, length = scored.flat, scored.lists.shape[1]
    if flat.mean() >= MAX_TIED:
        return Issue(
            f"all items have the same score in {int(flat.sum()):,} of {len(flat):,} sampled cases: equal scores are "
            "ordered by training popularity, so the metrics equal those of popularity; check that the model was "
            "trained and that the input reaches it"
        )
    tied = ~scored.broken & (scored.tied_best > length)
    if tied.mean() < MAX_TIED:
        return None
    return Issue(
        f"more than {length} items share the best score in {int(tied.sum()):,} of {len(tied):,} sampled cases: the "
        "lists are ordered by training popularity; increase the precision of scores, or use more features of the items",
        "warning",
    )


def popularity_in_disguise(scored: ScoredCases) -> Issue | None:
    """Find scorers whose lists do not depend on the session, or contain mostly the most popular items."""
    sound = ~scored.broken & ~scored.flat
    if scored.ranks_by_popularity or sound.sum() < 2:
        return None
    overlap, popular = (
        _overlap(scored.lists[sound], scored.last_items[sound]),
        float(scored.popular_share[sound].mean()),
    )
    if overlap < MAX_OVERLAP and popular < MAX_POPULAR:
        return None
    length = scored.lists.shape[1]
    what = "do not depend on the session" if overlap >= MAX_OVERLAP else "contain mostly popular items"
    return Issue(
        f"the lists {what}: two sessions have {overlap * length:.1f} of {length} items in common, and {popular:.0%} of "
        f"the listed items are among the {2 * length} most popular items; train longer or with another learning rate, "
        "and check that the model uses its input"
    )


def _overlap(lists: Int64[np.ndarray, "B k"], last_items: Int64[np.ndarray, "B"]) -> float:
    """Return the mean share of items that the lists of two sessions with different last items have in common."""
    other = np.roll(np.arange(len(lists)), len(lists) // 2)
    differ = last_items != last_items[other]
    if not differ.any():
        return 0.0
    one, two = lists[differ], lists[other][differ]
    return float((one[:, :, None] == two[:, None, :]).any(axis=2).mean())


SCORE_CHECKS: tuple[Check[ScoredCases], ...] = (
    Check("broken-scores", "error", broken_scores),
    Check("constant-scores", "error", constant_scores),
    Check("popularity-in-disguise", "warning", popularity_in_disguise),
)
"""Checks of the scores of a model."""


def lint_scores(scorer: Scorer, data: Dataset, label: str) -> list[Finding]:
    """Check the scores of a sample of the test cases; ``label`` names the scorer in the findings."""
    return run_checks(SCORE_CHECKS, label, score_sample(scorer, data.test))
