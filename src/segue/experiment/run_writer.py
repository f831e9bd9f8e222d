"""Writes the folder of a run: settings, environment, models, case values, results and reports."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from segue.artifact import Artifact
from segue.data.content_vectors import describe_vectors
from segue.errors import ArtifactError
from segue.evaluation.measure import evaluate
from segue.experiment.comparison.case_values import CaseValues, cases_file
from segue.experiment.config import RunConfig
from segue.experiment.environment import environment
from segue.experiment.fit_and_test import FittedModel, TestedModel, evaluate_fitted, training_key
from segue.experiment.model_specs import ModelSpec
from segue.experiment.report import write_reports
from segue.experiment.results import ModelResult, Results
from segue.experiment.run_folder import (
    CHECKPOINTS,
    ENVIRONMENT,
    MLFLOW,
    RESULTS,
    TENSORBOARD,
    begin_folder,
    remove_checkpoints,
)
from segue.experiment.run_settings import check_same, read_settings, settings_of
from segue.experiment.tracking.tracker import TrackedFit, Trackers, track
from segue.experiment.training_facts import check_facts, reading_fact
from segue.models.base import Model
from segue.models.registry import load
from segue.protocols.dataset import Dataset
from segue.storage import write_text
from segue.strict_json import dumps
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_TRACKERS = {"tensorboard": TENSORBOARD, "mlflow": MLFLOW}
"""Folder of each tracker."""


class RunWriter:
    """Writes what a run finds, and reads back what an interrupted one finished.

    Args:
        out: folder of the run.
        data: the prepared log.
        config: configuration of the run.
        runtime: device, precision, progress, and whether an interrupted run is resumed.
    """

    def __init__(self, out: Path, data: Dataset, config: RunConfig, runtime: Runtime) -> None:
        self._out = out
        self._data = data
        self._config = config
        self._runtime = runtime

    def begin(self, specs: Sequence[ModelSpec] | None, names: Sequence[str] = ()) -> None:
        """Create the folder, run.json and environment.json.

        Args:
            specs: the models of the run; None if they are not known yet, see ``enter``.
            names: further files that the run writes.

        Raises:
            ParameterError: the run to resume was started with other settings, or what segue did not write is in the
                way; the folder is left unchanged.
            StorageError: the write failed.
        """
        settings = settings_of(self._data, self._config, self._runtime, specs or ())
        if self._runtime.resume:
            started = read_settings(self._out)
            if started is None:
                self._say(f"{self._out}: contains nothing to resume; starting from the beginning")
            else:
                if specs is None:
                    settings["models"] = started["models"]
                check_same(self._out, started, settings)
        trackers = {name: folder for name, folder in _TRACKERS.items() if name in self._config.track}
        written = {*(spec.label for spec in specs or ()), *trackers.values(), *names}
        begin_folder(self._out, settings, written, resume=self._runtime.resume)
        write_text(self._out / ENVIRONMENT, dumps(environment(self._runtime), indent=2) + "\n")

    def enter(self, spec: ModelSpec) -> None:
        """Enter a model in run.json, for a run whose models are not known when it begins.

        Raises:
            ParameterError: the folder contains something by this name that segue did not write.
            StorageError: the write failed.
        """
        settings = settings_of(self._data, self._config, self._runtime, [spec])
        started = read_settings(self._out) or settings
        settings["models"] = {**started["models"], **settings["models"]}
        begin_folder(self._out, settings, [spec.label], resume=True)

    def track(self, spec: ModelSpec) -> AbstractContextManager[Trackers]:
        """Track the fit of a model."""
        fit = TrackedFit(
            out=self._out,
            label=spec.label,
            log=self._config.log_name,
            seed=self._config.seed,
            protocol=self._data.describe(),
            config=spec.model.config.model_dump(mode="json"),
        )
        return track(fit, self._config.track)

    def checkpoint(self, spec: ModelSpec) -> Path:
        """Return the file of the training state of a model."""
        return self._out / CHECKPOINTS / f"{spec.label}-{self._key(spec)}.safetensors"

    def write_model(self, spec: ModelSpec, tested: TestedModel) -> None:
        """Write the case values of a model, then its artifact: a model that is there is finished."""
        self._write_cases(tested)
        self._save(spec, tested.model, tested.row)

    def write_fitted(self, spec: ModelSpec, fitted: FittedModel) -> None:
        """Write the artifact of a model that is not tested yet."""
        self._save(spec, fitted.model, fitted.row)

    def fitted(self, spec: ModelSpec) -> FittedModel | None:
        """Return a model that an earlier run wrote, tested or not; None if there is none, or of another training."""
        folder = self._out / spec.label
        try:
            facts = Artifact.facts(folder)
            if facts.get("key") != self._key(spec):
                return None
            check_facts(folder, facts)
            model = load(folder)
        except ArtifactError:
            return None
        self._say(f"{spec.label}: taken over from {folder}")
        return FittedModel(model.to(self._runtime.torch_device()), ModelResult.model_validate(model.about["result"]))

    def finished(self, spec: ModelSpec) -> TestedModel | None:
        """Return a model that an interrupted run finished, tested again if metrics or case values are missing."""
        fitted = self.fitted(spec)
        return None if fitted is None else self.tested(spec, fitted)

    def tested(self, spec: ModelSpec, fitted: FittedModel) -> TestedModel:
        """Return a fitted model with its test, which is made and written unless it is there already."""
        key, seed = self._key(spec), self._config.seed
        cases = self._read_cases(spec.label, key)
        if tuple(fitted.row.metrics) == self._data.protocol.ranking.metrics:
            if cases is not None:
                return TestedModel(fitted.model, fitted.row, cases)
            self._say(f"{spec.label}: its case values are missing or damaged; it is tested again")
            evaluation = evaluate(fitted.model, self._data, seed=seed, progress=self._runtime.progress)
            tested = TestedModel(fitted.model, fitted.row, CaseValues.of(evaluation, key))
            self._write_cases(tested)
            return tested
        if fitted.row.metrics:
            self._say(f"{spec.label}: other metrics are requested; it is tested again")
        tested = evaluate_fitted(fitted, key, self._data, seed=seed, runtime=self._runtime)
        self.write_model(spec, tested)
        return tested

    def write_results(self, results: Results) -> None:
        """Write results.json and the reports, and remove the checkpoints."""
        results.write(self._out / RESULTS)
        write_reports(results, self._out)
        remove_checkpoints(self._out)

    def _read_cases(self, label: str, key: str) -> CaseValues | None:
        try:
            cases = CaseValues.read(cases_file(self._out, label), self._data.protocol.ranking.headline)
        except ArtifactError:
            return None
        return cases if cases.key == key else None

    def _write_cases(self, tested: TestedModel) -> None:
        tested.cases.write(cases_file(self._out, tested.row.label))

    def _save(self, spec: ModelSpec, model: Model, row: ModelResult) -> None:
        model.save(
            self._out / spec.label,
            log=self._config.log_name,
            seed=self._config.seed,
            deterministic=self._runtime.deterministic,
            protocol=self._data.describe(),
            key=self._key(spec),
            extra=dict(spec.extra),
            result=row.model_dump(mode="json"),
            **reading_fact(self._data.reading),
            **describe_vectors(model.vocabulary),
        )

    def _key(self, spec: ModelSpec) -> str:
        return training_key(spec, self._data, self._config.seed, self._runtime)

    def _say(self, line: str) -> None:
        logger.info(line)
