"""Look for what makes a result doubtful."""

from typing import TYPE_CHECKING

from segue.errors import ParameterError
from segue.evaluation.linter.finding import Finding
from segue.evaluation.linter.log import lint_log
from segue.protocols.dataset import Dataset

if TYPE_CHECKING:
    from segue.evaluation.scorer import Scorer


def lint(data: Dataset, scorer: "Scorer | None" = None, *, seed: int = 0) -> list[Finding]:
    """Look for leaks in a prepared log, and, given a scorer, for scores and figures that cannot be right.

    Args:
        data: the prepared log.
        scorer: a fitted model, or anything else with ``score`` and ``vocabulary``; it is tested on all test cases, and
            on at most 5,000 validation cases.
        seed: seed of the confidence intervals.

    Returns:
        What was found, the log first; each says what to do. The codes are explained in ``docs/linter.md``.

    Raises:
        ParameterError: ``data`` is not prepared, or ``scorer`` cannot score.
    """
    if not isinstance(data, Dataset):
        raise ParameterError(f"data: must be what segue.prepare returns, got {type(data).__name__}")
    found = lint_log(data)
    if scorer is None:
        return found
    # A log is looked at without waiting for a deep learning library.
    from segue.evaluation.linter.scorer import lint_scorer  # noqa: PLC0415

    return [*found, *lint_scorer(scorer, data, seed)]
