"""The splits of a protocol: how test and validation are held out, each with its own parameters."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, get_args

import polars as pl
from pydantic import Field, field_validator

from segue.parameters import KIND
from segue.protocols import holdout
from segue.protocols.base_split import BaseSplit, OrderedSplit
from segue.protocols.holdout import GroupBy, SplitLog
from segue.validation import idle


class LastDaysSplit(BaseSplit):
    """Hold out the sessions that end in the last days of the log."""

    needs_times: ClassVar[bool] = True

    kind: Literal["last-days"] = "last-days"
    test_days: float = Field(1.0, gt=0)
    """Length of the test part in days of 24 hours."""
    valid_days: float = Field(1.0, ge=0)
    """Length of the validation part, which lies before it; 0 holds out none."""

    @property
    def has_validation(self) -> bool:
        """Whether the validation part has any length."""
        return self.valid_days > 0

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out the sessions that end in the last ``test_days``."""
        return holdout.last_days(log, self.test_days)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out those of the rest that end in its last ``valid_days``."""
        return holdout.last_days(log, self.valid_days)


class LastEventSplit(OrderedSplit):
    """Hold out one or two events of each session."""

    kind: Literal["last-event"] = "last-event"
    leave: Literal["valid_and_test", "valid_only", "test_only"] = "valid_and_test"
    """valid_and_test: the last event is for the test, the one before it for validation. valid_only: the last event is
    for both. test_only: the last event is for the test, and there is no validation part."""
    baskets: bool = False
    """Instead of the last event hold out the last basket, all events with the time of the last one."""

    @field_validator("baskets")
    @classmethod
    def _baskets_in_order(cls, baskets: bool, info: Any) -> bool:
        if baskets and info.data.get("order") == "random":
            raise idle("with order=random, where single events are drawn", "remove it, or set order=time")
        return baskets

    @property
    def keeps_baskets(self) -> bool:
        """Whether baskets are held out."""
        return self.baskets

    @property
    def has_validation(self) -> bool:
        """Whether an event is left for validation."""
        return self.leave != "test_only"

    @property
    def test_is_disjoint(self) -> bool:
        """Whether test and validation have an event each."""
        return self.leave != "valid_only"

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out an event of each session that keeps one for training; shorter sessions are trained on only."""
        return self._last(log, 3 if self.leave == "valid_and_test" else 2, None, "test")

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out the event before the tested one; or the tested one, or none, where only one event is left out."""
        if self.leave == "valid_and_test":
            return self._last(log, 2, test["session"], "valid")
        return SplitLog(log, test if self.leave == "valid_only" else log.clear())

    def _last(self, log: pl.DataFrame, least: int, among: pl.Series | None, part: str) -> SplitLog:
        if self.baskets:
            return holdout.last_basket(log, least, among)
        return holdout.last_event(log, least, among, self._draw(part))

    def hashed_parameters(self, *, validated: bool) -> dict[str, Any]:
        """Return the parameters that change a figure, without baskets where there are none."""
        values = super().hashed_parameters(validated=validated)
        return values if self.baskets else {name: value for name, value in values.items() if name != "baskets"}


class RatioSplit(BaseSplit):
    """Hold out a share of the sessions."""

    kind: Literal["ratio"] = "ratio"
    test_share: float = Field(0.1, gt=0, lt=1)
    """Share of the sessions that are held out for the test, those that end last."""
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Share of the remaining sessions that are held out for validation; 0 holds out none."""

    @property
    def has_validation(self) -> bool:
        """Whether any share is held out for validation."""
        return self.valid_share > 0

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out the last ``test_share`` of the sessions."""
        return holdout.last_share(log, self.test_share)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out the last ``valid_share`` of the remaining sessions."""
        return holdout.last_share(log, self.valid_share)


class EventRatioSplit(OrderedSplit):
    """Hold out shares of the events."""

    kind: Literal["event-ratio"] = "event-ratio"
    ratios: tuple[float, float, float] = (8.0, 1.0, 1.0)
    """Shares of the events for training, validation and test, on any scale; 0 holds out none."""
    group_by: GroupBy = "user"
    """Whether shares are taken of the events of each user (or session), or of all events together."""

    @field_validator("ratios")
    @classmethod
    def _something_held_out(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(map(math.isfinite, ratios)) or min(ratios) < 0 or ratios[0] == 0 or ratios[2] == 0:
            raise ValueError("three shares of 0 or more, those of training and test above 0")
        return ratios

    @field_validator("group_by", mode="before")
    @classmethod
    def _none_is_a_choice(cls, group_by: object) -> object:
        """On a command line ``none`` means no value everywhere else."""
        return "none" if group_by is None else group_by

    @property
    def has_validation(self) -> bool:
        """Whether any share is held out for validation."""
        return self.ratios[1] > 0

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out the third share of each group."""
        return holdout.share_of_events(
            log, lambda sizes: holdout.share_sizes(sizes, self.ratios)[1], self.group_by, self._draw("test")
        )

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out the second share of each group, by its size before the test was held out."""
        number = holdout.validation_sizes(log, test, self.ratios, self.group_by)
        return holdout.share_of_events(log, lambda _: number, self.group_by, self._draw("valid"))

    def hashed_parameters(self, *, validated: bool) -> dict[str, Any]:
        """Return the parameters that change a figure, the ratios on one scale."""
        shares = [round(share / sum(self.ratios), 12) for share in self.ratios]
        return {**super().hashed_parameters(validated=validated), "ratios": shares}


class GlobalTimeSplit(BaseSplit):
    """Hold out the events after one moment, the same for everyone."""

    needs_times: ClassVar[bool] = True
    divides_sessions: ClassVar[bool] = True

    kind: Literal["global-time"] = "global-time"
    test_from: datetime | None = None
    """The first moment of the test part (ISO 8601, UTC); none takes the last test_share of the events."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Share of the events that are held out for the test, unless test_from is set."""
    valid_from: datetime | None = None
    """With test_from: the first moment of the validation part; none holds out nothing for it."""
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Without test_from: share of the remaining events that are held out for validation; 0 holds out none."""

    _in_utc = field_validator("test_from", "valid_from")(holdout.in_utc)

    @field_validator("test_share", "valid_share")
    @classmethod
    def _share_or_moment(cls, share: float, info: Any) -> float:
        if info.data.get("test_from") is not None and share != cls.model_fields[info.field_name].default:
            raise idle("beside test_from, which decides what is held out", "remove one of them")
        return share

    @field_validator("valid_from")
    @classmethod
    def _valid_before_test(cls, moment: datetime | None, info: Any) -> datetime | None:
        test = info.data.get("test_from")
        if moment is not None and test is None and "test_from" in info.data:
            raise idle("without test_from", "set test_from too, or valid_share instead")
        if moment is not None and test is not None and moment >= test:
            raise ValueError(f"a time before test_from ({test.isoformat()})")
        return moment

    @property
    def has_validation(self) -> bool:
        """Whether a moment, or a share, of validation is named."""
        return self.valid_share > 0 if self.test_from is None else self.valid_from is not None

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out the events from ``test_from`` on, or the last ``test_share`` of them."""
        if self.test_from is None:
            return holdout.last_events(log, self.test_share)
        return holdout.from_moment(log, self.test_from)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out the events from ``valid_from`` on, or the last ``valid_share`` of the rest."""
        if self.test_from is None:
            return holdout.last_events(log, self.valid_share)
        return holdout.from_moment(log, self.valid_from)


class GivenSplit(BaseSplit):
    """Take the parts that the log itself names."""

    divides_sessions: ClassVar[bool] = True

    kind: Literal["given"] = "given"
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Where the log has no validation part, and no session goes on in the test part: share of the training sessions
    that are held out for validation; 0 holds out none."""

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Take the log's own test part."""
        return holdout.given(log, "test")

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Take the log's own validation part; without one, the end of each tested history or the last sessions."""
        return holdout.given_validation(log, test, self.valid_share)


class WholeSplit(BaseSplit):
    """Test on everything; for a model that is trained already."""

    kind: Literal["whole"] = "whole"

    @property
    def has_validation(self) -> bool:
        """There is no validation part."""
        return False

    def test_part(self, log: pl.DataFrame) -> SplitLog:
        """Hold out all there is."""
        return SplitLog(log.clear(), log)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame) -> SplitLog:
        """Hold out nothing."""
        return SplitLog(log, log.clear())


Split = Annotated[
    LastDaysSplit | LastEventSplit | RatioSplit | EventRatioSplit | GlobalTimeSplit | GivenSplit | WholeSplit,
    Field(discriminator=KIND),
]
"""Any of the splits, told apart by ``kind``."""

SPLITS: Mapping[str, type[BaseSplit]] = {
    split.model_fields[KIND].default: split for split in get_args(get_args(Split)[0])
}
"""The splits by kind."""
