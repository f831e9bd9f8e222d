"""The checks of a prepared log."""

from segue.evaluation.linter.duplicate_sessions import divided_sessions, duplicated_sessions
from segue.evaluation.linter.finding import LOG, Check, Finding, run_all
from segue.evaluation.linter.inputs import double_events, target_in_column, target_in_input, vocabulary_from_test
from segue.evaluation.linter.times import (
    future_in_input,
    overlap_in_time,
    validation_after_test,
    validation_overlaps_training,
)
from segue.protocols.dataset import Dataset

LOG_CHECKS: tuple[Check[Dataset], ...] = (
    Check("overlap-in-time", "warning", overlap_in_time),
    Check("validation-overlaps-training", "warning", validation_overlaps_training),
    Check("validation-after-test", "warning", validation_after_test),
    Check("future-in-input", "error", future_in_input),
    Check("vocabulary-from-test", "error", vocabulary_from_test),
    Check("duplicated-sessions", "warning", duplicated_sessions),
    Check("divided-sessions", "warning", divided_sessions),
    Check("target-in-input", "error", target_in_input),
    Check("double-events", "warning", double_events),
    Check("target-in-column", "warning", target_in_column),
)
"""Each looks at the whole of a prepared log."""


def lint_log(data: Dataset) -> list[Finding]:
    """Look for leaks between the parts of a prepared log.

    What is prepared for a model that is trained already (split ``whole``) has no training part to leak from.
    """
    return run_all(LOG_CHECKS, LOG, data) if len(data.train.items) else []
