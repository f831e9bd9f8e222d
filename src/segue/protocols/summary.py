"""The sizes of a log and of its most recent shares, as tutorials on YooChoose list them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from segue.data.events import Events
from segue.errors import EmptyDataError
from segue.protocols.dataset import Dataset
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol
from segue.protocols.selection import choose

SUMMARY_PROTOCOL = "gru4rec-2015"
"""The protocol of the tutorials, unless another one is named."""

SHARES = (1 / 64, 1 / 4)
"""The shares of the training events that are published for YooChoose."""


@dataclass(frozen=True)
class PartSize:
    """Sizes of one part of the log."""

    sessions: int
    clicks: int
    items: int


@dataclass(frozen=True)
class ShareSize:
    """Sizes after the training part was cut to its most recent share.

    Attributes:
        share: the share, such as ``1/64``.
        train_clicks: events that are trained on.
        test_clicks: test events on items of those events, in sessions that still have a case.
        total_clicks: both.
        item_indices: first and last item index of a model that is trained on it; the padding, 0, is not an item.
        items: number of items, all of which have events in training.
    """

    share: str
    train_clicks: int
    test_clicks: int
    total_clicks: int
    item_indices: tuple[int, int]
    items: int


@dataclass(frozen=True)
class LogSummary:
    """Sizes of a log under a protocol, validation counted as training.

    Attributes:
        protocol: name of the protocol.
        train: the training part.
        test: the test part after filtering.
        shares: of each share that leaves something to train and to test on.
        problems: the other shares, and why they leave nothing.
        holds_out_validation: whether a run under the protocol takes a validation part away from training.
        notes: how the log was read and prepared.
    """

    protocol: str
    train: PartSize
    test: PartSize
    shares: tuple[ShareSize, ...]
    problems: Mapping[str, str]
    holds_out_validation: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return asdict(self)


def summarise(events: Events, protocol: str | None = None, parameters: Mapping[str, Any] | None = None) -> LogSummary:
    """Count a log, its test part, and its most recent shares.

    Args:
        events: the raw log.
        protocol: name of the protocol; None takes ``gru4rec-2015``.
        parameters: single parameters of the protocol; a ``recent_share`` is counted next to 1/64 and 1/4.

    Raises:
        UnknownNameError: there is no such protocol or parameter.
        ParameterError: parameters break their rules, or do not fit the log.
        EmptyDataError: the whole log leaves nothing to train or to test on.
    """
    chosen, notes = choose(events, protocol or SUMMARY_PROTOCOL, parameters or {})
    whole = prepare(events, _cut(chosen, 1.0))
    shares, problems = [], {}
    for share in sorted({*SHARES, chosen.cleaning.recent_share} - {1.0}):
        name = str(Fraction(share).limit_denominator(1000))
        try:
            shares.append(_share_size(name, prepare(events, _cut(chosen, share))))
        except EmptyDataError as error:
            problems[name] = str(error)
    return LogSummary(
        protocol=chosen.name,
        train=_part_size(whole, "train"),
        test=_part_size(whole, "test"),
        shares=tuple(shares),
        problems=problems,
        holds_out_validation="hold-out-valid" in chosen.cleaning.order and chosen.split.has_validation,
        notes=(*events.notes, *notes),
    )


def _cut(protocol: Protocol, share: float) -> Protocol:
    """Return a protocol that trains on the most recent share, with no validation part."""
    split = type(protocol.split).model_fields
    return protocol.changed(
        {
            "cleaning": {"order": list(_without_validation(protocol)), "recent_share": share},
            "split": {name: field.default for name, field in split.items() if name.startswith("valid_")},
        }
    )


def _without_validation(protocol: Protocol) -> Iterator[str]:
    return (step for step in protocol.cleaning.order if step != "hold-out-valid")


def _part_size(data: Dataset, part: str) -> PartSize:
    last = [stage for stage in data.stages if stage.part == part][-1].statistics
    return PartSize(last.sessions, last.events, last.items)


def _share_size(share: str, data: Dataset) -> ShareSize:
    train, test, items = _part_size(data, "train"), _part_size(data, "test"), len(data.vocabulary)
    return ShareSize(share, train.clicks, test.clicks, train.clicks + test.clicks, (1, items), items)
