"""What the splits of a protocol share."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from segue.parameters import Section
from segue.protocols.holdout import SplitLog
from segue.rng import generator
from segue.validation import idle


class BaseSplit(Section, ABC):
    """A rule that holds out the test part, and the validation part from the rest.

    Parameters whose names begin with ``valid_`` matter only where a validation part is held out.
    """

    needs_times: ClassVar[bool] = False
    """Whether the rule makes no sense on a log without times."""
    divides_sessions: ClassVar[bool] = False
    """Whether a session can have events in several parts, so that a test case is fed those of earlier parts."""

    @property
    def has_validation(self) -> bool:
        """Whether a validation part is held out."""
        return True

    @property
    def keeps_baskets(self) -> bool:
        """Whether events of a session that have one time are always in one part."""
        return True

    @property
    def test_is_disjoint(self) -> bool:
        """Whether the events of the test are others than those of validation."""
        return True

    @abstractmethod
    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out the test part of an ordered log."""

    @abstractmethod
    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out the validation part of what is left for training, ``log``; ``test`` is the test part."""

    def hashed_parameters(self, *, validated: bool) -> dict[str, Any]:
        """Return the parameters that change a figure, ready for JSON, where a validation part is held out or not."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if validated or not name.startswith("valid_")}


class OrderedSplit(BaseSplit):
    """A split that holds out the last events, in order of time, or random ones."""

    divides_sessions: ClassVar[bool] = True

    order: Literal["time", "random"] = "time"
    """time: the last events are held out. random: random events are, which leaks future events into training."""
    seed: int = Field(0, ge=0)
    """Seed of the draw in random order."""

    @field_validator("seed")
    @classmethod
    def _seed_of_a_draw(cls, seed: int, info: Any) -> int:
        if seed and info.data.get("order") == "time":
            raise idle("with order=time, where nothing is drawn", "remove it, or set order=random")
        return seed

    @property
    def keeps_baskets(self) -> bool:
        """Whether events of one time stay together: not where events are counted."""
        return False

    def _draw(self, part: str) -> np.random.Generator | None:
        """Return what draws the events to hold out; None where they are the last ones."""
        return generator(self.seed, "split", part) if self.order == "random" else None
