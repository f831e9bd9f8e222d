"""What the splits of a protocol share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from segue.data.partitions import PartitionedLog
from segue.parameters import Section
from segue.protocols.facts import Facts, held_out_rows
from segue.protocols.holdout import SplitLog, split_rows
from segue.rng import generator
from segue.validation import without_effect


@dataclass(frozen=True)
class SplitParts:
    """A partitioned log in two parts.

    Attributes:
        train: the remaining events.
        holdout: the held-out events.
    """

    train: PartitionedLog
    holdout: PartitionedLog


class BaseSplit(Section, ABC):
    """A rule that holds out the test part, then the validation part of the remaining events.

    Parameters whose names begin with ``valid_`` have an effect only if a validation part is held out.
    """

    needs_times: ClassVar[bool] = False
    """Whether the rule requires a log with times."""
    divides_sessions: ClassVar[bool] = False
    """Whether a session can have events in several parts, so that earlier parts are input of its test cases."""
    validation_parameter: ClassVar[str] = "valid_share"
    """The parameter that says what is held out for validation."""
    overlaps_in_time: ClassVar[bool] = False
    """Whether parts overlap in time by design, as each user has a last event of their own."""
    overlap_remedy: ClassVar[str] = "check the times of the log and how it was split, or choose another protocol.split"
    """What to do where parts overlap in time."""

    @property
    def has_validation(self) -> bool:
        """Whether a validation part is held out: the parameter for it is there and not 0."""
        return bool(getattr(self, self.validation_parameter, 0))

    @property
    def keeps_baskets(self) -> bool:
        """Whether events of a session with equal times are always in one part."""
        return True

    @property
    def test_is_disjoint(self) -> bool:
        """Whether test and validation have no event in common."""
        return True

    @abstractmethod
    def test_part(self, log: pl.DataFrame, **facts: Any) -> SplitLog:
        """Hold out the test part of an ordered log.

        Args:
            log: the log, or a partition of it.
            **facts: of a partition, what ``test_facts`` found of the whole log.
        """

    @abstractmethod
    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **facts: Any) -> SplitLog:
        """Hold out the validation part of the remaining events.

        Args:
            log: the remaining events, or a partition of them.
            test: the test part, or the same partition of it.
            **facts: of a partition, what ``validation_facts`` found of the whole log.
        """

    def test_facts(self, log: PartitionedLog) -> Facts:
        """Find what ``test_part`` must know of the whole log; nothing where each session is split by itself."""
        return [{}] * len(log.partitions)

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find what ``validation_part`` must know of the whole log."""
        return [{}] * len(log.partitions)

    def hold_out_test(self, log: PartitionedLog) -> SplitParts:
        """Hold out the test part."""
        facts = None if log.is_whole else self.test_facts(log)
        return _split(log, log.map(_hold_out, facts, run=self.test_part))

    def hold_out_validation(self, log: PartitionedLog, test: PartitionedLog) -> SplitParts:
        """Hold out the validation part of the remaining events."""
        facts: Facts = [{}] if log.is_whole else self.validation_facts(log, test)
        each = [{"test": table, **further} for table, further in zip(test.partitions, facts, strict=True)]
        return _split(log, log.map(_hold_out, each, run=self.validation_part))

    def hashed_parameters(self, *, validated: bool) -> dict[str, Any]:
        """Return the parameters that affect results, ready for JSON, with or without a validation part."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if validated or not name.startswith("valid_")}


class OrderedSplit(BaseSplit):
    """A split that holds out the last events, in order of time, or random ones."""

    divides_sessions: ClassVar[bool] = True
    overlap_remedy: ClassVar[str] = (
        "users have their last events at different times; the protocol 'global-time' avoids it"
    )

    order: Literal["time", "random"] = "time"
    """time: hold out the last events. random: hold out random events, which leaks future events into training."""
    seed: int = Field(0, ge=0)
    """Random seed; used with order=random."""

    @field_validator("seed")
    @classmethod
    def _seed_of_a_draw(cls, seed: int, info: Any) -> int:
        if seed and info.data.get("order") == "time":
            raise without_effect("with order=time, where nothing is random", "remove it, or set order=random")
        return seed

    @property
    def keeps_baskets(self) -> bool:
        """Whether events with equal times stay together: not if events are counted."""
        return False

    def test_facts(self, log: PartitionedLog) -> Facts:
        """Find the events to hold out where they are random, or taken of all events together."""
        return super().test_facts(log) if self._splits_each_session else held_out_rows(log, run=self.test_part)

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find the events to hold out where they are random, or taken of all events together."""
        if self._splits_each_session:
            return super().validation_facts(log, test)
        return held_out_rows(log, test, run=self.validation_part)

    @property
    def _splits_each_session(self) -> bool:
        """Whether the events to hold out of a session do not depend on other sessions."""
        return self.order == "time"

    def _draw(self, part: str) -> np.random.Generator | None:
        """Return the generator that samples the events to hold out; None if the last events are held out."""
        return generator(self.seed, "split", part) if self.order == "random" else None


def _hold_out(log: pl.DataFrame, run: Callable[..., SplitLog], **arguments: Any) -> dict[str, Any]:
    held_out = arguments.pop("held_out", None)
    result = run(log, **arguments) if held_out is None else split_rows(log, held_out["held_out"].to_numpy())
    return {"train": result.train, "holdout": result.holdout}


def _split(log: PartitionedLog, results: Sequence[Mapping[str, Any]]) -> SplitParts:
    train, holdout = (log.with_partitions(one[part] for one in results) for part in ("train", "holdout"))
    return SplitParts(train, holdout)
