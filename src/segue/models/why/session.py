"""The explanation of the scores of one session; models contribute ``_parts`` and ``_attention``."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64

from segue.data.sessions import Prefixes, gather
from segue.data.vocabulary import RawId
from segue.errors import ArtifactError, ParameterError
from segue.models.recommendation import list_length
from segue.models.requests import (
    EventContext,
    Session,
    encode_sessions,
    encode_upcoming,
    event_context,
    known_items,
    session_lists,
)
from segue.models.why.answer import MOST_PARTS, AttentionWeights, ExplainedEvent, ExplainedItem, Part, Why, shorten

if TYPE_CHECKING:
    from segue.models.base import Model

MAX_EVENTS = 100
"""Most recent events of a session whose effects are computed."""

_SCORES_AT_ONCE = 16_000_000


def why(
    model: "Model",
    session: Session,
    items: Session | None = None,
    *,
    k: int | None = None,
    exclude_seen: bool = False,
    allowed: Session | None = None,
    exclude: Session | None = None,
    context: EventContext | None = None,
    upcoming: EventContext | None = None,
) -> Why:
    """Explain the scores of items in one session.

    For each item: the parts that its score is the sum of, where the model has some (votes of similar sessions, rules,
    events of a linear model), and the effect of each event, the score minus the score of the session without it. For
    networks with attention also the attention weights of the forward pass.

    Args:
        model: a fitted model.
        session: item ids or unique item names, oldest first; ``[]`` for a session without events.
        items: ids or names of the items to explain; None explains the ``k`` recommended ones.
        k: number of recommended items; by default 5, or all that the model knows if these are fewer.
        exclude_seen: see ``Model.recommend``.
        allowed: see ``Model.recommend``.
        exclude: see ``Model.recommend``.
        context: further values of each event; see ``Model.recommend``.
        upcoming: what is known of the event to predict; see ``Model.recommend``.

    Raises:
        ParameterError: ``items`` is empty or holds an unknown item, or ``Model.recommend`` would refuse an argument.
    """
    model._require_fitted()
    vocabulary = model.vocabulary
    lists, several = session_lists(session)
    if lists and several:
        raise ParameterError(f"session: must be the item ids of one session, got {session!r}")
    raw = lists[0] if lists else []
    indices = vocabulary.index(raw)
    if items is None:
        k = list_length(k, vocabulary, 5)
        filters: dict[str, Any] = {"exclude_seen": exclude_seen, "allowed": allowed, "exclude": exclude}
        if raw:
            answer = model.recommend(list(raw), k, **filters, context=context, upcoming=upcoming)
        else:
            (answer,) = model.recommend([list(raw)], k, **filters)
        listed = vocabulary.index(answer.items)
    else:
        listed = list(dict.fromkeys(known_items(vocabulary, items, "items")))
        if not listed:
            raise ParameterError("items: must name at least one item to explain, got []; leave it out for a list")
    columns = event_context(context, several=False, model=model.name, known=model.context_columns)
    prefixes = encode_sessions([indices], vocabulary, columns if raw else {})
    ahead_of = encode_upcoming(upcoming, 1, several=False, model=model.name, known=model.upcoming_columns)
    unknown = [one for one, index in zip(raw, indices, strict=True) if not vocabulary.is_known(index)]
    return why_prefix(model, replace(prefixes, upcoming=ahead_of), listed, unknown=unknown)


def why_prefix(
    model: "Model",
    prefixes: Prefixes,
    items: Sequence[int],
    *,
    unknown: Sequence[RawId] = (),
    ids: Sequence[RawId] | None = None,
    names: Sequence[str] | None = None,
) -> Why:
    """Explain the scores of items, given as indices; see ``why``.

    Args:
        model: the model.
        prefixes: one session, without events that the model cannot read.
        items: item indices.
        unknown: items of the session that were left out.
        ids: id of each item index, as the answer shows it; None for the raw ids.
        names: name of each item index; None for those of the model.

    Raises:
        ArtifactError: scores are not finite.
    """
    vocabulary = model.vocabulary
    ids = vocabulary.raw_ids if ids is None else ids
    if names is None and vocabulary.names.column is not None:
        names = vocabulary.names.names

    def name(index: int) -> str | None:
        return None if names is None else names[index]

    length = int(prefixes.lengths[0])
    if not length:
        counts = vocabulary.support
        found = [
            ExplainedItem(ids[item], name(item), score, (Part("popularity", "number of training events", score),), ())
            for item in items
            for score in [float(counts[item])]
        ]
        return Why("popularity", (), 0, tuple(unknown), tuple(found), None)
    read = min(length, MAX_EVENTS)
    older = length - read
    chosen = np.array(items, dtype=np.int64)
    scores = _score_without_each(model, prefixes, chosen, read)
    if not np.isfinite(scores).all():
        raise ArtifactError("the model: its scores for the session are not finite; train it again")
    effects = scores[0].astype(np.float64) - scores[1:]  # [read, C]
    parts = model._parts(prefixes, chosen, scores[0], MOST_PARTS)

    def as_shown(part: Part) -> Part:
        places = tuple(event - older for event in part.events if event >= older)
        return replace(part, items=tuple(ids[int(index)] for index in part.items), events=places)

    explained = []
    for column, item in enumerate(items):
        own = parts[column] if vocabulary.is_known(item) else None
        shown = None if own is None else tuple(map(as_shown, shorten(own, MOST_PARTS, "parts")))
        score, without = float(scores[0, column]), tuple(effects[:, column].tolist())
        explained.append(ExplainedItem(ids[item], name(item), score, shown, without))
    events = prefixes.items[prefixes.ends[0] - read : prefixes.ends[0]].tolist()
    return Why(
        "model",
        tuple(ExplainedEvent(ids[item], name(item)) for item in events),
        older,
        tuple(unknown),
        tuple(explained),
        tuple(_aligned(weights, read) for weights in model._attention(prefixes)) or None,
    )


def _score_without_each(
    model: "Model", prefixes: Prefixes, items: Int64[np.ndarray, "C"], read: int
) -> Float32[np.ndarray, "R C"]:
    """Score items for a session (row 0), and for the session without each of its ``read`` most recent events."""
    rows = without_each(prefixes, read)
    at_once = max(1, _SCORES_AT_ONCE // (len(model.vocabulary) + 1))
    columns = np.tile(items, (len(rows), 1))
    parts = [
        model.score_items(rows[start : start + at_once], columns[start : start + at_once]).cpu().numpy()
        for start in range(0, len(rows), at_once)
    ]
    return np.concatenate(parts)


def without_each(prefixes: Prefixes, read: int) -> Prefixes:
    """Return a session, and the session without each of its ``read`` most recent events, the oldest of them first."""
    start, length = int(prefixes.starts[0]), int(prefixes.lengths[0])
    left_out = np.arange(length - read, length)[:, None]
    others = np.arange(length - 1)
    events = start + np.concatenate([np.arange(length), (others + (others >= left_out)).ravel()])
    lengths = np.array([length, *[length - 1] * read], dtype=np.int64)
    ends = np.cumsum(lengths)
    upcoming = prefixes.upcoming and replace(prefixes.upcoming, events=np.repeat(prefixes.upcoming.events, read + 1))
    return replace(prefixes, starts=ends - lengths, ends=ends, upcoming=upcoming, **gather(prefixes, events))


def _aligned(weights: AttentionWeights, read: int) -> AttentionWeights:
    """Return weights of the events that are shown; a network may read fewer or more."""
    own = weights.weights[-read:]
    return replace(weights, weights=(0.0,) * (read - len(own)) + own)
