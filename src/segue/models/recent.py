"""Recent sessions for the update of a model: what they must be, and what is recorded of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segue.data.growth import UNTIL, iso_time, require_grown, trained_until
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.training.config import UpdatePlan
from segue.training.runtime import Runtime

UPDATES = "updates"
"""Fact about a model: what each of its updates added."""


@dataclass(frozen=True, eq=False)
class Given:
    """What an update is given; see ``Model.update``."""

    recent: Sessions
    plan: UpdatePlan | None
    history: Sessions | None
    seed: int
    runtime: Runtime


def facts_of(train: Sessions) -> dict[str, Any]:
    """Return the facts about a model that has learnt from some sessions up to their end."""
    if train.times is None or not len(train.times):
        return {}
    return {UNTIL: iso_time(int(train.times.max()))}


def describe_update(known: Vocabulary, recent: Sessions) -> dict[str, Any]:
    """Return what an update added: events, sessions, new items, and the times of its first and last event."""
    times = recent.times
    return {
        "events": len(recent.items),
        "sessions": len(recent),
        "items": len(recent.vocabulary) - len(known),
        "from": None if times is None else iso_time(int(times.min())),
        "to": None if times is None else iso_time(int(times.max())),
    }


def check_recent(recent: object, vocabulary: Vocabulary, about: Mapping[str, Any]) -> None:
    """Check the sessions of an update.

    Args:
        recent: the sessions.
        vocabulary: the catalogue of the model.
        about: facts about the model.

    Raises:
        ParameterError: they are not valid sessions, contain no event or one that is not later than the training, or
            their catalogue is not that of the model with new items behind.
    """
    if not isinstance(recent, Sessions):
        raise ParameterError(f"recent: must be Sessions, got {type(recent).__name__}; use segue.prepare_recent")
    recent.require_valid("recent")
    require_grown(vocabulary, recent.vocabulary, "recent")
    if not len(recent.items):
        raise ParameterError("recent: must have at least one event, got none")
    until = trained_until(about)
    if until is None:
        return
    if recent.times is None:
        raise ParameterError("recent: must have times, because the training log had some, got a log without times")
    if (first := int(recent.times.min())) <= until:
        raise ParameterError(
            f"recent: must have only events after {iso_time(until)}, the end of training, got {iso_time(first)}; "
            "segue.prepare_recent leaves earlier ones out"
        )
