"""Measure a scorer on test cases: over the full catalogue, streamed in chunks, with confidence intervals."""

from collections.abc import Sequence

import numpy as np

from segue.data.sessions import Cases
from segue.errors import EmptyDataError, ParameterError
from segue.evaluation.candidates import Sample
from segue.evaluation.labels import measure_values
from segue.evaluation.meters import METERS, Scored
from segue.evaluation.outcome import Evaluation
from segue.evaluation.scorer import Scorer
from segue.nn.metrics import DEFAULT_METRICS, MetricName, are_of_values
from segue.progress import Progress

_CHUNK_SCORES = 6_000_000
"""Scores held at once. Below 32 MiB glibc hands the same memory out again; above, every chunk is mapped and zeroed
anew, which takes longer than ranking it."""

_CHUNK_CASES = 1024
"""Most cases scored at once, which bounds what a scorer itself holds on the way."""


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
        metrics: names such as ``"recall@20"``; see ``segue.nn.metrics``. Those of values need cases with labels; of
            labelled cases those of rankings take the ones with a label above 0.
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
    names = MetricName.parse_all(metrics)
    if cases.labels is not None and not are_of_values(names):
        cases = cases[np.flatnonzero(cases.labels > 0)]
    if not len(cases):
        raise EmptyDataError("evaluation: there is no test case; check what the protocol's steps dropped")
    if chunk is None:
        chunk = max(1, min(_CHUNK_CASES, _CHUNK_SCORES // (len(scorer.vocabulary) + 1)))
    if chunk < 1:
        raise ParameterError(f"chunk: must be at least 1, got {chunk}")
    progress = progress or Progress()
    if are_of_values(names):
        return measure_values(scorer, cases, names, chunk=chunk, seed=seed, progress=progress)
    sample = Sample.parse(candidates, scorer.vocabulary.support, candidate_seed)
    meters = [kind(names, cases, scorer.vocabulary) for kind in METERS]
    with progress.task("evaluate", len(cases)) as task:
        for start in range(0, len(cases), chunk):
            part = cases[start : start + chunk]
            scored = Scored.of(scorer.score(part.prefixes), part, start, sample, ties)
            for meter in meters:
                meter.add(scored)
            del scored  # Its memory is free before the next chunk is scored.
            task.advance(len(part))
    found = [meter.found() for meter in meters]
    totals = {text: total for one in found for text, total in one.totals.items()}
    values = {text: column for one in found for text, column in one.values.items()}
    return Evaluation(
        metrics={text: totals[text] for text in names},
        values={text: values[text] for text in names if text in values},
        ranks=np.concatenate([one.ranks for one in found]),
        groups=cases.groups.astype(np.int64),
        seed=seed,
        weights={text: weights for one in found for text, weights in one.weights.items()},
        roc=[point for one in found for point in one.roc],
        sampled=sample is not None,
    )
