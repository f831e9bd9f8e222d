"""The answer to a running session."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

from segue.data.vocabulary import PADDING, RawId, Vocabulary


@dataclass(frozen=True)
class Recommendation:
    """The answer to one running session.

    Attributes:
        items: raw item ids, best first.
        scores: their scores, on the model's own scale.
        unknown: items of the session that training has not seen, and that were ignored.
        source: ``"model"``, or ``"popularity"`` where no item of the session is known.
        cold: the recommended items that were added after training, and what their score is taken from: ``"similar
            items"``, or ``"fallback"`` for an item that is like no other, which comes behind all others.
    """

    items: list[RawId]
    scores: list[float]
    unknown: list[RawId]
    source: Literal["model", "popularity"]
    cold: dict[RawId, str] = field(default_factory=dict)


def recommendations(
    vocabulary: Vocabulary,
    sessions: Sequence[Sequence[RawId]],
    encoded: Sequence[Sequence[int]],
    items: Int64[np.ndarray, "B k"],
    scores: Float32[np.ndarray, "B k"],
    empty: Bool[np.ndarray, "B"],
) -> list[Recommendation]:
    """Return lists of item indices as answers with raw ids.

    Args:
        vocabulary: the catalogue.
        sessions: the raw ids of each session.
        encoded: their item indices.
        items: the lists; one that is shorter than k ends in padding.
        scores: their scores.
        empty: where nothing of a session is known, so that the list is that of the most popular items.
    """
    answers = []
    for session, indices, row, values, fallback in zip(
        sessions, encoded, items.tolist(), scores.tolist(), empty.tolist(), strict=True
    ):
        listed = row[: row.index(PADDING)] if PADDING in row else row
        known = zip(session, indices, strict=True)
        answers.append(
            Recommendation(
                items=[vocabulary.raw_ids[item] for item in listed],
                scores=values[: len(listed)],
                unknown=[item for item, index in known if not vocabulary.is_known(index)],
                source="popularity" if fallback else "model",
                cold=vocabulary.cold(listed, fallback=fallback),
            )
        )
    return answers
