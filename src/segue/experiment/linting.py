"""What the linter says of a run: of its log, of each model, and of the models beside each other."""

from collections.abc import Sequence

from segue.evaluation.linter.checks import Finding
from segue.evaluation.linter.results import evaluate_validation, lint_results
from segue.evaluation.linter.scores import lint_scores
from segue.experiment.results import ModelResult
from segue.models.base import Model
from segue.protocols.dataset import Dataset


def inspected(row: ModelResult, model: Model, data: Dataset, seed: int) -> ModelResult:
    """Add to a row what the model is worth on validation, and what its scores give away."""
    valid = evaluate_validation(model, data, seed=seed)
    told = {
        "validation": {} if valid is None else valid.metrics,
        "validation_confidence": {} if valid is None else valid.confidence,
        "diagnostics": dict(model.diagnostics),
        "findings": lint_scores(model, data, row.label),
    }
    return row.model_copy(update=told)


def all_findings(log: Sequence[Finding], rows: Sequence[ModelResult], metrics: Sequence[str]) -> list[Finding]:
    """Put together what was found in the log, in the scores of each model, and in the figures of all."""
    return [*log, *(finding for row in rows for finding in row.findings), *lint_results(rows, metrics)]
