"""Trains candidates one after the other until the budget is used."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segue.data.cases import Cases
from segue.errors import DivergedError
from segue.evaluation.measure import measure
from segue.evaluation.result import Evaluation
from segue.experiment.candidates import Candidate, State
from segue.experiment.config import RunConfig
from segue.experiment.fit_and_test import FittedModel, fit_model
from segue.experiment.model_specs import ModelSpec
from segue.experiment.results import Epoch
from segue.experiment.run_writer import RunWriter
from segue.model_selection.costs import Clock, in_epochs, measure_cost, spoken
from segue.model_selection.race import Race
from segue.model_selection.record import Record
from segue.models.neural import NeuralModel
from segue.protocols.dataset import Dataset
from segue.training.config import TrainingConfig
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

OnEpoch = Callable[[Epoch], None]
Stop = Callable[[], bool]

_COUNTING = 0.4
"""Share of the budget after which no further count-based model is trained."""
_PROBES, _PROBE, _LONGEST_PROBE = 0.1, 0.005, 2.0
"""Shares of the budget in which the steps of all networks are timed before the first one is trained, and of each, which
takes at most so many seconds."""
_MARGIN = 1.1
"""Factor on measured seconds, which are never exact."""
_FEWEST = 0.1
"""Least share of its epochs that a network is trained for."""
_REPORT_SECONDS, _WEIGHING = 8.0, 5e-3
"""Allowance for the report, and for the search of the weights of a blend per case."""
_RANKED_TEST, _RANKED_VALID = 3, 6
"""How often each test and validation case is ranked by a part of the blend, in the blend and alone, until the end."""
_BLENDED = 4
"""Models that a blend needs, as a rule."""


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
        self.valid = valid
        self.record = record
        self.runtime = runtime
        self.seed = config.seed
        self._data = replace(data, valid=valid)
        self._path = path
        self._writer = writer
        self._clock = clock
        self._race = Race()

    def train_counted(self, specs: Sequence[ModelSpec]) -> None:
        """Train count-based models, as long as a share of the budget lasts; the first one always."""
        for spec in specs:
            if self._taken_over(spec):
                continue
            if self.trained and self._clock.spent() > _COUNTING * self._clock.budget:
                self._leave_out(self._candidate(spec), f"{_COUNTING:.0%} of the budget was used before")
            else:
                self.train(spec)

    def train_networks(self, specs: Sequence[ModelSpec], gains: Mapping[str, float]) -> None:
        """Train networks as long as there is time, next always the one with the highest expected gain per second.

        Args:
            specs: the networks.
            gains: expected gain of each.
        """
        ended = ("stopped", "diverged")
        unknown = [spec for spec in specs if self._candidate(spec).state not in ended and not self._taken_over(spec)]
        known: dict[str, ModelSpec] = {}
        began = self._clock.spent()
        while unknown or known:
            while unknown and (not known or self._clock.spent() - began < _PROBES * self._clock.budget):
                spec = unknown.pop(0)
                if self._measure_cost(spec):
                    known[spec.label] = spec
            if known:
                label = max(known, key=lambda label: self._priority(known[label], gains.get(label, 0.0)))
                self._train_network(known.pop(label))
                began = -np.inf  # What is left is timed when its turn comes.

    def train(self, spec: ModelSpec, on_epoch: OnEpoch | None = None, stop: Stop | None = None) -> None:
        """Train a candidate and measure it, unless it is stopped.

        Args:
            spec: what to train.
            on_epoch: called after each epoch.
            stop: ends the training, see ``Runtime.stop``.
        """
        if (fitted := self.fitted(spec, on_epoch, stop)) is not None:
            self._measure(spec, fitted)

    def fitted(self, spec: ModelSpec, on_epoch: OnEpoch | None = None, stop: Stop | None = None) -> FittedModel | None:
        """Train a candidate and write it; None if it is stopped or diverges."""
        candidate, began = self._candidate(spec), time.monotonic()
        candidate.state = "training"
        self.save()
        self._writer.enter(spec)
        runtime = replace(self.runtime, checkpoint=self._writer.checkpoint(spec), stop=stop)
        try:
            with self._writer.track(spec) as trackers:

                def track(epoch: Epoch) -> None:
                    trackers.epoch(epoch)
                    if on_epoch is not None:
                        on_epoch(epoch)

                fitted = fit_model(spec, self._data, seed=self.seed, runtime=runtime, on_epoch=track)
        except DivergedError as error:
            self._leave_out(candidate, str(error), "diverged")
            return None
        finally:
            candidate.seconds += time.monotonic() - began
            self.save()
        if candidate.state != "training":
            return None
        self._writer.write_fitted(spec, fitted)
        return fitted

    def written(self, spec: ModelSpec) -> FittedModel | None:
        """Return a model that an interrupted search wrote."""
        return self._writer.fitted(spec) if self.runtime.resume else None

    def save(self) -> None:
        """Write the record."""
        self.record.spent_seconds = self._clock.spent()
        self.record.write(self._path)

    def measured(self, spec: ModelSpec, fitted: FittedModel, evaluation: Evaluation) -> None:
        """Enter a trained model with its validation."""
        candidate, metric = self._candidate(spec), self.record.metric
        candidate.state, candidate.value = "trained", evaluation.metrics[metric]
        candidate.ended_seconds = candidate.ended_seconds or self._clock.spent()
        self.trained[spec.label] = Trained(spec, fitted, evaluation)
        logger.info("%s: %s %.4f on validation, %.1f s", spec.label, metric, candidate.value, candidate.seconds)
        self.save()

    def ranked(self, fitted: FittedModel, cases: Cases) -> Evaluation:
        """Measure a model on validation cases."""
        ranking = self._data.protocol.ranking.model_copy(update={"metrics": (self.record.metric,)})
        return measure(fitted.model, cases, ranking, seed=self.seed, progress=self.runtime.progress)

    def _taken_over(self, spec: ModelSpec) -> bool:
        """Take a model from what an interrupted search wrote; return whether it is there."""
        candidate = self._candidate(spec)
        if candidate.epochs is not None:
            spec = with_epochs(spec, candidate.epochs)
        if (fitted := self.written(spec)) is None:
            return False
        for epoch in fitted.row.curve if candidate.epochs is not None else ():
            self._race.note(spec.label, epoch.epoch / (candidate.epochs or 1), epoch.validation or 0.0)
        self._measure(spec, fitted)
        return True

    def _measure(self, spec: ModelSpec, fitted: FittedModel) -> None:
        self.ranked(fitted, self.valid[:1])  # The first call compiles what the ranking needs.
        began = time.monotonic()
        evaluation, candidate = self.ranked(fitted, self.valid), self._candidate(spec)
        if candidate.ended_seconds is None:  # An earlier process may have measured it.
            candidate.case_seconds = (time.monotonic() - began) / len(self.valid)
        self.measured(spec, fitted, evaluation)

    def _train_network(self, spec: ModelSpec) -> None:
        candidate, wanted = self._candidate(spec), training_of(spec).epochs
        per_epoch, start = candidate.epoch_seconds or 0.0, candidate.start_seconds or 0.0
        if candidate.epochs is None:
            left = self._clock.left() - self._reserve(candidate)
            possible, fewest = int((left / _MARGIN - start) / per_epoch), max(1, round(_FEWEST * wanted))
            if possible < fewest:
                needed = spoken((start + fewest * per_epoch) * _MARGIN)
                self._leave_out(
                    candidate,
                    f"{in_epochs(fewest)} would take {needed}, {spoken(max(0.0, left))} were left for training",
                )
                return
            candidate.epochs = min(wanted, possible)
            if possible < wanted:
                candidate.note = f"{possible} instead of {wanted} epochs"
        epochs, metric, shortened = candidate.epochs, self.record.metric, candidate.note
        planned = [f"{in_epochs(epochs)} of about {spoken(per_epoch)} each", shortened]
        logger.info("%s: %s", spec.label, ", ".join(filter(None, planned)))

        def on_epoch(epoch: Epoch) -> None:
            value = epoch.validation or 0.0
            logger.info("%s: epoch %d/%d, %s %.4f on validation", spec.label, epoch.epoch, epochs, metric, value)
            self._race.note(spec.label, epoch.epoch / epochs, value)
            leader = next((one.label for one in self.record.trained() if one.epochs is not None), None)
            if reason := self._race.behind(spec.label, leader, metric):
                candidate.state, candidate.note = "stopped", reason
                logger.info("%s: stopped, %s", spec.label, reason)
            self.save()

        def stop() -> bool:
            if late := self._clock.left() < self._reserve(candidate):
                candidate.note = ", ".join(filter(None, [shortened, "ended early, because the budget was used"]))
            return late or candidate.state == "stopped"

        self.train(with_epochs(spec, epochs), on_epoch, stop)

    def _measure_cost(self, spec: ModelSpec) -> bool:
        """Time some steps of a network; return whether it may be trained."""
        candidate, clock = self._candidate(spec), self._clock
        if candidate.epoch_seconds is not None:
            return True
        if clock.left() < self._reserve():
            self._leave_out(candidate, "what was left of the budget was kept for the blend and the test")
            return False
        model, seconds = with_epochs(spec, 1).model, min(_LONGEST_PROBE, _PROBE * clock.budget)
        try:
            cost = measure_cost(
                model, self._data.train, self.valid, seed=self.seed, runtime=self.runtime, seconds=seconds
            )
        except DivergedError as error:
            self._leave_out(candidate, str(error), "diverged")
            return False
        candidate.start_seconds, candidate.case_seconds = cost.start, cost.case
        candidate.epoch_seconds = cost.epoch + cost.case * len(self.valid)
        self.save()
        return True

    def _priority(self, spec: ModelSpec, gain: float) -> float:
        """Return the expected gain per second; what an interrupted search has begun comes first."""
        candidate = self._candidate(spec)
        if candidate.epochs is not None:
            return np.inf
        return gain / ((candidate.start_seconds or 0.0) + training_of(spec).epochs * (candidate.epoch_seconds or 0.0))

    def _reserve(self, network: Candidate | None = None) -> float:
        """Return the seconds that blend, choice, test and report will take, with a network that is being trained."""
        found = [one.case_seconds for one in self.record.candidates.values() if one.state == "trained"]
        found += [network.case_seconds] if network is not None else []
        ranked = _RANKED_TEST * len(self._data.test) + _RANKED_VALID * len(self.valid)
        return _REPORT_SECONDS + _WEIGHING * len(self.valid) + _MARGIN * ranked * sum(sorted(found)[-_BLENDED:])

    def _candidate(self, spec: ModelSpec) -> Candidate:
        return self.record.candidates.setdefault(spec.label, Candidate(label=spec.label))

    def _leave_out(self, candidate: Candidate, reason: str, state: State = "left out") -> None:
        candidate.state, candidate.note = state, reason
        logger.info("%s: %s, %s", candidate.label, state, reason)
        self.save()


def training_of(spec: ModelSpec) -> TrainingConfig:
    """Return the training section of a network."""
    assert isinstance(spec.model, NeuralModel)
    return spec.model.config.training


def with_epochs(spec: ModelSpec, epochs: int) -> ModelSpec:
    """Return a network that is trained for so many epochs."""
    training = training_of(spec).model_copy(update={"epochs": epochs})
    return replace(spec, model=type(spec.model)(spec.model.config.model_copy(update={"training": training})))
