"""What a model is asked for a session, and what it answers."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from segue.serving.sessions import Value

Fallback = Literal["empty-session", "unknown-items", "cold-items"]
"""Why popular items are listed."""


class Query(NamedTuple):
    """A session to rank items for.

    Attributes:
        items: raw ids, oldest first.
        k: length of the list.
        times: seconds since 1970 of each event; None if they are unknown.
        context: values of further columns of each event.
        exclude: raw ids that must not be listed.
        exclude_seen: whether items of the session must not be listed.
        allowed: mask over item indices; None allows all.
        now: seconds since 1970 of the event to predict, for models that read it.
        session: id of the session, under which a recurrent model keeps its state; None keeps none.
    """

    items: Sequence[str]
    k: int
    times: Sequence[int] | None = None
    context: Sequence[Mapping[str, Value] | None] | None = None
    exclude: Sequence[str] = ()
    exclude_seen: bool = False
    allowed: Bool[np.ndarray, "M"] | None = None
    now: int | None = None
    session: str | None = None


class Moved(NamedTuple):
    """What rules did to a list.

    Attributes:
        rules: for each item the names of the rules that moved it; None if none did.
        ranks: for each item its place in the list of the model, counted from 1; None if it is not among its first k.
    """

    rules: list[str | None]
    ranks: list[int | None]


class Ranked(NamedTuple):
    """The items for a session.

    Attributes:
        indices: item indices, best first.
        scores: their scores; for popular items the number of training events.
        unknown: raw ids of the session that the model does not know.
        cold: those that it knows and cannot read: items added after training without similar ones.
        fallback: why popular items are listed; None if the model ranked.
        moved: what rules did to the list; None without rules.
    """

    indices: list[int]
    scores: list[float]
    unknown: list[str]
    cold: list[str]
    fallback: Fallback | None
    moved: Moved | None = None
