"""What a run found out, as it is written to results.json."""

from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from segue.errors import ArtifactError
from segue.evaluation.linter.checks import Finding
from segue.metrics import is_better, order_key
from segue.storage import write_text
from segue.strict_json import Number, dumps

__all__ = ["OVERLAP", "Difference", "Epoch", "Example", "Finding", "ModelResult", "Results", "Slice", "judge"]

OVERLAP = " (the intervals overlap, which leaves it open)"
"""Said of two figures: overlapping intervals neither prove a difference nor deny one."""

_SAID_BY_VERDICTS = frozenset({"loses-to-baseline"})


class Slice(BaseModel):
    """The figures of one model on a part of the test cases."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    dimension: str
    """What the cases are told apart by, such as ``session length``."""
    label: str
    """Which part this is, such as ``2-4``."""
    cases: int
    """How many cases it holds."""
    metrics: dict[str, Number]
    """Headline metrics on these cases."""
    confidence: dict[str, tuple[Number, Number]]
    """Their 95% intervals; a part of one session only has none."""


class Epoch(BaseModel):
    """One epoch of a fit."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    epoch: int
    """Number of the epoch, from 1, over all stages of the fit."""
    stage: str = "training"
    """Which training it belongs to, where a fit has several: fine-tuning, the teacher, the stages of a pair."""
    loss: Number
    """Mean training loss."""
    validation: float | None = None
    """Validation metric, where there is a validation part."""
    seconds: float
    """Wall time."""
    kept: bool = True
    """Whether its weights were kept: validation found nothing better before; always without validation."""


class Difference(BaseModel):
    """What sets two models apart, tested on the cases that both were measured on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    one: str
    """Label of the first model."""
    other: str
    """Label of the second model."""
    metric: str
    """What both are measured by."""
    difference: Number
    """Value of the first minus value of the second."""
    interval: tuple[Number, Number]
    """95% interval of the difference."""
    p_value: Number
    """Two-sided, of a paired permutation test."""
    adjusted: Number
    """The same after Holm's correction for all comparisons that the table was picked from."""
    real: bool
    """Whether ``adjusted`` is below 0.05."""

    def verdict(self) -> str:
        """Say whether the difference is real, such as ``real, p < 0.001`` or ``may be chance, p = 0.210``."""
        return f"{'real' if self.real else 'may be chance'}, {shown_p(self.adjusted)}"


class Example(BaseModel):
    """One test session and what the models recommended, by names of items where they are known."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    session: list[str]
    """What the visitor did, oldest first."""
    target: list[str]
    """What followed."""
    lists: dict[str, list[str]]
    """The best items by label of the model."""


class ModelResult(BaseModel):
    """One row of the leaderboard."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    model: str
    """Name in the catalog."""
    label: str
    """Name in this run, and of the artifact folder."""
    baseline: bool
    """True if the run added it by itself."""
    config: dict[str, Any]
    """All parameters."""
    metrics: dict[str, Number]
    """Test metrics by name, such as ``recall@20``."""
    confidence: dict[str, tuple[Number, Number]]
    """95% interval of each metric that is a mean over cases."""
    fit_seconds: float
    """Wall time of training, validation included."""
    evaluate_seconds: float
    """Wall time of the evaluation on the test cases."""
    peak_memory_mb: float | None
    """Largest resident memory of the process during fit and evaluation; None where the system does not tell."""
    parameters: int = 0
    """Numbers that the model has learnt."""
    latency_ms: float = 0.0
    """Median milliseconds from one running session to its best 20 items, one session at a time."""
    validation: dict[str, Number] = {}
    """Headline metrics on validation, on 5,000 cases at most, where the protocol holds out a validation part."""
    validation_confidence: dict[str, tuple[Number, Number]] = {}
    """95% interval of each validation metric that is a mean over cases."""
    diagnostics: dict[str, Number] = {}
    """What the training tells of itself, such as ``train_auc``."""
    curve: list[Epoch] = []
    """The training, for models that learn in epochs."""
    slices: list[Slice] = []
    """The headline metrics on parts of the test cases."""
    roc: list[tuple[float, float]] = []
    """False and true positive rates, where an AUC was asked for."""
    findings: list[Finding] = []
    """What the linter found in its scores."""
    ties: str = ""
    """What the order of equal scores decides, where more than 1% of the targets are tied."""
    notes: list[str] = []
    """What the reader should know, for example what the model made of a log without times."""

    def interval(self, metric: str) -> tuple[float, float]:
        """Return the 95% interval of a metric; where there is none, its value twice."""
        value = self.metrics[metric]
        bounds = self.confidence.get(metric, (value, value))
        return bounds if all(map(isfinite, bounds)) else (value, value)

    def order_key(self, metric: str) -> tuple[bool, float]:
        """Return a key by which rows sort from best to worst by a metric; NaN comes last."""
        return order_key(metric, self.metrics[metric])


class Results(BaseModel):
    """A whole run."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    segue: str
    """Version of segue."""
    log: str
    """Name of the log."""
    items: str | None = None
    """Table of the items, where the recipe named one."""
    seed: int
    """Seed of every random draw."""
    protocol: dict[str, Any]
    """All of the protocol, with its ``hash`` over protocol and data."""
    data: dict[str, Any]
    """Statistics of the log before and after each step."""
    notes: list[str]
    """What was detected in the log and what the protocol made of it."""
    models: list[ModelResult]
    """Best first, by the first metric; a row without a value (NaN) comes last."""
    verdicts: list[str]
    """Where a model does not beat a baseline."""
    findings: list[Finding] = []
    """What the linter found in the log and its split, in the scores of the models, and in their figures."""
    differences: list[Difference] = []
    """Paired tests between the models."""
    examples: list[Example] = []
    """A few test sessions with the lists of the models."""

    def unsaid_findings(self) -> list[Finding]:
        """Return the findings that the verdicts do not put into words already."""
        return [finding for finding in self.findings if finding.code not in _SAID_BY_VERDICTS]

    def write(self, path: Path) -> None:
        """Write results.json.

        Raises:
            StorageError: the write failed.
        """
        write_text(path, dumps(self.model_dump(mode="json"), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read results.json.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        if not path.is_file():
            raise ArtifactError(f"{path}: does not exist; name the folder of a run that has ended")
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path}: is no results file of segue, or a damaged one") from error


def judge(models: Iterable[ModelResult], metrics: Iterable[str], differences: Iterable[Difference] = ()) -> list[str]:
    """Say where a model that was asked for does not beat a baseline, in one line per model.

    A model loses where its value is worse than that of the best baseline. Whether that is real is said by the paired
    test of the two; where there is none, it is said if their intervals overlap.
    """
    rows, names = list(models), list(metrics)
    tests = {(test.metric, frozenset((test.one, test.other))): test for test in differences}
    best = {name: row for name in names if (row := _best_baseline(rows, name)) is not None}
    verdicts = []
    for row in rows:
        lost = [
            name
            for name, other in best.items()
            if not row.baseline and is_better(name, other.metrics[name], row.metrics[name])
        ]
        if lost:
            against = (
                _against(row, best[name], name, tests.get((name, frozenset((row.label, best[name].label)))))
                for name in lost
            )
            verdicts.append(f"{row.label} loses to the baseline {', and to '.join(against)}")
    return verdicts


def _best_baseline(rows: Iterable[ModelResult], metric: str) -> ModelResult | None:
    return min((row for row in rows if row.baseline), key=lambda row: row.order_key(metric), default=None)


def _against(row: ModelResult, baseline: ModelResult, metric: str, test: Difference | None) -> str:
    doubt = doubt_of(row, baseline, metric, test)
    return f"{baseline.label} on {metric}: {row.metrics[metric]:.4f} against {baseline.metrics[metric]:.4f}{doubt}"


def doubt_of(one: ModelResult, other: ModelResult, metric: str, test: Difference | None) -> str:
    """Say in brackets how sure it is that two models differ: by their paired test, or else by their intervals."""
    if test is not None:
        return f" ({test.verdict()})"
    (low, high), (other_low, other_high) = one.interval(metric), other.interval(metric)
    return OVERLAP if low <= other_high and other_low <= high else ""


def shown_p(p_value: float) -> str:
    """Return a p-value as a reader wants to see it."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
