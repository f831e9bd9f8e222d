"""What the splits of a protocol share."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from segue.parameters import Section
from segue.protocols.holdout import SplitLog
from segue.rng import generator
from segue.validation import without_effect


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
    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out the test part of an ordered log."""

    @abstractmethod
    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out the validation part of the remaining events, ``log``; ``test`` is the test part."""

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

    def _draw(self, part: str) -> np.random.Generator | None:
        """Return the generator that samples the events to hold out; None if the last events are held out."""
        return generator(self.seed, "split", part) if self.order == "random" else None
