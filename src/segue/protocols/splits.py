"""The splits of a protocol: how test and validation are held out, each with its own parameters."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, get_args

import polars as pl
from pydantic import Field, field_validator

from segue.data.partitions import PartitionedLog
from segue.parameters import KIND
from segue.protocols import facts, holdout
from segue.protocols.base_split import BaseSplit, OrderedSplit
from segue.protocols.facts import Facts
from segue.protocols.holdout import GroupBy, SplitLog
from segue.validation import without_effect


class LastDaysSplit(BaseSplit):
    """Hold out the sessions that end in the last days of the log."""

    validation_parameter: ClassVar[str] = "valid_days"
    needs_times: ClassVar[bool] = True

    kind: Literal["last-days"] = "last-days"
    test_days: float = Field(1.0, gt=0)
    """Length of the test part in days of 24 hours."""
    valid_days: float = Field(1.0, ge=0)
    """Length of the validation part, directly before the test part, in days; 0 means no validation part."""

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the sessions that end in the last ``test_days``."""
        return holdout.last_days(log, self.test_days, **found)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the remaining sessions that end in the last ``valid_days`` of the remaining log."""
        return holdout.last_days(log, self.valid_days, **found)

    def test_facts(self, log: PartitionedLog) -> Facts:
        """Find the end of the log."""
        return facts.last_days(log)

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find the end of the remaining log."""
        return facts.last_days(log)


class LastEventSplit(OrderedSplit):
    """Hold out one or two events of each session."""

    validation_parameter: ClassVar[str] = "leave"
    overlaps_in_time: ClassVar[bool] = True
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
            raise without_effect("with order=random, where single events are sampled", "remove it, or set order=time")
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

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out an event of each session that keeps one for training; shorter ones are used for training only."""
        return self._last(log, 3 if self.leave == "valid_and_test" else 2, None, "test")

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the event before the test event; with one held-out event, the test event itself or none."""
        if self.leave == "valid_and_test":
            return self._last(log, 2, test["session"], "valid")
        return SplitLog(log, test if self.leave == "valid_only" else log.clear())

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find the events to hold out where they are random; nothing where they are the test part or none."""
        if self.leave == "valid_and_test":
            return super().validation_facts(log, test)
        return [{}] * len(log.partitions)

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
    """Share of the sessions to hold out for the test: the sessions that end last."""
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Share of the remaining sessions to hold out for validation: the sessions that end last; 0 means no validation
    part."""

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the last ``test_share`` of the sessions."""
        return holdout.last_share(log, self.test_share, **found)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the last ``valid_share`` of the remaining sessions."""
        return holdout.last_share(log, self.valid_share, **found)

    def test_facts(self, log: PartitionedLog) -> Facts:
        """Find where the last sessions begin."""
        return facts.last_share(log, self.test_share)

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find where the last of the remaining sessions begin."""
        return facts.last_share(log, self.valid_share)


class EventRatioSplit(OrderedSplit):
    """Hold out shares of the events."""

    validation_parameter: ClassVar[str] = "ratios"
    kind: Literal["event-ratio"] = "event-ratio"
    ratios: tuple[float, float, float] = (8.0, 1.0, 1.0)
    """Shares of the events for training, validation and test, on any scale; 0 means no validation part."""
    group_by: GroupBy = "user"
    """user: shares of the events of each user (or session). none: shares of all events together."""

    @field_validator("ratios")
    @classmethod
    def _something_held_out(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(map(math.isfinite, ratios)) or min(ratios) < 0 or ratios[0] == 0 or ratios[2] == 0:
            raise ValueError("three shares of 0 or more, with training and test above 0")
        return ratios

    @field_validator("group_by", mode="before")
    @classmethod
    def _none_is_a_choice(cls, group_by: object) -> object:
        """Accept None: on a command line, ``none`` usually means no value."""
        return "none" if group_by is None else group_by

    @property
    def has_validation(self) -> bool:
        """Whether any share is held out for validation."""
        return self.ratios[1] > 0

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the third share of each group."""
        return holdout.share_of_events(
            log, lambda sizes: holdout.share_sizes(sizes, self.ratios)[1], self.group_by, self._draw("test")
        )

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the second share of each group, by its size before the test was held out."""
        number = holdout.validation_sizes(log, test, self.ratios, self.group_by)
        return holdout.share_of_events(log, lambda _: number, self.group_by, self._draw("valid"))

    @property
    def _splits_each_session(self) -> bool:
        """Whether the events to hold out of a session do not depend on other sessions."""
        return super()._splits_each_session and self.group_by == "user"

    def hashed_parameters(self, *, validated: bool) -> dict[str, Any]:
        """Return the parameters that affect results, with ratios that add up to 1."""
        shares = [round(share / sum(self.ratios), 12) for share in self.ratios]
        return {**super().hashed_parameters(validated=validated), "ratios": shares}


class GlobalTimeSplit(BaseSplit):
    """Hold out the events after one moment, which is the same for all users."""

    needs_times: ClassVar[bool] = True
    divides_sessions: ClassVar[bool] = True

    kind: Literal["global-time"] = "global-time"
    test_from: datetime | None = None
    """Start of the test part (ISO 8601, UTC); none holds out the last test_share of the events."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Share of the events to hold out for the test; used without test_from."""
    valid_from: datetime | None = None
    """Start of the validation part (ISO 8601, UTC); none means no validation part. Used with test_from."""
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Share of the remaining events to hold out for validation; 0 means no validation part. Used without test_from."""

    _in_utc = field_validator("test_from", "valid_from")(holdout.in_utc)

    @field_validator("test_share", "valid_share")
    @classmethod
    def _share_or_moment(cls, share: float, info: Any) -> float:
        if info.data.get("test_from") is not None and share != cls.model_fields[info.field_name].default:
            raise without_effect("with test_from, which decides what is held out", "remove one of them")
        return share

    @field_validator("valid_from")
    @classmethod
    def _valid_before_test(cls, moment: datetime | None, info: Any) -> datetime | None:
        test = info.data.get("test_from")
        if moment is not None and test is None and "test_from" in info.data:
            raise without_effect("without test_from", "also set test_from, or set valid_share instead")
        if moment is not None and test is not None and moment >= test:
            raise ValueError(f"a time before test_from ({test.isoformat()})")
        return moment

    @property
    def has_validation(self) -> bool:
        """Whether a moment or a share for validation is set."""
        return self.valid_share > 0 if self.test_from is None else self.valid_from is not None

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the events from ``test_from`` on, or the last ``test_share`` of them."""
        if self.test_from is None:
            return holdout.last_events(log, self.test_share, **found)
        return holdout.from_moment(log, self.test_from)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the events from ``valid_from`` on, or the last ``valid_share`` of the rest."""
        if self.test_from is None:
            return holdout.last_events(log, self.valid_share, **found)
        return holdout.from_moment(log, self.valid_from)

    def test_facts(self, log: PartitionedLog) -> Facts:
        """Find the moment from which the last share of the events is held out."""
        return super().test_facts(log) if self.test_from else facts.last_events(log, self.test_share)

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find the moment from which the last share of the remaining events is held out."""
        return super().validation_facts(log, test) if self.test_from else facts.last_events(log, self.valid_share)


class GivenSplit(BaseSplit):
    """Use the predefined split of the log."""

    divides_sessions: ClassVar[bool] = True

    kind: Literal["given"] = "given"
    valid_share: float = Field(0.05, ge=0, lt=1)
    """Share of the training sessions to hold out for validation, if the log has no validation part and no session
    continues in the test part; 0 means no validation part."""

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the predefined test part."""
        return holdout.given(log, "test")

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out the predefined validation part; without one, the end of each tested history or the last sessions."""
        return holdout.given_validation(log, test, self.valid_share, **found)

    def validation_facts(self, log: PartitionedLog, test: PartitionedLog) -> Facts:
        """Find the rule that applies, and where the last sessions begin."""
        return facts.given_validation(log, test, self.valid_share)


class WholeSplit(BaseSplit):
    """Test on the whole log; for models that are already fitted."""

    kind: Literal["whole"] = "whole"

    def test_part(self, log: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out all events."""
        return SplitLog(log.clear(), log)

    def validation_part(self, log: pl.DataFrame, test: pl.DataFrame, **found: Any) -> SplitLog:
        """Hold out nothing."""
        return SplitLog(log, log.clear())


Split = Annotated[
    LastDaysSplit | LastEventSplit | RatioSplit | EventRatioSplit | GlobalTimeSplit | GivenSplit | WholeSplit,
    Field(discriminator=KIND),
]
"""Union of the splits, discriminated by ``kind``."""

SPLITS: Mapping[str, type[BaseSplit]] = {
    split.model_fields[KIND].default: split for split in get_args(get_args(Split)[0])
}
"""The splits by kind."""
