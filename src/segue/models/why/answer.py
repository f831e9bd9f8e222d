"""What is known of the scores of one session, as data; nothing here imports a model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import fsum
from typing import Any, Literal

from segue.data.vocabulary import RawId

MOST_PARTS = 10
"""Parts of a score that are listed one by one; the others are added up."""

_ZERO = 1e-12
"""Effects below this share of the largest one of an item are none."""


@dataclass(frozen=True)
class ExplainedEvent:
    """An event of the session."""

    item: RawId
    name: str | None


@dataclass(frozen=True)
class Part:
    """A summand of a score.

    Attributes:
        kind: what it is: the share of one model in a blend (model), the vote of a similar session (neighbour), a rule
            from an item to another one, what happened earlier in this session (history), the share of one event in a
            linear model (event), what does not depend on the session (popularity, bias), a value of the context, the
            place in a list (rank), the order among equal scores (tie), or the sum of all smaller parts (others).
        source: the same in words.
        value: the summand.
        items: items of the neighbour, or the first item of the rule.
        events: the events that it comes from, by their place in ``Why.events``.
        count: number of summands, which is 1 but for the others.
    """

    kind: Literal[
        "model", "neighbour", "rule", "history", "event", "popularity", "bias", "context", "rank", "tie", "others"
    ]
    source: str
    value: float
    items: tuple[RawId, ...] = ()
    events: tuple[int, ...] = ()
    count: int = 1


@dataclass(frozen=True)
class ExplainedItem:
    """Why an item has its score.

    Attributes:
        item: its id.
        name: its name, if the items have names.
        score: its score.
        parts: summands of the score, the largest first; None for a model whose scores are no sums.
        without: for each event the score minus the score of the session without it.
    """

    item: RawId
    name: str | None
    score: float
    parts: tuple[Part, ...] | None
    without: tuple[float, ...]

    def effects(self, most: int) -> list[tuple[int, float]]:
        """Return the events with the largest effects on the score, and these effects, the largest first."""
        least = _ZERO * max(map(abs, self.without), default=0.0)
        order = sorted(range(len(self.without)), key=lambda event: -abs(self.without[event]))
        return [(event, self.without[event]) for event in order[:most] if abs(self.without[event]) > least]


@dataclass(frozen=True)
class AttentionWeights:
    """The weights that one attention head gives to the events of a session, at its last position.

    Attributes:
        name: for example ``layer 1, head 2``.
        weights: one per event; 0 for an event that the network did not read.
        rest: weight of what is no event, such as the mask of BERT4Rec.
    """

    name: str
    weights: tuple[float, ...]
    rest: float = 0.0


@dataclass(frozen=True)
class Why:
    """Why some items have their scores in one session.

    Attributes:
        source: ``model``, or ``popularity`` where the model knows no event of the session.
        events: the events that the model can read, oldest first; of a long session the most recent ones.
        older: number of events before them.
        unknown: items of the session that the model does not know, which are ignored.
        items: the items, in the order of the list or of the request.
        attention: attention weights of the forward pass; None for a model without attention.
    """

    source: Literal["model", "popularity"]
    events: tuple[ExplainedEvent, ...]
    older: int
    unknown: tuple[RawId, ...]
    items: tuple[ExplainedItem, ...]
    attention: tuple[AttentionWeights, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def shorten(parts: Sequence[Part], most: int, what: str) -> list[Part]:
    """Return the largest parts, and in one more part the sum of the others.

    Args:
        parts: the parts.
        most: parts to keep; one more is kept if it is the only other one.
        what: name of the others.
    """
    last = [part for part in parts if part.kind in {"others", "tie"}]
    ordered = sorted((part for part in parts if part.kind not in {"others", "tie"}), key=lambda part: -abs(part.value))
    if len(ordered) <= most + 1:
        return [*ordered, *last]
    return [*ordered[:most], others([part.value for part in ordered[most:]], what), *last]


def others(values: Sequence[float], what: str) -> Part:
    """Return the sum of some parts as one."""
    return Part("others", f"{len(values)} other {what}", fsum(values), count=len(values))
