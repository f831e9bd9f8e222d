"""Results of a run, as they are written to results.json."""

from math import isfinite, isnan
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from segue.errors import ArtifactError
from segue.evaluation.linter.checks import LOG, Finding
from segue.experiment.candidates import SearchResult
from segue.experiment.results_check import check_content, problem_of
from segue.metrics import is_better, order_key
from segue.protocols.protocol import check_nested
from segue.storage import write_text
from segue.strict_json import Number, dumps, loads

_IN_VERDICTS = frozenset({"loses-to-baseline"})
_OF_FACTORISATIONS = frozenset({"train_auc", "skipped"})
"""Values of an epoch that other models omit."""


class Slice(BaseModel):
    """Metrics of one model on a slice of the test cases."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    dimension: str
    """Name of the slicing, such as ``session length``."""
    label: str
    """Name of the slice, such as ``2-4``."""
    cases: int
    """Number of cases."""
    metrics: dict[str, Number]
    """Headline metrics on these cases."""
    confidence: dict[str, tuple[Number, Number]]
    """Their 95% intervals; empty for a slice of one session."""


class Epoch(BaseModel):
    """One epoch of a fit."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    epoch: int
    """Number of the epoch, from 1, over all stages of the fit."""
    stage: str = "training"
    """Training stage, where a fit has several: fine-tuning, the teacher, the stages of a pair."""
    loss: Number
    """Mean training loss; null for BPR, whose trainer does not report a loss."""
    validation: float | None = None
    """Validation metric, where there is a validation part."""
    seconds: float
    """Wall time."""
    kept: bool = True
    """Whether its weights were kept: validation found nothing better before; always without validation."""
    train_auc: float | None = None
    """Share of the sampled triples of training that a factorisation ranks right; only ALS and BPR have it."""
    skipped: float | None = None
    """Share of the triples that BPR skipped, because the session contains the negative; only BPR has it."""

    def figures(self) -> dict[str, float]:
        """Return loss, validation, train_auc, skipped and seconds, without those that are missing or NaN."""
        found = {name: getattr(self, name) for name in ("loss", "validation", "train_auc", "skipped", "seconds")}
        return {name: value for name, value in found.items() if value is not None and not isnan(value)}

    @model_serializer(mode="wrap")
    def _without_figures_of_others(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {name: one for name, one in values.items() if one is not None or name not in _OF_FACTORISATIONS}


class Difference(BaseModel):
    """Difference between two models, tested on the cases that both were measured on."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    one: str
    """Label of the first model."""
    other: str
    """Label of the second model."""
    metric: str
    """Metric by which they are compared."""
    difference: Number
    """Value of the first minus value of the second."""
    interval: tuple[Number, Number]
    """95% interval of the difference."""
    p_value: Number
    """Two-sided, of a paired permutation test."""
    adjusted: Number
    """The p-value after Holm's correction for all comparisons that the table was picked from."""
    significant: bool
    """Whether ``adjusted`` is below 0.05."""

    def verdict(self) -> str:
        """Return the outcome in words, such as ``significant, p < 0.001`` or ``not significant, p = 0.210``."""
        p_value = "p < 0.001" if self.adjusted < 0.001 else f"p = {self.adjusted:.3f}"
        return f"{'significant' if self.significant else 'not significant'}, {p_value}"


class Example(BaseModel):
    """One test session and what the models recommended; items by name where it is known."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    session: list[str]
    """Items of the session, oldest first."""
    target: list[str]
    """Items that followed."""
    lists: dict[str, list[str]]
    """Best items by label of the model."""


class ModelResult(BaseModel):
    """One row of the leaderboard."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    model: str
    """Name in the registry of models."""
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
    """Median milliseconds from one current session to its best 20 items, one session at a time."""
    validation: dict[str, Number] = {}
    """Headline metrics on validation, on 5,000 cases at most, where the protocol holds out a validation part."""
    validation_confidence: dict[str, tuple[Number, Number]] = {}
    """95% interval of each validation metric that is a mean over cases."""
    diagnostics: dict[str, Number] = {}
    """Diagnostics of the training, such as ``train_auc``."""
    curve: list[Epoch] = []
    """The training, for models that learn in epochs."""
    slices: list[Slice] = []
    """The headline metrics on slices of the test cases."""
    roc: list[tuple[float, float]] = []
    """False and true positive rates, where an AUC was asked for."""
    findings: list[Finding] = []
    """Findings of the linter in its scores."""
    ties: str = ""
    """Note on the effect of ties, if more than 1% of the targets are tied."""
    notes: list[str] = []
    """Remarks for the reader, for example how the model treats a log without times."""

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
    """Table of the items, where the configuration names one."""
    item_vectors: str | None = None
    """Table of the vectors of the items, where the configuration names one."""
    seed: int
    """Seed of every random draw."""
    protocol: dict[str, Any]
    """All of the protocol, with its ``hash`` over protocol and data."""
    data: dict[str, Any]
    """Statistics of the log before and after each step."""
    notes: list[str]
    """Remarks on the log, the configuration and the protocol."""
    models: list[ModelResult]
    """Best first, by the first metric; a row without a value (NaN) comes last."""
    verdicts: list[str]
    """Models that lose to a baseline."""
    findings: list[Finding] = []
    """Findings of the linter on the log and its split, and on the scores and metrics of the models."""
    differences: list[Difference] = []
    """Paired tests between the models."""
    search: SearchResult | None = None
    """What ``segue best`` considered; None for other runs."""
    examples: list[Example] = []
    """A few test sessions with the lists of the models."""

    def doubts(self) -> list[Finding]:
        """Return the findings about the log that make all metrics doubtful; they appear above the leaderboard."""
        return [finding for finding in self.findings if finding.subject == LOG and finding.severity != "note"]

    def beaten(self) -> dict[str, str]:
        """Return what each requested model loses to significantly, by label: a baseline, by a headline metric.

        A model that is significantly better than the same baseline by the first metric is left out.
        """
        baselines = {row.label for row in self.models if row.baseline}
        first = self.protocol["headline"][0]
        won: set[tuple[str, str]] = set()
        lost: dict[tuple[str, str], str] = {}
        for test in (test for test in self.differences if test.significant):
            ahead = is_better(test.metric, test.difference, 0.0)
            better, worse = (test.one, test.other) if ahead else (test.other, test.one)
            if worse in baselines and test.metric == first:
                won.add((better, worse))
            elif better in baselines and worse not in baselines:
                lost.setdefault((worse, better), test.metric)
        return {
            label: f"loses to {baseline} on {metric}"
            for (label, baseline), metric in lost.items()
            if (label, baseline) not in won
        }

    def further_findings(self) -> list[Finding]:
        """Return the findings that the verdicts do not cover."""
        return [finding for finding in self.findings if finding.code not in _IN_VERDICTS]

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
            ArtifactError: the file is missing or damaged, or an incompatible version wrote it.
        """
        if not path.is_file():
            raise ArtifactError(f"{path}: does not exist; name the folder of a run that has ended")
        try:
            content = loads(path.read_bytes())
            results = cls.model_validate(content)
            check_nested(results.protocol, path)
            check_content(results.protocol, results.data, {row.label: row.metrics for row in results.models})
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read ({error.strerror})") from error
        except ArtifactError:
            raise
        except ValueError as error:
            raise ArtifactError(
                f"{path}: is not a results file of segue, or is damaged ({problem_of(error)}); copy the run again, or "
                "repeat it"
            ) from error
        return results
