"""Fit one model and test it; nothing is read or written here."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from segue.compiled import compilation_seconds
from segue.data.content_vectors import describe_vectors
from segue.evaluation.linter.results import evaluate_validation
from segue.evaluation.linter.scores import lint_scores
from segue.evaluation.measure import evaluate
from segue.experiment.comparison.case_values import CaseValues
from segue.experiment.environment import median_latency_ms, peak_memory_mb, reset_peak_memory
from segue.experiment.model_specs import ModelSpec
from segue.experiment.results import Epoch, ModelResult
from segue.models.base import Model
from segue.protocols.dataset import Dataset
from segue.strict_json import digest
from segue.training.checkpoint import THREADS
from segue.training.runtime import EpochRecord, Runtime


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model that was not tested.

    Attributes:
        model: the fitted model.
        row: what its row of the leaderboard says of the fit.
    """

    model: Model
    row: ModelResult


@dataclass(frozen=True, eq=False)
class TestedModel:
    """A fitted model and what its test found.

    Attributes:
        model: the fitted model.
        row: its row of the leaderboard.
        cases: its metrics in each test case.
    """

    __test__ = False  # pytest takes it for a test class otherwise.

    model: Model
    row: ModelResult
    cases: CaseValues


def fit_and_test(
    spec: ModelSpec,
    data: Dataset,
    *,
    seed: int,
    runtime: Runtime,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TestedModel:
    """Fit a model on the training part, and test it on the test part; see ``fit_model`` and ``evaluate_fitted``."""
    fitted = fit_model(spec, data, seed=seed, runtime=runtime, on_epoch=on_epoch)
    return evaluate_fitted(fitted, training_key(spec, data, seed, runtime), data, seed=seed, runtime=runtime)


def fit_model(
    spec: ModelSpec,
    data: Dataset,
    *,
    seed: int,
    runtime: Runtime,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> FittedModel:
    """Fit a model on the training part.

    Args:
        spec: the model.
        data: the prepared log; its test part is not read.
        seed: seed of the fit.
        runtime: device, precision, checkpoint and progress of the fit.
        on_epoch: called after each epoch of the fit; epochs are numbered over all stages.
    """
    curve: list[Epoch] = []

    def on_epoch_end(stage: str, record: EpochRecord) -> None:
        epoch = Epoch(
            epoch=len(curve) + 1,
            stage=stage,
            loss=record.loss,
            validation=record.validation,
            seconds=round(record.seconds, 3),
            kept=record.kept,
            train_auc=record.train_auc,
            skipped=record.skipped,
        )
        curve.append(epoch)
        if on_epoch is not None:
            on_epoch(epoch)

    model = spec.model
    reset_peak_memory()
    started = _working_seconds()
    spec.fit(data.train, data.valid, seed, replace(runtime, on_epoch_end=on_epoch_end))
    row = ModelResult(
        model=model.name,
        label=spec.label,
        baseline=spec.baseline,
        config=model.config.model_dump(mode="json"),
        metrics={},
        confidence={},
        fit_seconds=round(_working_seconds() - started, 3),
        evaluate_seconds=0.0,
        peak_memory_mb=_peak(),
        parameters=sum(array.size for array in model.arrays().values()),
        diagnostics=dict(model.diagnostics),
        curve=curve,
        notes=list(model.notes),
    )
    return FittedModel(model, row)


def _working_seconds() -> float:
    """Return a clock that stands still while numerical code is compiled, which happens once per installation."""
    return time.perf_counter() - compilation_seconds()


def evaluate_fitted(fitted: FittedModel, key: str, data: Dataset, *, seed: int, runtime: Runtime) -> TestedModel:
    """Test a fitted model by the metrics of ``data``; what its row says of the fit is kept.

    Args:
        fitted: the model.
        key: key of its training.
        data: the prepared log.
        seed: seed of the confidence intervals.
        runtime: receives progress updates.
    """
    model, row = fitted.model, fitted.row
    reset_peak_memory()
    started = _working_seconds()
    evaluation = evaluate(model, data, seed=seed, progress=runtime.progress)
    figures: dict[str, Any] = {
        "metrics": evaluation.metrics,
        "confidence": evaluation.confidence,
        "roc": evaluation.roc,
        "ties": evaluation.tie_note(data.protocol.ranking.headline),
        "evaluate_seconds": round(_working_seconds() - started, 3),
        "latency_ms": round(median_latency_ms(model, data.test.prefixes), 3),
        "peak_memory_mb": max(filter(None, (row.peak_memory_mb, _peak())), default=None),
    }
    row = _with_validation(row.model_copy(update=figures), model, data, seed)
    return TestedModel(model, row, CaseValues.of(evaluation, key))


def training_key(spec: ModelSpec, data: Dataset, seed: int, runtime: Runtime) -> str:
    """Return a hash of everything that decides the outcome of a fit; a finished model is reused only if it is equal."""
    return digest(
        {
            "data": data.hash,
            "model": spec.model.name,
            "config": spec.model.config.model_dump(mode="json"),
            "seed": seed,
            "precision": runtime.arithmetic(),
            **({THREADS: torch.get_num_threads()} if spec.model.depends_on_threads(runtime) else {}),
            **(describe_vectors(data.vocabulary) if spec.model.uses_item_vectors else {}),
            **spec.extra,
        }
    )


def _peak() -> float | None:
    return None if (peak := peak_memory_mb()) is None else round(peak, 1)


def _with_validation(row: ModelResult, model: Model, data: Dataset, seed: int) -> ModelResult:
    """Add the headline metrics on validation, and what the linter finds in the scores."""
    valid = evaluate_validation(model, data, seed=seed)
    update = {
        "validation": {} if valid is None else valid.metrics,
        "validation_confidence": {} if valid is None else valid.confidence,
        "findings": lint_scores(model, data, row.label),
    }
    return row.model_copy(update=update)
