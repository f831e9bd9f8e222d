"""Checks of what a scorer answers to a few test cases."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from segue.data.sessions import Cases
from segue.data.vocabulary import Vocabulary
from segue.evaluation.linter.finding import Check, Found
from segue.evaluation.linter.holdout import sample
from segue.evaluation.ranking import top_k
from segue.evaluation.scorer import Scorer

_MOST_CASES, _MOST_SCORES = 256, 10_000_000
"""Cases, and scores, that are looked at."""

_LEAST_CASES = 16

_CHUNK_SCORES = 6_000_000
"""Scores held at once."""

_LIST = 20
"""Length of the lists that are compared; in a small catalogue a tenth of it, so that lists can differ."""

FLAT = 1e-6
"""Range of the scores of a case, in relation to their size, up to which all items count as equal."""

MANY = 0.5
"""Share of the cases from which on ties are the scorer's habit."""

SAME = 0.9
"""Mean share of the items that lists of two sessions have in common, from which on they do not depend on them."""

POPULAR = 0.9
"""Mean share of the lists of k items that are among the 2 k most popular ones, from which on they are little else."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a scorer answered to B test cases of different sessions.

    Attributes:
        popular: the scorer ranks by popularity openly.
        broken: cases with a score that is NaN or +infinity, or without any that is finite.
        flat: cases in which all items have one score.
        first: items that share the best score of each case.
        lists: the k best items of each case; equal scores are put in order of popularity.
        inputs: the last item of the input of each case.
        bestsellers: share of each list that is among the 2 k items with most training events.
    """

    popular: bool
    broken: Bool[np.ndarray, "B"]
    flat: Bool[np.ndarray, "B"]
    first: Int64[np.ndarray, "B"]
    lists: Int64[np.ndarray, "B k"]
    inputs: Int64[np.ndarray, "B"]
    bestsellers: Float64[np.ndarray, "B"]


def ask(scorer: Scorer, cases: Cases) -> Answers:
    """Score a few test cases, each of another session."""
    items = len(scorer.vocabulary) + 1
    _, firsts = np.unique(cases.groups, return_index=True)
    most = min(_MOST_CASES, max(_LEAST_CASES, _MOST_SCORES // items))
    some = cases[firsts[sample(len(firsts), most)]]
    length = min(_LIST, max(1, len(scorer.vocabulary) // 10))
    chunk = max(1, _CHUNK_SCORES // items)
    parts = [
        _looked_at(scorer.score(some.prefixes[start : start + chunk]), scorer, length)
        for start in range(0, len(some), chunk)
    ]
    broken, flat, first, lists = (np.concatenate(column) for column in zip(*parts, strict=True))
    last = some.prefixes.items[np.maximum(some.prefixes.ends, 1) - 1].astype(np.int64)
    bestsellers = _most_popular(scorer.vocabulary, 2 * length)[lists].mean(axis=1)
    return Answers(bool(getattr(scorer, "ranks_by_popularity", False)), broken, flat, first, lists, last, bestsellers)


def _looked_at(scores: Float[Tensor, "B M"], scorer: Scorer, length: int) -> tuple[np.ndarray, ...]:
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


def _most_popular(vocabulary: Vocabulary, count: int) -> Bool[np.ndarray, "M"]:
    """Tell which item indices are the ``count`` ones with most training events; of equals, the first ones."""
    popular = np.zeros(len(vocabulary) + 1, dtype=bool)
    popular[vocabulary.order.items[:count]] = True
    return popular


def broken_scores(answers: Answers) -> Found | None:
    """Find scores that are no numbers."""
    count = int(answers.broken.sum())
    if not count:
        return None
    return Found(
        f"{count:,} of {len(answers.broken):,} cases looked at have scores that are NaN or infinite: such items are "
        "never listed; check the training for divergence (learning rate, precision), or a division by zero"
    )


def constant_scores(answers: Answers) -> Found | None:
    """Find scorers that give all items one score, or so many the best one that the tie rule makes the list."""
    flat, length = answers.flat, answers.lists.shape[1]
    if flat.mean() >= MANY:
        return Found(
            f"all items have one score in {int(flat.sum()):,} of {len(flat):,} cases looked at: equal scores are "
            "listed by training popularity, so the figures are those of popularity; check that the model was trained "
            "and that its input reaches it"
        )
    tied = ~answers.broken & (answers.first > length)
    if tied.mean() < MANY:
        return None
    return Found(
        f"more than {length} items share the best score in {int(tied.sum()):,} of {len(tied):,} cases looked at: the "
        "lists are in order of training popularity; scores need more precision, or the model more to tell items by",
        "warning",
    )


def popularity_in_disguise(answers: Answers) -> Found | None:
    """Find scorers whose lists do not depend on the session, or hold hardly anything but the most popular items."""
    sound = ~answers.broken & ~answers.flat
    if answers.popular or sound.sum() < 2:
        return None
    same, popular = _in_common(answers.lists[sound], answers.inputs[sound]), float(answers.bestsellers[sound].mean())
    if same < SAME and popular < POPULAR:
        return None
    length = answers.lists.shape[1]
    told = "do not depend on the session" if same >= SAME else "are little else than popularity"
    return Found(
        f"the lists {told}: two sessions have {same * length:.1f} of {length} items in common, and {popular:.0%} of "
        f"the items listed are among the {2 * length} most popular ones; train longer or with another learning rate, "
        "and check that the model reads its input"
    )


def _in_common(lists: Int64[np.ndarray, "B k"], inputs: Int64[np.ndarray, "B"]) -> float:
    """Return the mean share of items that the lists of two sessions with different last items have in common."""
    other = np.roll(np.arange(len(lists)), len(lists) // 2)
    differ = inputs != inputs[other]
    if not differ.any():
        return 0.0
    one, two = lists[differ], lists[other][differ]
    return float((one[:, :, None] == two[:, None, :]).any(axis=2).mean())


SCORE_CHECKS: tuple[Check[Answers], ...] = (
    Check("broken-scores", "error", broken_scores),
    Check("constant-scores", "error", constant_scores),
    Check("popularity-in-disguise", "warning", popularity_in_disguise),
)
"""Each looks at what a scorer answered."""
