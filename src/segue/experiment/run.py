"""From a log to a leaderboard: prepare, fit, evaluate, save, compare."""

import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from segue.artifact import Artifact
from segue.data.events import Events
from segue.data.readers import read
from segue.errors import ArtifactError, ParameterError
from segue.evaluation.evaluate import evaluate
from segue.evaluation.prepare import Dataset, prepare
from segue.experiment.entries import Entry, build_entries, check_entries, recent_popularity
from segue.experiment.folder import CHECKPOINTS, REPORT, RESULTS, begin_folder, check_folder
from segue.experiment.memory import peak_mb, reset_peak
from segue.experiment.recipe import PROTOCOL, Recipe
from segue.experiment.report import write_report
from segue.experiment.results import ModelResult, Results, judge
from segue.progress import Progress
from segue.storage import remove
from segue.training.runtime import Runtime
from segue.version import __version__


def run(
    recipe: Recipe,
    out: Path,
    *,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Train and test the models of a recipe on one log.

    Args:
        recipe: log, models, protocol, parameters, seed.
        out: folder for results.json, report.md and one artifact folder per model.
        events: the log itself, where it is not to be read; the recipe's ``log`` is its name then.
        resume: take over the models that an interrupted run of the same recipe finished, and go on with the one it
            was training.
        overwrite: replace an older run in ``out``.
        progress: who is told how far the work is.

    Raises:
        InputError: the recipe, the protocol, the log or the folder breaks a rule; nothing has been written.
        StorageError: the disk refused.
    """
    progress = progress or Progress()
    check_folder(out, resume=resume, overwrite=overwrite)
    entries = build_entries(recipe)
    runtime = Runtime(device=recipe.device, precision=recipe.precision, resume=resume, progress=progress)
    runtime.torch_device()  # Refuses an unknown one before the log is read.
    data = prepare(events or _read(recipe), recipe.protocol, **recipe.set.get(PROTOCOL, {}))
    for note in data.notes:
        progress.say(note)
    if recipe.baselines:
        entries += recent_popularity(data.train)
    check_entries(entries, data.train)
    begin_folder(out, resume=resume)
    runner = _Runner(data, recipe, out, runtime)
    rows = sorted(map(runner.result, entries), key=lambda row: -row.metrics[data.protocol.metrics[0]])
    results = Results(
        segue=__version__,
        log=recipe.log_name,
        seed=recipe.seed,
        protocol={**data.describe(), "headline": data.protocol.headline},
        data=data.statistics(),
        notes=list(data.notes),
        models=rows,
        verdicts=judge(rows, data.protocol.headline),
    )
    results.write(out / RESULTS)
    write_report(results, out / REPORT)
    if (out / CHECKPOINTS).exists():
        remove(out / CHECKPOINTS)
    return results


def _read(recipe: Recipe) -> Events:
    if recipe.log is None:
        raise ParameterError("LOG: is missing; name a file, a folder or a log in $SEGUE_DATA (try: segue demo)")
    return read(recipe.log, format=recipe.format, columns=recipe.columns)


class _Runner:
    """Takes one model after the other through fit, evaluation and saving."""

    def __init__(self, data: Dataset, recipe: Recipe, out: Path, runtime: Runtime) -> None:
        self._data = data
        self._recipe = recipe
        self._out = out
        self._runtime = runtime

    def result(self, entry: Entry) -> ModelResult:
        """Return the row of a model: the one of the interrupted run, or a new one."""
        row = self._finished(entry) if self._runtime.resume else None
        if row is not None:
            self._runtime.progress.say(f"{entry.label}: taken over from {self._out / entry.label}")
            return row
        row = self._train(entry)
        self._save(entry, row)
        headline = "  ".join(f"{metric} {row.metrics[metric]:.4f}" for metric in self._data.protocol.headline)
        self._runtime.progress.say(f"{entry.label}: {headline}")
        return row

    def _train(self, entry: Entry) -> ModelResult:
        checkpoint = self._out / CHECKPOINTS / f"{entry.label}-{self._key(entry)}.safetensors"
        runtime, seed = replace(self._runtime, checkpoint=checkpoint), self._recipe.seed
        reset_peak()
        started = time.perf_counter()
        entry.model.fit(self._data.train, valid=self._data.valid, seed=seed, runtime=runtime)
        fitted = time.perf_counter()
        evaluation = evaluate(entry.model, self._data, seed=seed, progress=runtime.progress)
        return ModelResult(
            model=entry.model.name,
            label=entry.label,
            baseline=entry.baseline,
            config=entry.model.config.model_dump(mode="json"),
            metrics=evaluation.metrics,
            confidence=evaluation.confidence,
            fit_seconds=round(fitted - started, 3),
            evaluate_seconds=round(time.perf_counter() - fitted, 3),
            peak_memory_mb=round(peak_mb(), 1),
            notes=list(entry.model.notes),
        )

    def _save(self, entry: Entry, row: ModelResult) -> None:
        entry.model.save(
            self._out / entry.label,
            log=self._recipe.log_name,
            seed=self._recipe.seed,
            protocol=self._data.describe(),
            key=self._key(entry),
            result=row.model_dump(mode="json"),
        )

    def _finished(self, entry: Entry) -> ModelResult | None:
        try:
            about = Artifact.read(self._out / entry.label).about
        except ArtifactError:
            return None
        return ModelResult.model_validate(about["result"]) if about.get("key") == self._key(entry) else None

    def _key(self, entry: Entry) -> str:
        """Name everything that decides the outcome, so that a leftover of another recipe is never taken over."""
        decides: dict[str, Any] = {
            "data": self._data.hash,
            "model": entry.model.name,
            "config": entry.model.config.model_dump(mode="json"),
            "seed": self._recipe.seed,
            "precision": self._recipe.precision,
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
