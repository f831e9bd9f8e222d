"""Look for what makes a result doubtful in a scorer: its scores, and its figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from segue.evaluation.evaluate import evaluate
from segue.evaluation.linter.figures import on_validation
from segue.evaluation.linter.finding import Finding, run_all
from segue.evaluation.linter.results import lint_results
from segue.evaluation.linter.scores import SCORE_CHECKS, ask
from segue.evaluation.scorer import Scorer
from segue.protocols.dataset import Dataset


@dataclass(frozen=True)
class _Figures:
    """The row of a scorer that has no run."""

    label: str
    metrics: Mapping[str, float]
    confidence: Mapping[str, tuple[float, float]]
    validation: Mapping[str, float] = field(default_factory=dict)
    validation_confidence: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    baseline: bool = False


def lint_scorer(scorer: Scorer, data: Dataset, seed: int) -> list[Finding]:
    """Look at the scores of a scorer and at its figures on test and validation; see ``segue.lint``."""
    test = evaluate(scorer, data, seed=seed)
    valid = on_validation(scorer, data, seed=seed)
    row = _Figures(
        label=str(getattr(scorer, "name", type(scorer).__name__)),
        metrics=test.metrics,
        confidence=test.confidence,
        validation={} if valid is None else valid.metrics,
        validation_confidence={} if valid is None else valid.confidence,
        diagnostics=getattr(scorer, "diagnostics", {}),
    )
    return [*lint_scores(scorer, data, row.label), *lint_results([row], data.protocol.ranking.headline)]


def lint_scores(scorer: Scorer, data: Dataset, label: str) -> list[Finding]:
    """Look at what a scorer answers to a few test cases; ``label`` is its name in the findings."""
    return run_all(SCORE_CHECKS, label, ask(scorer, data.test))
