"""What a model is asked: the session and the bounds of a request, as this model reads them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from segue.errors import ParameterError
from segue.serving.ranking import Query
from segue.serving.schema.messages import Mistake, RecommendRequest
from segue.serving.served_model import ServedModel
from segue.serving.sessions import Event


def mask_of(served: ServedModel, request: RecommendRequest, problems: list[Mistake]) -> Bool[np.ndarray, "M"] | None:
    """Return the items that the filter of a request allows; None allows all."""
    if request.filter is None:
        return None
    try:
        return served.mask(request.filter)
    except ParameterError as error:
        problems.append(Mistake("/filter", str(error)))
        return None


def query_of(
    served: ServedModel,
    request: RecommendRequest,
    events: Sequence[Event],
    exclude: list[str],
    allowed: Bool[np.ndarray, "M"] | None,
    now: int,
    session_id: str | None,
) -> Query:
    """Return what a model is asked: the events of a session as far as its rules read them."""
    read = served.rules.read(events)
    timed = request.items is None or request.times is not None
    return Query(
        [event.item for event in read],
        request.k,
        [event.time // 1000 for event in read] if timed else None,
        [event.context for event in read] if served.model.context_columns else None,
        exclude,
        served.excludes_seen if request.exclude_seen is None else request.exclude_seen,
        allowed,
        now // 1000,
        session_id,
    )
