"""Trains candidates one after the other until the budget is used, and chooses among them on validation."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segue.data.cases import Cases
from segue.errors import DivergedError
from segue.evaluation.linter.checks import evenly_spaced
from segue.evaluation.measure import measure
from segue.evaluation.result import Evaluation
from segue.experiment.config import RunConfig
from segue.experiment.fit_and_test import FittedModel, fit_model
from segue.experiment.model_specs import BlendSpec, ModelSpec
from segue.experiment.results import Candidate, Epoch
from segue.experiment.run_writer import RunWriter
from segue.model_selection.costs import Clock, in_epochs, measure_cost, spoken, training_of, with_epochs
from segue.model_selection.race import Race
from segue.model_selection.record import Record
from segue.models.blend import Blend
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_COUNTING = 0.4
"""Share of the budget after which no further count-based model is trained."""
_PROBE, _LONGEST_PROBE = 0.005, 2.0
"""Share of the budget in which the steps of a network are timed, and its greatest number of seconds."""
_MARGIN = 1.1
"""Factor on measured seconds, which are never exact."""
_FEWEST = 0.1
"""Least share of its epochs that a network is trained for."""
_REPORT_SECONDS, _WEIGHING = 8.0, 1e-3
"""Allowance for the report, and for the search of the weights per case."""

_NETWORKS, _COUNTS = 4, 3
"""Networks and count-based models that a blend is made of at most."""
_FAR = 0.5
"""Models below this share of the best value are not blended."""
_LEAST_WEIGHT = 0.05
"""Models of a lower weight are left out of the blend."""
_FIRST_CASES = 1_000
"""Validation cases that decide which models a blend needs."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained candidate.

    Attributes:
        spec: what was trained.
        fitted: the model.
        evaluation: its validation.
    """

    spec: ModelSpec
    fitted: FittedModel
    evaluation: Evaluation


class Choice(NamedTuple):
    """The best model on validation.

    Attributes:
        label: the model.
        other: the next best single model; None if nothing else was trained.
        difference: by how much it is better, with a 95% interval.
    """

    label: str
    other: str | None
    difference: tuple[float, float, float] | None


class Search:
    """A search in progress.

    Args:
        data: the prepared log; its test part is not used, but for its size.
        valid: the validation cases that decide.
        config: configuration of the run.
        record: what was found so far; it is updated and written.
        path: file of the record.
        writer: writes the models.
        runtime: device, precision, progress, and whether an interrupted search is resumed.
        clock: the budget.

    Attributes:
        trained: what is trained, by label.
    """

    def __init__(
        self,
        data: Dataset,
        valid: Cases,
        config: RunConfig,
        *,
        record: Record,
        path: Path,
        writer: RunWriter,
        runtime: Runtime,
        clock: Clock,
    ) -> None:
        self.trained: dict[str, Trained] = {}
        self._data = replace(data, valid=valid)
        self._valid = valid
        self._seed = config.seed
        self._record = record
        self._path = path
        self._writer = writer
        self._runtime = runtime
        self._clock = clock
        self._race = Race()

    def train_counted(self, specs: Sequence[ModelSpec]) -> None:
        """Train count-based models, as long as a share of the budget lasts; the first one always."""
        for spec in specs:
            if self.trained and self._clock.spent() > _COUNTING * self._clock.budget:
                self._leave_out(self._candidate(spec), f"{_COUNTING:.0%} of the budget was used before")
            else:
                self._train(spec)

    def train_networks(self, specs: Sequence[ModelSpec], gains: Mapping[str, float]) -> None:
        """Train networks as long as there is time, next always the one with the highest expected gain per second.

        Args:
            specs: the networks.
            gains: expected gain of each.
        """
        for spec in specs:
            self._measure_cost(spec)
        waiting = {spec.label: spec for spec in specs if self._candidate(spec).state not in ("stopped", "left out")}
        while waiting:
            label = max(
                waiting, key=lambda label: self._priority(waiting[label], gains.get(label, min(gains.values())))
            )
            self._train_network(waiting.pop(label))

    def blend(self) -> None:
        """Blend the best of what is trained, and keep only the models that have a weight."""
        ranked = [one for one in self._record.trained() if self.trained[one.label].fitted.model.name == one.label]
        close = [one for one in ranked if (one.value or 0.0) >= _FAR * (ranked[0].value or 0.0)]
        networks = [one.label for one in close if one.epochs is not None][:_NETWORKS]
        parts = networks + [one.label for one in close if one.epochs is None][:_COUNTS]
        if len(parts) < 2:
            return
        some = self._valid[evenly_spaced(len(self._valid), _FIRST_CASES)]
        first = Blend(models=parts, metric=self._record.metric)
        first.take([self.trained[label].fitted.model for label in parts], some, self._runtime.progress, gains=False)
        used = [part for part, weight in zip(parts, first.weights, strict=True) if weight >= _LEAST_WEIGHT]
        if len(used) > 1:
            self._train(self._blend_of(used))

    def choose(self) -> Choice:
        """Choose the model with the highest value."""
        best, *others = (one.label for one in self._record.trained())
        other = next((label for label in others if label != Blend.name), None)
        self._record.chosen = best
        self._save()
        return Choice(best, other, None if other is None else self._difference(best, other))

    def _train(
        self,
        spec: ModelSpec,
        on_epoch: Callable[[Epoch], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        """Train a candidate, unless it is trained already, and measure it on validation."""
        candidate, began = self._candidate(spec), time.monotonic()
        fitted = self._writer.fitted(spec) if self._runtime.resume else None
        if fitted is None:
            candidate.state = "training"
            self._save()
            runtime = replace(self._runtime, checkpoint=self._writer.checkpoint(spec), stop=stop)
            try:
                fitted = fit_model(spec, self._data, seed=self._seed, runtime=runtime, on_epoch=on_epoch)
            except DivergedError as error:
                self._leave_out(candidate, str(error))
                return
            candidate.seconds += time.monotonic() - began
            if candidate.state != "training":  # It fell behind.
                return
            self._writer.enter(spec)
            self._writer.write_fitted(spec, fitted)
        began, metric = time.monotonic(), self._record.metric
        ranking = self._data.protocol.ranking.model_copy(update={"metrics": (metric,)})
        evaluation = measure(fitted.model, self._valid, ranking, seed=self._seed, progress=self._runtime.progress)
        candidate.case_seconds = (time.monotonic() - began) / len(self._valid)
        candidate.state, candidate.value = "trained", evaluation.metrics[metric]
        candidate.ended_seconds = candidate.ended_seconds or self._clock.spent()
        self.trained[spec.label] = Trained(spec, fitted, evaluation)
        if candidate.epochs is not None:
            for epoch in fitted.row.curve:
                self._race.note(spec.label, epoch.epoch / candidate.epochs, epoch.validation or 0.0)
        logger.info("%s: %s %.4f on validation, %.1f s", spec.label, metric, candidate.value, candidate.seconds)
        self._save()

    def _train_network(self, spec: ModelSpec) -> None:
        candidate = self._candidate(spec)
        per_epoch, start = candidate.epoch_seconds or 0.0, candidate.start_seconds or 0.0
        wanted = training_of(spec).epochs
        if candidate.epochs is None:
            left = self._clock.left() - self._reserve(candidate)
            possible = int((left / _MARGIN - start) / per_epoch)
            fewest = max(1, round(_FEWEST * wanted))
            if possible < fewest:
                needed, what = spoken((start + fewest * per_epoch) * _MARGIN), in_epochs(fewest)
                self._leave_out(candidate, f"{what} would take {needed}, {spoken(max(0.0, left))} were left")
                return
            candidate.epochs = min(wanted, possible)
            if possible < wanted:
                candidate.note = f"{possible} instead of {wanted} epochs, because of the budget"
        epochs, metric = candidate.epochs, self._record.metric
        logger.info(
            "%s: %s of about %s each%s",
            spec.label,
            in_epochs(epochs),
            spoken(per_epoch),
            f" ({candidate.note})" if candidate.note else "",
        )

        def on_epoch(epoch: Epoch) -> None:
            value = epoch.validation or 0.0
            logger.info("%s: epoch %d/%d, %s %.4f on validation", spec.label, epoch.epoch, epochs, metric, value)
            self._race.note(spec.label, epoch.epoch / epochs, value)
            leader = next((one.label for one in self._record.trained() if one.epochs is not None), None)
            if reason := self._race.behind(spec.label, leader, metric):
                candidate.state, candidate.note = "stopped", reason
                logger.info("%s: stopped, %s", spec.label, reason)
            self._save()

        def stop() -> bool:
            return candidate.state == "stopped" or self._clock.left() < self._reserve(candidate)

        self._train(with_epochs(spec, epochs), on_epoch, stop)

    def _measure_cost(self, spec: ModelSpec) -> None:
        candidate, clock = self._candidate(spec), self._clock
        if candidate.epoch_seconds is not None:
            return
        if clock.left() < self._reserve():
            self._leave_out(candidate, "the budget was used before")
            return
        model, seconds = with_epochs(spec, 1).model, min(_LONGEST_PROBE, _PROBE * clock.budget)
        cost = measure_cost(
            model, self._data.train, self._valid, seed=self._seed, runtime=self._runtime, seconds=seconds
        )
        candidate.start_seconds, candidate.case_seconds = cost.start, cost.case
        candidate.epoch_seconds = cost.epoch + cost.case * len(self._valid)
        self._save()

    def _priority(self, spec: ModelSpec, gain: float) -> float:
        """Return the expected gain per second; what an interrupted search has begun comes first."""
        candidate = self._candidate(spec)
        if candidate.epochs is not None:
            return np.inf
        return gain / ((candidate.start_seconds or 0.0) + training_of(spec).epochs * (candidate.epoch_seconds or 0.0))

    def _blend_of(self, parts: Sequence[str]) -> BlendSpec:
        models = {label: self.trained[label].fitted for label in parts}
        parameters = {label: one.model.config.model_dump(mode="json") for label, one in models.items()}
        blend = Blend(models=list(parts), parameters=parameters, metric=self._record.metric)
        return BlendSpec(Blend.name, blend, fitted={label: (one.model, one.row.curve) for label, one in models.items()})

    def _difference(self, one: str, other: str) -> tuple[float, float, float]:
        """Return by how much one model is better than another on validation, with a 95% interval."""
        metric, first, second = self._record.metric, self.trained[one].evaluation, self.trained[other].evaluation
        values = first.values[metric] - second.values[metric]
        mean = float(values.mean())
        low, high = replace(first, values={metric: values}).confidence.get(metric, (mean, mean))
        return mean, low, high

    def _reserve(self, network: Candidate | None = None) -> float:
        """Return the seconds that blend, choice and test will take, with a network that is being trained."""
        found = [one.case_seconds for one in self._record.candidates.values() if one.state == "trained"]
        found += [network.case_seconds] if network is not None else []
        slowest = sum(sorted(found)[-(_NETWORKS + _COUNTS) :])
        n_test, n_valid = len(self._data.test), len(self._valid)
        per_case = 4 * n_test + 5 * n_valid + 3 * _FIRST_CASES  # A blend ranks with all of its parts, and weighs them.
        return _REPORT_SECONDS + _WEIGHING * n_valid + _MARGIN * slowest * per_case

    def _candidate(self, spec: ModelSpec) -> Candidate:
        return self._record.candidates.setdefault(spec.label, Candidate(label=spec.label))

    def _leave_out(self, candidate: Candidate, reason: str) -> None:
        candidate.state, candidate.note = "left out", reason
        logger.info("%s: left out, %s", candidate.label, reason)
        self._save()

    def _save(self) -> None:
        self._record.spent_seconds = self._clock.spent()
        self._record.write(self._path)
