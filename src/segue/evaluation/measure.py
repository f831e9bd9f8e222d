"""Measure a scorer on test cases: over the full catalogue, streamed in chunks, with confidence intervals.

``evaluate`` takes the cases and their ranking from a prepared data set, ``measure`` takes any cases and ranking.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from segue.data.cases import Cases
from segue.errors import EmptyDataError, ParameterError, UnknownNameError
from segue.evaluation.accumulators import ACCUMULATORS, ChunkRanking, RankChunks, longest_list
from segue.evaluation.candidate_sampling import CandidateSampler
from segue.evaluation.rating_prediction import measure_values
from segue.evaluation.result import Evaluation
from segue.evaluation.scorer import Scorer, require_scorer
from segue.metrics import MetricName, are_value_metrics
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.protocols.ranking import Ranking
from segue.validation import build

_CHUNK_SCORES = 6_000_000
"""Scores held at once on a CPU. Below 32 MiB glibc hands the same memory out again; above, every chunk is mapped and
zeroed anew, which takes longer than ranking it."""

_DEVICE_CASES, _DEVICE_BYTES = 16_384, 64
"""Most cases scored at once on a GPU, and the bytes that scoring and ranking take there per score."""

_CHUNK_CASES = 1024
"""Maximum number of cases scored at once on a CPU, which bounds the memory of a scorer."""


def evaluate(
    scorer: Scorer,
    data: Dataset,
    *,
    part: Literal["valid", "test"] = "test",
    seed: int = 0,
    progress: Progress | None = None,
    rank: RankChunks | None = None,
) -> Evaluation:
    """Measure a scorer on the test (or validation) cases, ranked as the protocol says.

    Args:
        scorer: a model, or anything else with ``score`` and ``vocabulary``.
        data: the prepared data set.
        part: which cases.
        seed: seed of the confidence intervals.
        progress: receives progress updates.
        rank: ranks the cases, elsewhere than in this process; see ``measure``.

    Returns:
        The values and their intervals, with the hash of protocol and data.

    Raises:
        ParameterError: ``scorer`` cannot score or is not fitted, ``data`` is not prepared, or the two have different
            catalogues: then prepare the log with ``vocabulary=model.vocabulary``.
        EmptyDataError: the protocol holds out nothing for validation, and that was asked for.
    """
    require_scorer(scorer)
    if not isinstance(data, Dataset):
        raise ParameterError(
            f"data: must be a Dataset, got {type(data).__name__}; prepare the log first: segue.prepare(...)"
        )
    if part not in ("valid", "test"):
        raise UnknownNameError("part of the data", part, ("valid", "test"))
    scorer.vocabulary.require_same(data.vocabulary, "data")
    cases = data.test if part == "test" else data.valid
    if cases is None:
        raise EmptyDataError(
            "evaluation: the protocol holds out nothing for validation; set "
            f"protocol.split.{data.protocol.split.validation_parameter} to hold out a validation part"
        )
    evaluation = measure(scorer, cases, data.protocol.ranking, seed=seed, progress=progress, rank=rank)
    return replace(evaluation, hash=data.hash)


def measure(
    scorer: Scorer,
    cases: Cases,
    ranking: Ranking | Mapping[str, Any] | None = None,
    *,
    chunk: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    rank: RankChunks | None = None,
) -> Evaluation:
    """Rank the targets of each case among its candidates and measure the ranks and the lists.

    Args:
        scorer: what is measured.
        cases: the test cases; with ``exclude_seen``, items of a prefix are not candidates of its case.
        ranking: candidates, ties and metrics, such as ``{"metrics": ["recall@20"], "candidates": "uni100"}``; None
            takes the defaults. Metrics of values need cases with labels; of labelled cases those of rankings take the
            ones with a label above 0.
        chunk: cases scored at once; None takes what keeps their scores under 24 MB, on a GPU what fits into half of
            its free memory. It changes no result.
        seed: seed of the confidence intervals.
        progress: receives progress updates.
        rank: does what ``ChunkRanking.ranked`` does, in other processes; not for metrics of values.

    Raises:
        EmptyDataError: there is no case.
        ParameterError: ``scorer`` is not fitted; ``ranking`` or ``chunk`` breaks a rule; or the cases were encoded with
            a different catalogue than the scorer.
    """
    require_scorer(scorer)
    if not isinstance(ranking, Ranking):
        if not isinstance(ranking, Mapping | None):
            raise ParameterError(
                f"ranking: must be a Ranking or a mapping of its parameters, got {type(ranking).__name__}"
            )
        ranking = build(Ranking, "ranking", parameters=ranking)
    names, candidates = MetricName.parse_all(ranking.metrics), ranking.candidates
    if ranking.labeled and not are_value_metrics(names):
        raise ParameterError(
            f"ranking.candidates: 'labeled' is for metrics of values, got {', '.join(names)}; use 'full'"
        )
    if ranking.draw and are_value_metrics(names):
        raise ParameterError(
            f"ranking.candidates: '{candidates}' is for metrics of rankings, got {', '.join(names)}; use 'labeled'"
        )
    cases.require_valid(scorer.vocabulary)
    if cases.labels is not None and not are_value_metrics(names):
        cases = cases[np.flatnonzero(cases.labels > 0)]
    if not len(cases):
        raise EmptyDataError("evaluation: there are no test cases; check which events the protocol's steps dropped")
    chunk = cases_at_once(scorer) if chunk is None else chunk
    if chunk < 1:
        raise ParameterError(f"chunk: must be at least 1, got {chunk}")
    progress = progress or Progress()
    if are_value_metrics(names):
        return measure_values(scorer, cases, names, chunk=chunk, seed=seed, progress=progress)
    sampler = CandidateSampler.from_ranking(ranking, scorer.vocabulary.support)
    accumulators = [kind(names, cases, scorer.vocabulary) for kind in ACCUMULATORS]
    chunks = ChunkRanking(cases, sampler, ranking.ties, chunk, longest_list(names, scorer.vocabulary))
    with progress.task("evaluate", len(cases)) as task:
        for ranked in chunks.ranked(scorer, 0, len(cases)) if rank is None else rank(chunks):
            for accumulator in accumulators:
                accumulator.update(ranked)
            task.advance(len(ranked.cases))
            del ranked  # Its memory is free before the next chunk is scored.
    found = [accumulator.compute() for accumulator in accumulators]
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
        sampled=sampler is not None,
        tied=max(one.tied for one in found),
        tie_bounds={text: bounds for one in found for text, bounds in one.tie_bounds.items()},
    )


def cases_at_once(scorer: Scorer) -> int:
    """Return how many cases are scored at once."""
    items, device = len(scorer.vocabulary) + 1, getattr(scorer, "device", None)
    if isinstance(device, torch.device) and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, min(_DEVICE_CASES, free // 2 // (_DEVICE_BYTES * items)))
    return max(1, min(_CHUNK_CASES, _CHUNK_SCORES // items))
