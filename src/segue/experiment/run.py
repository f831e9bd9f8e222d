"""From a log to a leaderboard: prepare, fit, evaluate, save, compare."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segue.artifact import Artifact
from segue.data.events import Events
from segue.data.sessions import Sessions
from segue.errors import ArtifactError, ParameterError
from segue.evaluation.evaluate import evaluate
from segue.evaluation.prepare import Dataset, prepare
from segue.experiment.folder import CHECKPOINTS, REPORT, RESULTS
from segue.experiment.memory import peak_mb, reset_peak
from segue.experiment.recipe import Recipe
from segue.experiment.report import write_report
from segue.experiment.results import ModelResult, Results, judge
from segue.models.base import Model
from segue.models.catalog import model_class
from segue.models.popularity import Popularity
from segue.progress import Progress
from segue.training.runtime import Runtime
from segue.version import __version__

BASELINES = ("popularity", "markov", "sequential-rules", "v-sknn")
"""Trained in every run that does not refuse them, besides popularity in the last days where the log has times."""

_DAY = 86_400
_PROTOCOL = "protocol"


@dataclass(frozen=True)
class Entry:
    """A model to train, under the name that it has in this run."""

    label: str
    model: Model
    baseline: bool


def run(
    events: Events,
    recipe: Recipe,
    out: Path,
    *,
    name: str = "log",
    resume: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Train and test the models of a recipe on one log.

    Args:
        events: the raw log.
        recipe: models, protocol, parameters, seed.
        out: folder for results.json, report.md and one artifact folder per model.
        name: name of the log in the results.
        resume: take over the models that an interrupted run of the same recipe finished, and go on with the one it
            was training.
        progress: who is told how far the work is.

    Raises:
        InputError: the recipe, the protocol or the log breaks a rule; nothing has been written.
        StorageError: the disk refused.
    """
    progress = progress or Progress()
    asked = _asked(recipe)
    data = prepare(events, recipe.protocol, **recipe.set.get(_PROTOCOL, {}))
    for note in data.notes:
        progress.say(note)
    entries = [*asked, *(_baselines(recipe, data.train, asked) if recipe.baselines else [])]
    runner = _Runner(data, recipe, out, name, resume, progress)
    rows = sorted(map(runner.result, entries), key=lambda row: -row.metrics[data.protocol.metrics[0]])
    results = Results(
        segue=__version__,
        log=name,
        seed=recipe.seed,
        protocol={**data.describe(), "headline": data.protocol.headline},
        data=data.statistics(),
        notes=list(data.notes),
        models=rows,
        verdicts=judge(rows, data.protocol.headline),
    )
    results.write(out / RESULTS)
    write_report(results, out / REPORT)
    return results


def _asked(recipe: Recipe) -> list[Entry]:
    """Build the models that were asked for; all mistakes in their parameters come together."""
    names = list(dict.fromkeys(recipe.models))
    if not names and not recipe.baselines:
        raise ParameterError("--model: names no model and the baselines are off; name one (see: segue models)")
    for option, owners in (("--set", recipe.set), ("--preset", recipe.preset)):
        for owner in owners:
            if owner != _PROTOCOL and owner not in names and not (recipe.baselines and owner in BASELINES):
                model_class(owner)
                raise ParameterError(f"{option}: {owner} is not trained in this run; add it to --model")
    entries, mistakes = [], []
    for name in names:
        try:
            entries.append(Entry(name, _build(recipe, name), baseline=False))
        except ParameterError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ParameterError("\n".join(mistakes))
    return entries


def _build(recipe: Recipe, name: str) -> Model:
    return model_class(name)(preset=recipe.preset.get(name), **recipe.set.get(name, {}))


def _baselines(recipe: Recipe, train: Sessions, asked: Sequence[Entry]) -> list[Entry]:
    """Build the baselines, but for those that were asked for anyway."""
    taken = {entry.label for entry in asked}
    entries = [Entry(name, _build(recipe, name), baseline=True) for name in BASELINES if name not in taken]
    if train.times is not None:
        days = _recent_days(train)
        entries.append(Entry(f"popularity-{days}d", Popularity(window_days=float(days)), baseline=True))
    return entries


def _recent_days(train: Sessions) -> int:
    """Return what "recent" means for a log: the last week of a log of some weeks, the last day of a shorter one."""
    assert train.times is not None
    return 7 if train.times.max() - train.times.min() >= 21 * _DAY else 1


class _Runner:
    """Takes one model after the other through fit, evaluation and saving."""

    def __init__(self, data: Dataset, recipe: Recipe, out: Path, name: str, resume: bool, progress: Progress) -> None:
        self._data = data
        self._recipe = recipe
        self._out = out
        self._name = name
        self._resume = resume
        self._progress = progress

    def result(self, entry: Entry) -> ModelResult:
        """Return the row of a model: the one of the interrupted run, or a new one."""
        finished = self._finished(entry) if self._resume else None
        if finished is not None:
            self._progress.say(f"{entry.label}: taken over from {self._out / entry.label}")
            return finished
        return self._train(entry)

    def _train(self, entry: Entry) -> ModelResult:
        checkpoint = self._out / CHECKPOINTS / f"{entry.label}-{self._key(entry)}.safetensors"
        runtime = Runtime(
            device=self._recipe.device,
            precision=self._recipe.precision,
            checkpoint=checkpoint,
            resume=self._resume,
            progress=self._progress,
        )
        reset_peak()
        started = time.perf_counter()
        entry.model.fit(self._data.train, valid=self._data.valid, seed=self._recipe.seed, runtime=runtime)
        fitted = time.perf_counter()
        evaluation = evaluate(entry.model, self._data, seed=self._recipe.seed, progress=self._progress)
        row = ModelResult(
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
        self._save(entry, row)
        checkpoint.unlink(missing_ok=True)
        self._progress.say(f"{entry.label}: {_headline(row, self._data.protocol.headline)}")
        return row

    def _save(self, entry: Entry, row: ModelResult) -> None:
        entry.model.save(
            self._out / entry.label,
            log=self._name,
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


def _headline(row: ModelResult, metrics: Sequence[str]) -> str:
    return "  ".join(f"{metric} {row.metrics[metric]:.4f}" for metric in metrics)
