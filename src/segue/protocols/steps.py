"""The tables of steps: what each name in a protocol does, and which parameters ask for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segue.data.events import SessionBounds
from segue.protocols import cleaning as clean
from segue.protocols import splits as split
from segue.protocols.cleaning import Cleaned
from segue.protocols.protocol import Protocol, SplitName
from segue.protocols.splits import HeldOut
from segue.rng import generator


@dataclass(frozen=True)
class Step:
    """A cleaning step.

    Attributes:
        run: a function of the log and of the parameters that are set.
        parameters: the parameters of the protocol that ask for the step; a step without any always runs.
        needs_time: the step makes no sense on a log without times.
    """

    run: Callable[..., Cleaned]
    parameters: tuple[str, ...] = ()
    needs_time: bool = False

    def settings(self, protocol: Protocol) -> dict[str, Any]:
        """Return the parameters that are set, that is, not at the default which asks for nothing."""
        values = {name: getattr(protocol, name) for name in self.parameters}
        return {name: value for name, value in values.items() if value != Protocol.model_fields[name].default}

    def asked(self, protocol: Protocol) -> bool:
        """Tell whether the protocol asks for the step."""
        return not self.parameters or bool(self.settings(protocol))

    def __call__(self, log: pl.DataFrame, protocol: Protocol) -> Cleaned:
        """Run the step; a switch asks for it and is no argument of it."""
        settings = self.settings(protocol)
        return self.run(log, **{name: value for name, value in settings.items() if value is not True})


CLEANING: Mapping[str, Step] = {
    "incomplete": Step(clean.drop_incomplete),
    "duplicates": Step(clean.drop_duplicates, ("drop_duplicates",), needs_time=True),
    "window": Step(clean.window, ("last_days", "since", "until"), needs_time=True),
    "sessionise": Step(clean.sessionise, ("session_gap",), needs_time=True),
    "repeats": Step(clean.drop_repeats, ("drop_repeats",)),
    "revisits": Step(clean.drop_revisits, ("revisits",)),
    "values": Step(clean.keep_values, ("value_interval", "value_among")),
    "max-length": Step(clean.drop_long_sessions, ("max_length",)),
    "activity": Step(clean.keep_active, ("session_interval", "item_interval")),
    "k-core": Step(clean.drop_outside_core, ("k_core",)),
    "recent-share": Step(clean.keep_recent, ("recent_share",)),
    "min-support": Step(clean.drop_rare_items, ("min_support",)),
    "min-length": Step(clean.drop_short_sessions, ("min_length",)),
}
"""Steps on the log, and, after the test part is held out, on what is left for training."""


@dataclass(frozen=True)
class Split:
    """A rule that holds out test and validation.

    Attributes:
        test: from the log to the test part and the rest.
        valid: from the rest, and the test part, to the validation part and what is left for training.
        parameters: the parameters of the protocol that the test part depends on.
        valid_parameters: those that matter only where a validation part is held out.
        validates: tells whether the protocol asks for a validation part.
        needs_time: the rule makes no sense on a log without times.
    """

    test: Callable[[pl.DataFrame, Protocol], HeldOut]
    valid: Callable[[pl.DataFrame, Protocol, pl.DataFrame], HeldOut]
    parameters: tuple[str, ...] = ()
    valid_parameters: tuple[str, ...] = ()
    validates: Callable[[Protocol], bool] = lambda _: True
    needs_time: bool = False


def _draw(protocol: Protocol, part: str) -> np.random.Generator | None:
    """Return what draws the events to hold out; None where they are the last ones."""
    return generator(protocol.split_seed, "split", part) if protocol.order == "random" else None


def _given_valid(log: pl.DataFrame, protocol: Protocol, test: pl.DataFrame) -> HeldOut:
    """Take the log's own validation part; without one, the end of each tested history or the last sessions."""
    own = split.given(log, "valid")
    if not own.held.is_empty():
        return own
    if split.continues(log, test):
        return split.last_event(log, 2, test["session"])
    return split.last_share(log, protocol.valid_share)


def _last_event_valid(log: pl.DataFrame, protocol: Protocol, test: pl.DataFrame) -> HeldOut:
    """Take the event before the tested one; or the tested one, or none, where only one event is left out."""
    if protocol.leave == "valid_and_test":
        return split.last_event(log, 2, test["session"], _draw(protocol, "valid"))
    return HeldOut(log, test if protocol.leave == "valid_only" else log.clear())


def _from_moment_valid(log: pl.DataFrame, protocol: Protocol, _test: pl.DataFrame) -> HeldOut:
    if protocol.test_from is None:
        return split.last_events(log, protocol.valid_share)
    return split.from_moment(log, protocol.valid_from)


def _event_share_test(log: pl.DataFrame, protocol: Protocol) -> HeldOut:
    return split.share_of_events(
        log,
        lambda sizes: split.share_sizes(sizes, protocol.ratios)[1],
        protocol.group_by,
        _draw(protocol, "test"),
    )


def _event_share_valid(log: pl.DataFrame, protocol: Protocol, test: pl.DataFrame) -> HeldOut:
    """Hold out of each group what its size before the test was held out says."""
    if protocol.group_by == "none":
        sizes, before = np.array([log.height]), np.array([log.height + test.height])
    else:
        tested = dict(test.group_by("session").len().iter_rows())
        runs = SessionBounds.of(log)
        sizes, sessions = runs.lengths, log["session"].gather(runs.starts)
        before = sizes + np.array([tested.get(session, 0) for session in sessions], dtype=np.int64)
    # A step that dropped events since the test was held out must not leave validation with more than its share.
    most = np.ceil(protocol.ratios[1] / sum(protocol.ratios[:2]) * sizes - 1e-9).astype(np.int64)
    number = np.minimum(split.share_sizes(before, protocol.ratios)[0], np.minimum(most, np.maximum(sizes - 1, 0)))
    return split.share_of_events(
        log,
        lambda _: number,
        protocol.group_by,
        _draw(protocol, "valid"),
    )


SPLITS: Mapping[SplitName, Split] = {
    "last-days": Split(
        test=lambda log, protocol: split.last_days(log, protocol.test_days),
        valid=lambda log, protocol, _: split.last_days(log, protocol.valid_days),
        parameters=("test_days",),
        valid_parameters=("valid_days",),
        validates=lambda protocol: protocol.valid_days > 0,
        needs_time=True,
    ),
    # One event at least stays for training, so whoever has too few is never tested, and trained on only.
    "last-event": Split(
        test=lambda log, protocol: split.last_event(
            log, 3 if protocol.leave == "valid_and_test" else 2, rng=_draw(protocol, "test")
        ),
        valid=_last_event_valid,
        parameters=("leave", "order", "split_seed"),
        valid_parameters=("feed_valid",),
        validates=lambda protocol: protocol.leave != "test_only",
    ),
    "ratio": Split(
        test=lambda log, protocol: split.last_share(log, protocol.test_share),
        valid=lambda log, protocol, _: split.last_share(log, protocol.valid_share),
        parameters=("test_share",),
        valid_parameters=("valid_share",),
        validates=lambda protocol: protocol.valid_share > 0,
    ),
    "event-ratio": Split(
        test=_event_share_test,
        valid=_event_share_valid,
        parameters=("ratios", "group_by", "order", "split_seed"),
        valid_parameters=("feed_valid",),
        validates=lambda protocol: protocol.ratios[1] > 0,
    ),
    "global-time": Split(
        test=lambda log, protocol: (
            split.last_events(log, protocol.test_share)
            if protocol.test_from is None
            else split.from_moment(log, protocol.test_from)
        ),
        valid=_from_moment_valid,
        parameters=("test_share", "test_from"),
        valid_parameters=("valid_share", "valid_from", "feed_valid"),
        validates=lambda protocol: (
            protocol.valid_share > 0 if protocol.test_from is None else protocol.valid_from is not None
        ),
        needs_time=True,
    ),
    "given": Split(
        test=lambda log, _: split.given(log, "test"),
        valid=_given_valid,
        valid_parameters=("valid_share", "feed_valid"),
    ),
    "whole": Split(
        test=lambda log, _: HeldOut(log.clear(), log),
        valid=lambda log, _protocol, _test: HeldOut(log, log.clear()),
        validates=lambda _: False,
    ),
}
"""How test and validation are held out."""
