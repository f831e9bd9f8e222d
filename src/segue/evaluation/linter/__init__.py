"""Look for problems that make a result doubtful: leaks in a prepared log, implausible scores and metrics of a model."""

from typing import TYPE_CHECKING

from segue.errors import ParameterError
from segue.evaluation.linter.checks import LOG, Check, Finding, run_checks
from segue.evaluation.linter.inputs import (
    cutoff_above_catalogue,
    double_events,
    equal_times,
    excluded_targets,
    few_sessions,
    future_in_input,
    has_enough_sessions,
    target_in_column,
    target_in_input,
    vocabulary_from_test,
)
from segue.evaluation.linter.split import (
    divided_sessions,
    duplicate_sessions,
    overlap_in_time,
    validation_after_test,
    validation_overlaps_training,
)
from segue.protocols.dataset import Dataset

if TYPE_CHECKING:
    from segue.evaluation.scorer import Scorer

LOG_CHECKS: tuple[Check[Dataset], ...] = (
    Check("overlap-in-time", "warning", overlap_in_time),
    Check("validation-overlaps-training", "warning", validation_overlaps_training),
    Check("validation-after-test", "warning", validation_after_test),
    Check("future-in-input", "error", future_in_input),
    Check("vocabulary-from-test", "error", vocabulary_from_test),
    Check("duplicate-sessions", "warning", duplicate_sessions),
    Check("divided-sessions", "warning", divided_sessions),
    Check("target-in-input", "error", target_in_input),
    Check("double-events", "warning", double_events),
    Check("target-in-column", "warning", target_in_column),
    Check("excluded-targets", "warning", excluded_targets),
    Check("equal-times", "warning", equal_times),
    Check("cutoff-above-catalogue", "warning", cutoff_above_catalogue),
    Check("few-test-sessions", "warning", few_sessions),
)
"""Checks of a prepared log."""


def lint_log(data: Dataset) -> list[Finding]:
    """Look for leaks between the parts of a prepared log.

    Data prepared for a trained model (split ``whole``) has no training part to leak from.
    """
    return run_checks(LOG_CHECKS, LOG, data) if len(data.train.items) else []


def lint(data: Dataset, scorer: "Scorer | None" = None, *, seed: int = 0) -> list[Finding]:
    """Look for leaks in a prepared log, and, given a scorer, for implausible scores and metrics.

    Args:
        data: the prepared log.
        scorer: a fitted model, or anything else with ``score`` and ``vocabulary``; it is evaluated on all test cases,
            and on at most 5,000 validation cases.
        seed: seed of the confidence intervals.

    Returns:
        The findings, those about the log first; each says what to do. ``docs/linter.md`` explains their codes.

    Raises:
        ParameterError: ``data`` is not prepared, or ``scorer`` cannot score.
    """
    if not isinstance(data, Dataset):
        raise ParameterError(
            f"data: must be a Dataset, got {type(data).__name__}; prepare the log first: segue.prepare(...)"
        )
    found = lint_log(data)
    if scorer is None:
        return found
    # Without a scorer nothing waits for torch.
    from segue.evaluation.linter.results import lint_results, row_of  # noqa: PLC0415
    from segue.evaluation.linter.scores import lint_scores  # noqa: PLC0415

    row = row_of(scorer, data, seed)
    headline, enough = data.protocol.ranking.headline, has_enough_sessions(data)
    found_in_row = lint_results([row], headline, enough_sessions=enough)
    return [*found, *lint_scores(scorer, data, row.label), *found_in_row]
