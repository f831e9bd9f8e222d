"""Learning from later events: what is checked before an update, and the base of the models that count."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, Self

import numpy as np
import polars as pl
from jaxtyping import Float64, Int32, Int64

from segue.data.array_schema import IN_YEARS, MOST, Between
from segue.data.cases import Cases
from segue.data.growth import iso_time, widened
from segue.data.partitions import load
from segue.data.session_ranges import SessionRange, map_ranges
from segue.data.sessions import Sessions
from segue.errors import ParameterError
from segue.models.base import Model
from segue.models.persistence import ModelConfig
from segue.models.recent import Given
from segue.training.runtime import Runtime


class UpdatableConfig(ModelConfig):
    """Parameters of every model that counts events or compares sessions."""

    updatable: bool = False
    """Keep what segue update needs to add later events exactly; see the page on updating for the additional size."""


class UpdatableModel(Model):
    """A model to which later sessions can be added, equal to a fit on all sessions."""

    memory: ClassVar[tuple[str, ...]] = ("item_events", "last_time")
    """Names of the attributes with what an update needs; stored only with ``updatable``."""
    config: UpdatableConfig

    item_events: Annotated[Int64[np.ndarray, "N+1"], Between(0, MOST)]
    """Training events on each item."""
    last_time: Annotated[Int64[np.ndarray, "t"], IN_YEARS]
    """Time of the last training event, in seconds since 1970; empty for a log without times."""

    def stored_names(self) -> tuple[str, ...]:
        """Return the names of the arrays, with what an update needs if the model is updatable."""
        return (*super().stored_names(), *(self.memory if self.config.updatable else ()))

    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        self.restore(self._checked(self._learn(train, None)), train.vocabulary)

    def check_updatable(self) -> None:
        """Check that what an update needs was kept; see ``ModelBase.check_updatable``."""
        if not self.config.updatable:
            raise ParameterError(
                f"{self.name}: was fitted without what an update needs; fit it once more, with --set "
                f"{self.name}.updatable=true (in Python {type(self).__name__}(updatable=True))"
            )

    def _check_update(self, given: Given) -> None:
        times = given.recent.times
        if times is not None and not len(self.last_time):
            raise ParameterError(
                f"recent: must have no times, because {self.name} was fitted on a log without times, got some; fit it "
                f"again on all events with times, or update it with events without (in Python "
                "dataclasses.replace(recent, times=None))"
            )
        if times is not None and times.min() <= self.last_time.max():
            raise ParameterError(
                f"recent: must have only events after {iso_time(int(self.last_time.max()))}, the last event that "
                f"{self.name} counts, got {iso_time(int(times.min()))}"
            )
        if given.history is not None:
            raise ParameterError(f"history: has no effect on {self.name}, which forgets nothing; leave it out")
        if given.plan is not None:
            raise ParameterError(
                f"plan: has no effect on {self.name}, which is not trained in epochs; leave it out (on the command "
                "line --epochs, --learning-rate and --replay)"
            )

    def _update(self, before: Self, given: Given) -> None:
        self.check(given.recent)
        self.restore(self._checked(self._learn(given.recent, before)), given.recent.vocabulary)

    def _checked(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: arrays[name] for name in self.stored_names()}

    @abstractmethod
    def _learn(self, train: Sessions, before: Self | None) -> Mapping[str, np.ndarray]:
        """Return the arrays, and what the next update needs.

        Args:
            train: sessions to learn from.
            before: the model of all sessions before them; None if there are none.
        """

    def _count(self, train: Sessions, before: Self | None) -> dict[str, np.ndarray]:
        """Return ``item_events`` and ``last_time`` after some sessions."""
        size = len(train.vocabulary) + 1
        events = np.zeros(size, dtype=np.int64) if before is None else widened(before.item_events, size)
        for one in map_ranges(train.ranges, train.items, train.offsets, count_events, size=size):
            events = events + load(one["counts"])["events"].to_numpy()
        times = train.times
        end = np.zeros(0, dtype=np.int64) if times is None or not len(times) else times.max(keepdims=True)
        return {"item_events": events, "last_time": end}

    @staticmethod
    def _add_up(
        before: np.ndarray | None,
        items: Int32[np.ndarray, "n"],
        weights: Float64[np.ndarray, "n"] | None,
        log: Sessions,
    ) -> Float64[np.ndarray, "N+1"]:
        """Add the weights of events to sums by item, in the order in which a fit on all events adds them."""
        size = len(log.vocabulary) + 1
        if before is None:
            sums: np.ndarray = np.bincount(items, weights, size)
            return sums
        later = np.ones(len(items)) if weights is None else weights
        every = np.concatenate([np.arange(size, dtype=items.dtype), items])
        return np.bincount(every, np.concatenate([widened(before, size), later]), size)


def count_events(sessions: SessionRange, size: int) -> dict[str, pl.DataFrame]:
    """Count the events on each item in a range of sessions: a step on an engine."""
    return {"counts": pl.DataFrame({"events": np.bincount(sessions.items, minlength=size)})}
