"""The messages of the API on experiments: what was seen of recommendations, and which experiment runs."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from segue.serving.schema.messages import MAX_EVENTS, MAX_K, Id, Message, Mistake, Moment


class SeenExposure(Message, kw_only=True):
    """What a visitor has seen of a recommendation."""

    recommendation_id: Id
    session_id: Id | None
    items: Annotated[list[Id], Meta(max_length=MAX_K)] | None = None
    positions: Annotated[list[Annotated[int, Meta(ge=1, le=MAX_K)]], Meta(max_length=MAX_K)] | None = None
    time: Moment | None = None
    consent: bool = True


class ExposuresRequest(Message, kw_only=True):
    """What was seen of any recommendations."""

    exposures: Annotated[list[SeenExposure], Meta(min_length=1, max_length=MAX_EVENTS)]


class ExposureResult(msgspec.Struct, omit_defaults=True):
    """What became of an exposure."""

    status: Literal["accepted", "refused", "ignored"]
    detail: str | None = None
    errors: list[Mistake] = []


class ExposuresAnswer(msgspec.Struct):
    """Counts of exposures, and what became of each."""

    accepted: int
    refused: int
    results: list[ExposureResult]


class ArmAnswer(msgspec.Struct):
    """An arm of an experiment."""

    name: str
    model: str
    share: float


class ExperimentAnswer(msgspec.Struct):
    """An experiment."""

    name: str
    unit: Literal["session", "user"]
    interleave: bool
    arms: list[ArmAnswer]
    problem: str | None


class ExperimentsAnswer(msgspec.Struct):
    """The experiments that run."""

    experiments: list[ExperimentAnswer]
