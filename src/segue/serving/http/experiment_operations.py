"""The operations of the API on experiments."""

import msgspec

from segue.serving.http.routing import Call, Operation, Reply
from segue.serving.journal import Seen
from segue.serving.schema.decoding import decode_exposures
from segue.serving.schema.experiment_messages import (
    ArmAnswer,
    ExperimentAnswer,
    ExperimentsAnswer,
    ExposureResult,
    ExposuresAnswer,
    ExposuresRequest,
    SeenExposure,
)
from segue.serving.schema.fields import id_of, ids_of, time_of
from segue.serving.schema.messages import Mistake
from segue.serving.service import AHEAD_MS, Service
from segue.serving.stores import StoreUnavailableError

_encode = msgspec.json.encode
_NOT_STORED = "it is not stored: the session was deleted, or the service keeps no journal or cannot write it"


async def _add_exposures(call: Call) -> Reply:
    call.logged = False  # Before it is read, nobody has given consent.
    request, wrong = decode_exposures(call.body)
    call.logged = not wrong and all(one.consent for one in request.exposures)
    service = call.service
    if service.store.problem is not None:
        raise StoreUnavailableError(service.store.problem)
    count, given = len(request.exposures) + len(wrong), iter(request.exposures)
    results = [
        _refused(wrong[row]) if row in wrong else _added(service, next(given), f"/exposures/{row}")
        for row in range(count)
    ]
    accepted, refused = (sum(one.status == status for one in results) for status in ("accepted", "refused"))
    return Reply(_encode(ExposuresAnswer(accepted, refused, results)))


def _added(service: Service, one: SeenExposure, place: str) -> ExposureResult:
    """Store what was seen, as often as it is sent: a report counts what names the same recommendation once."""
    mistakes: list[Mistake] = []
    if (one.items is None) == (one.positions is None):
        mistakes.append(Mistake(f"{place}/items", "give either items or positions"))
    recommendation = id_of(one.recommendation_id, f"{place}/recommendation_id", mistakes)
    session = None if one.session_id is None else id_of(one.session_id, f"{place}/session_id", mistakes)
    items = None if one.items is None else ids_of(one.items, f"{place}/items", mistakes)
    now = service.now()
    moment = now if one.time is None else time_of(one.time, f"{place}/time", mistakes)
    if mistakes:
        return _refused(mistakes)
    if not one.consent:
        return ExposureResult("ignored", "without consent nothing is stored")
    moment = now if moment > now + AHEAD_MS else moment
    if not service.store.expose(Seen(recommendation, session, moment, items, one.positions)):
        return ExposureResult("refused", _NOT_STORED)
    return ExposureResult("accepted")


def _refused(mistakes: list[Mistake]) -> ExposureResult:
    return ExposureResult("refused", mistakes[0].detail, mistakes)


async def _list_experiments(call: Call) -> Reply:
    experiments = call.service.experiments
    if experiments is None:
        return Reply(_encode(ExperimentsAnswer([])))
    split = experiments.split
    found = split.experiment
    arms = [ArmAnswer(name, arm.model, split.shares[name]) for name, arm in found.arms.items()]
    answer = ExperimentAnswer(found.name, found.unit, found.interleave, arms, experiments.problem)
    return Reply(_encode(ExperimentsAnswer([answer])))


OPERATIONS = (
    Operation(
        "POST",
        "/v1/exposures",
        "add_exposures",
        "write",
        _add_exposures,
        "Say what was seen of recommendations.",
        ExposuresRequest,
        ExposuresAnswer,
    ),
    Operation(
        "GET",
        "/v1/experiments",
        "list_experiments",
        "read",
        _list_experiments,
        "List the experiments that run.",
        answer=ExperimentsAnswer,
    ),
)
