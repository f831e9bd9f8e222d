"""One model of a run after the other: fitted, tested, saved."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segue.artifact import Artifact
from segue.errors import ArtifactError
from segue.evaluation.evaluate import evaluate
from segue.evaluation.linter import lint_log
from segue.evaluation.outcome import Evaluation
from segue.experiment.begun import check_same, read_settings, settings_of, write_settings
from segue.experiment.comparison.cases import keep_cases, restore_cases
from segue.experiment.comparison.differences import Pair
from segue.experiment.comparison.verdicts import judged
from segue.experiment.environment import write_environment
from segue.experiment.examples import examples
from segue.experiment.folder import CHECKPOINTS, RESULTS, begin_folder
from segue.experiment.latency import median_latency_ms
from segue.experiment.linting import all_findings, inspected
from segue.experiment.memory import peak_mb, reset_peak
from segue.experiment.model_specs import Entry
from segue.experiment.recipe import Recipe
from segue.experiment.report import write_reports
from segue.experiment.results import Example, ModelResult, Results
from segue.experiment.tracking.follow import Fit, follow
from segue.models.catalog import load
from segue.protocols.dataset import Dataset
from segue.storage import remove
from segue.strict_json import digest
from segue.training.runtime import Runtime
from segue.version import __version__

logger = logging.getLogger(__name__)


class Runner:
    """Takes one model after the other through fit, evaluation and saving.

    Args:
        data: the prepared log.
        recipe: what was asked for.
        out: folder of the run.
        runtime: device, precision and progress.
    """

    def __init__(self, data: Dataset, recipe: Recipe, out: Path, runtime: Runtime) -> None:
        self._data = data
        self._recipe = recipe
        self._out = out
        self._runtime = runtime
        self._findings = lint_log(data)

    def begin(self, entries: Sequence[Entry]) -> None:
        """Make the folder ready, and write down what the run is begun with.

        Raises:
            ParameterError: the run to go on with was begun with something else; it is as it was.
            StorageError: the write failed.
        """
        settings = settings_of(self._data, self._recipe, self._runtime, entries)
        if self._runtime.resume:
            begun = read_settings(self._out)
            if begun is None:
                logger.info("%s: holds nothing to resume; starting from the beginning", self._out)
            else:
                check_same(self._out, begun, settings)
        begin_folder(self._out, resume=self._runtime.resume)
        write_settings(self._out, settings)
        write_environment(self._out, self._runtime)
        for finding in self._findings:
            logger.warning("%s", finding)

    def result(self, entry: Entry) -> ModelResult:
        """Return the row of a model: the one of the interrupted run, or a new one."""
        row = self._finished(entry) if self._runtime.resume else None
        if row is not None:
            return row
        with follow(self._out, self._recipe, self._data, entry) as fit:
            row = inspected(self._train(entry, fit), entry.model, self._data, self._recipe.seed)
            self._save(entry, row)
            fit.result(row)
        protocol = self._data.protocol
        headline = "  ".join(f"{name} {row.metrics[name]:.{protocol.decimals}f}" for name in protocol.headline)
        logger.info("%s: %s", entry.label, headline)
        return row

    def results(self, rows: Sequence[ModelResult], pairs: Sequence[Pair] | None = None) -> Results:
        """Put rows together, best first, with what they mean; ``pairs`` are tested, or those of ``run_pairs``."""
        protocol = self._data.protocol
        ranked = sorted(rows, key=lambda row: row.order_key(protocol.metrics[0]))
        results = Results(
            segue=__version__,
            log=self._recipe.log_name,
            items=self._recipe.items or self._data.items,
            seed=self._recipe.seed,
            protocol={**self._data.describe(), "headline": protocol.headline},
            data=self._data.statistics(),
            notes=[*self._recipe.notes, *self._data.notes],
            models=ranked,
            verdicts=[],
            findings=all_findings(self._findings, ranked, protocol.headline),
        )
        return judged(results, self._data, self._out, slices=self._recipe.slices, pairs=pairs)

    def examples(self, rows: Sequence[ModelResult]) -> list[Example]:
        """Ask the models that were asked for, and the best baseline, about a few test sessions."""
        ranked = sorted(rows, key=lambda row: row.order_key(self._data.protocol.metrics[0]))
        shown = [row for row in ranked if not row.baseline] + [row for row in ranked if row.baseline][:1]
        scorers = {row.label: load(self._out / row.label) for row in shown}
        return examples(scorers, self._data.test, self._data.vocabulary)

    def finish(self, results: Results) -> None:
        """Write results.json and the reports, and remove what was only needed to resume."""
        results.write(self._out / RESULTS)
        write_reports(results, self._out)
        if (self._out / CHECKPOINTS).exists():
            remove(self._out / CHECKPOINTS)

    def _train(self, entry: Entry, fit: Fit) -> ModelResult:
        checkpoint = self._out / CHECKPOINTS / f"{entry.label}-{self._key(entry)}.safetensors"
        runtime, seed = replace(self._runtime, checkpoint=checkpoint, observe=fit.observe), self._recipe.seed
        reset_peak()
        started = time.perf_counter()
        entry.fit(self._data.train, self._data.valid, seed, runtime)
        fitted = time.perf_counter()
        evaluation = evaluate(entry.model, self._data, seed=seed, progress=runtime.progress)
        keep_cases(self._out, entry.label, evaluation, self._key(entry))
        return ModelResult(
            model=entry.model.name,
            label=entry.label,
            baseline=entry.baseline,
            config=entry.model.config.model_dump(mode="json"),
            fit_seconds=round(fitted - started, 3),
            evaluate_seconds=round(time.perf_counter() - fitted, 3),
            peak_memory_mb=None if (peak := peak_mb()) is None else round(peak, 1),
            parameters=sum(array.size for array in entry.model.arrays().values()),
            latency_ms=round(median_latency_ms(entry.model, self._data.test.prefixes), 3),
            curve=fit.curve,
            notes=list(entry.model.notes),
            **_figures(evaluation, self._data),
        )

    def _save(self, entry: Entry, row: ModelResult) -> None:
        entry.model.save(
            self._out / entry.label,
            log=self._recipe.log_name,
            seed=self._recipe.seed,
            protocol=self._data.describe(),
            key=self._key(entry),
            decides=entry.decides(),
            result=row.model_dump(mode="json"),
        )

    def _finished(self, entry: Entry) -> ModelResult | None:
        """Return the row of a model that an interrupted run finished, with the metrics that are asked for now."""
        folder, key = self._out / entry.label, self._key(entry)
        try:
            artifact = Artifact.read(folder)
        except ArtifactError:
            return None
        if artifact.about.get("key") != key:
            return None
        logger.info("%s: taken over from %s", entry.label, folder)
        row = ModelResult.model_validate(artifact.about["result"])
        if tuple(row.metrics) != self._data.protocol.metrics:
            return self._measured_again(entry, artifact, row)
        restore_cases(self._out, entry.label, key, self._data, seed=self._recipe.seed, runtime=self._runtime)
        return row

    def _measured_again(self, entry: Entry, artifact: Artifact, row: ModelResult) -> ModelResult:
        """Measure a trained model by other metrics, and keep what comes of it in place of the earlier figures."""
        logger.info("%s: other metrics are asked for; it is measured again", entry.label)
        folder, seed = self._out / entry.label, self._recipe.seed
        model = load(folder).to(self._runtime.torch_device())
        started = time.perf_counter()
        evaluation = evaluate(model, self._data, seed=seed, progress=self._runtime.progress)
        keep_cases(self._out, entry.label, evaluation, self._key(entry))
        figures = _figures(evaluation, self._data)
        figures["evaluate_seconds"] = round(time.perf_counter() - started, 3)
        again = inspected(row.model_copy(update=figures), model, self._data, seed)
        again = again.model_copy(update={"diagnostics": row.diagnostics})  # Known to the fit alone.
        told = {"protocol": self._data.describe(), "result": again.model_dump(mode="json")}
        replace(artifact, about={**artifact.about, **told}).write(folder)
        return again

    def _key(self, entry: Entry) -> str:
        """Name all that decides the outcome of a training, so that no leftover of another recipe is taken over."""
        decides: dict[str, Any] = {
            "data": self._data.hash,
            "model": entry.model.name,
            "config": entry.model.config.model_dump(mode="json"),
            "seed": self._recipe.seed,
            "precision": self._runtime.arithmetic(),
            **entry.decides(),
        }
        return digest(decides)


def _figures(evaluation: Evaluation, data: Dataset) -> dict[str, Any]:
    """Return what a row says of an evaluation."""
    return {
        "metrics": evaluation.metrics,
        "confidence": evaluation.confidence,
        "roc": evaluation.roc,
        "ties": evaluation.tie_note(data.protocol.headline),
    }
