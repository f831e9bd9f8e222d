"""Test a scorer under the protocol that its data set was prepared with."""

from dataclasses import replace
from typing import Literal

from segue.errors import EmptyDataError, ParameterError, UnknownNameError
from segue.evaluation.measure import measure
from segue.evaluation.outcome import Evaluation
from segue.evaluation.scorer import Scorer, require_scorer
from segue.progress import Progress
from segue.protocols.dataset import Dataset


def evaluate(
    scorer: Scorer,
    data: Dataset,
    *,
    part: Literal["valid", "test"] = "test",
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a scorer on the test (or validation) cases, ranked as the protocol says.

    Args:
        scorer: a model, or anything else with ``score`` and ``vocabulary``.
        data: the prepared data set.
        part: which cases.
        seed: seed of the confidence intervals.
        progress: receives progress updates.

    Returns:
        The values and their intervals, with the hash of protocol and data.

    Raises:
        ParameterError: ``scorer`` cannot score or is not fitted, ``data`` is not prepared, or the two have different
            catalogues: then prepare the log with ``vocabulary=model.vocabulary``.
        EmptyDataError: the protocol holds out nothing for validation, and that was asked for.
    """
    require_scorer(scorer)
    if not isinstance(data, Dataset):
        raise ParameterError(f"data: must be what segue.prepare returns, got {type(data).__name__}")
    if part not in ("valid", "test"):
        raise UnknownNameError("part of the data", part, ("valid", "test"))
    scorer.vocabulary.require_same(data.vocabulary, "data")
    cases = data.test if part == "test" else data.valid
    if cases is None:
        raise EmptyDataError(
            "evaluation: the protocol holds out nothing for validation; set valid_days, valid_share, valid_from, "
            "ratios or leave of protocol.split, whichever it has"
        )
    evaluation = measure(scorer, cases, data.protocol.ranking, seed=seed, progress=progress)
    return replace(evaluation, hash=data.hash)
