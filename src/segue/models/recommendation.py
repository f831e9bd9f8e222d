"""Recommendations for current sessions, and models that follow a session event by event."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64
from torch import Tensor

from segue.data.indices import whole_number
from segue.data.sessions import Prefixes, Upcoming
from segue.data.vocabulary import PADDING, RawId, Vocabulary
from segue.errors import ArtifactError
from segue.models.requests import Allowed, EventContext, Excluded, encode_sessions

Mask = Bool[np.ndarray, "M"] | None
TopK = Callable[[Prefixes, int, Mask, Prefixes | None], tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]]
"""``Model._top_k``: prefixes, k, allowed and excluded items -> item indices and scores."""


class Listed(NamedTuple):
    """The best items of some prefixes.

    Attributes:
        items: item indices, best first.
        values: their scores.
        score: scores further items of the same prefixes.
    """

    items: Int64[np.ndarray, "B k"]
    values: Float32[np.ndarray, "B k"]
    score: Callable[[Int64[np.ndarray, "B C"]], Float32[Tensor, "B C"]]


@dataclass(frozen=True)
class Recommendation:
    """The recommended items of one current session.

    Attributes:
        items: raw item ids, best first.
        scores: their scores, on the model's own scale.
        unknown: unknown items of the session, which are ignored.
        source: ``"model"``, or ``"popularity"`` if no item of the session is known.
        cold: the recommended items that were added after training, and the source of their score: ``"similar
            items"``, or ``"fallback"`` for an item without similar ones, which is ranked behind all others.
    """

    items: list[RawId]
    scores: list[float]
    unknown: list[RawId]
    source: Literal["model", "popularity"]
    cold: dict[RawId, str] = field(default_factory=dict)


def list_length(k: int | None, vocabulary: Vocabulary, usual: int, name: str = "k") -> int:
    """Return the number of items to recommend: the usual one, or all that there are, if none is given.

    Raises:
        ParameterError: ``k`` is not between 1 and the number of items.
    """
    known = len(vocabulary)
    if k is None:
        return min(usual, known)
    return whole_number(k, name, f"must be between 1 and the {known} known items", 1, known)


def recommend_sessions(
    vocabulary: Vocabulary,
    top_k: TopK,
    sessions: Sequence[Sequence[RawId]],
    k: int,
    *,
    exclude_seen: bool,
    allowed: Mask,
    context: EventContext,
    upcoming: Upcoming | None = None,
) -> list[Recommendation]:
    """Recommend items for current sessions; the most popular items if no item of a session is known.

    Args:
        vocabulary: the catalogue.
        top_k: lists the best items of prefixes that are not empty.
        sessions: the raw ids of each session.
        k: number of items.
        exclude_seen: whether to exclude the items of the session.
        allowed: mask of the items that may be recommended; None for all.
        context: see ``encode_sessions``.
        upcoming: what is known of the event to predict in each session.

    Raises:
        ArtifactError: scores of the model are not finite.
    """
    encoded = [vocabulary.index(session) for session in sessions]
    prefixes = replace(encode_sessions(encoded, vocabulary, context), upcoming=upcoming)
    seen = [[item for item in session if item] for session in encoded]
    exclude = Prefixes.from_lists([np.array(one, dtype=np.int32) for one in seen]) if exclude_seen else None
    items, scores = best_items(vocabulary, top_k, prefixes, k, allowed, exclude)
    empty = prefixes.lengths == 0
    answers: list[Recommendation] = []
    available = len(vocabulary) if allowed is None else int(allowed[1:].sum())
    for session, indices, row, values, fallback in zip(
        sessions, encoded, items.tolist(), scores.tolist(), empty.tolist(), strict=True
    ):
        listed = row[: row.index(PADDING)] if PADDING in row else row
        least = min(k, available - (len(set(indices)) if exclude_seen else 0))  # NaN is never listed.
        if len(listed) < least or not all(map(isfinite, values[: len(listed)])):
            raise ArtifactError(
                f"the model: its scores for session {len(answers) + 1} are not finite, so its arrays are damaged; "
                "train it again"
            )
        answers.append(
            Recommendation(
                items=[vocabulary.raw_ids[item] for item in listed],
                scores=values[: len(listed)],
                unknown=[item for item, index in zip(session, indices, strict=True) if not vocabulary.is_known(index)],
                source="popularity" if fallback else "model",
                cold=vocabulary.cold(listed, fallback=fallback),
            )
        )
    return answers


def best_items(
    vocabulary: Vocabulary, top_k: TopK, prefixes: Prefixes, k: int, allowed: Mask, exclude: Prefixes | None
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the best items of sessions; of a session without events the most popular ones, scored by their support.

    Args:
        vocabulary: the catalogue.
        top_k: lists the best items of prefixes that are not empty.
        prefixes: B sessions.
        k: number of items.
        allowed: mask of the items that may be listed; None for all.
        exclude: items that must not be listed, for each session; None for none.

    Returns:
        Item indices and scores; a row with fewer than k candidates ends in item 0.
    """
    empty = prefixes.lengths == 0
    if not empty.any():
        return top_k(prefixes, k, allowed, exclude)
    items = np.zeros((len(prefixes), k), dtype=np.int64)
    scores = np.zeros((len(prefixes), k), dtype=np.float32)
    full = np.flatnonzero(~empty)
    if len(full):
        items[full], scores[full] = top_k(prefixes[full], k, allowed, None if exclude is None else exclude[full])
    for place in np.flatnonzero(empty).tolist():
        seen = [] if exclude is None else exclude.items[exclude.starts[place] : exclude.ends[place]].tolist()
        best = _most_popular(vocabulary, k, allowed, seen)
        items[place, : len(best)], scores[place, : len(best)] = best, vocabulary.support[best]
    return items, scores


def _most_popular(vocabulary: Vocabulary, k: int, allowed: Mask, seen: Sequence[int]) -> list[int]:
    items = vocabulary.order.items
    leading: list[int] = (items if allowed is None else items[allowed[items]])[: k + len(seen)].tolist()
    return [item for item in leading if item not in seen][:k]


State = Any
"""The state that a recurrent model carries from event to event; opaque to its callers."""


@runtime_checkable
class Stateful(Protocol):
    """A model that reads a session event by event, and lists the best items at any moment without reading it again.

    States are immutable: ``step`` returns a new one. ``top_k_of_state`` equals ``top_k`` of the whole session, up to
    the rounding of float32.
    """

    def initial_state(self, rows: int = 1) -> State:
        """Return the state of sessions without events."""

    def step(self, state: State, items: Int[np.ndarray, "B"]) -> State:
        """Return the state after one more event of each session."""

    def join(self, states: Sequence[State]) -> State:
        """Return one state of all sessions of several states."""

    def split(self, state: State) -> list[State]:
        """Return a state of each session alone."""

    def top_k_of_state(
        self, state: State, k: int, *, allowed: Allowed | None = None, exclude: Excluded | None = None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items of each session; see ``Model.top_k``."""
