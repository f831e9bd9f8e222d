"""Update a model for production with later events, and write it to a folder."""

import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from segue.artifact import EVERYTHING, Artifact
from segue.data.content_vectors import describe_vectors
from segue.data.events import Events
from segue.data.readers.read import read
from segue.errors import ArtifactError, ParameterError
from segue.experiment.production import check_log, check_target
from segue.experiment.training_facts import check_facts, reading_of
from segue.models.base import Model
from segue.models.recent import UPDATES
from segue.models.registry import load
from segue.protocols.recent import RecentLog, prepare_history, prepare_recent
from segue.storage.claims import claimed
from segue.training.config import UpdatePlan
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)


def update(
    model: str | Path,
    log: Events | str | Path,
    *,
    out: str | Path,
    plan: UpdatePlan | None = None,
    history: Events | str | Path | None = None,
    seed: int = 0,
    runtime: Runtime | None = None,
    overwrite: bool = False,
    log_name: str | None = None,
) -> Model:
    """Add later events to a model that ``segue.fit`` or this function wrote, and write it to a folder.

    Models that count or compare sessions become equal to a fit on all events; networks are trained further on the later
    events. See ``segue.prepare_recent`` for the preparation of the log.

    Args:
        model: folder of the model.
        log: the log, or its file, folder or name, read like that of the model; events up to the end of the training are
            left out.
        out: folder to write; it may be that of the model, with ``overwrite``.
        plan: how a network is trained further.
        history: the log that a network was trained on; some of its sessions are learnt again, so that they are not
            forgotten.
        seed: random seed.
        runtime: device, precision and progress.
        overwrite: replace a model in ``out``.
        log_name: name of the log for the manifest; None takes the name of the file.

    Returns:
        The updated model; ``about["updates"]`` says what was added.

    Raises:
        ArtifactError: ``model`` is not a model for production.
        InputError: a parameter, the log or ``out`` breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    out, runtime = Path(out), runtime or Runtime()
    with claimed(out, "segue update", partial(check_target, out, overwrite=overwrite), replaced=True):
        return _update(Path(model), log, history, out, plan, seed, runtime, log_name)


def _update(
    folder: Path,
    log: Events | str | Path,
    history: Events | str | Path | None,
    out: Path,
    plan: UpdatePlan | None,
    seed: int,
    runtime: Runtime,
    name: str | None,
) -> Model:
    """Update a model and write it to a folder that is claimed."""
    if not isinstance(log, Events):
        check_log(log)
    runtime.check()
    require_production(folder, Artifact.facts(folder))
    model = load(folder)
    reading = reading_of(folder)
    recent = prepare_recent(log if isinstance(log, Events) else read(log, like=reading), model)
    for note in recent.notes:
        logger.info(note)
    _require_new(folder, model.about, recent.fingerprint)
    before = None
    if history is not None:
        events = history if isinstance(history, Events) else read(history, like=reading)
        before = prepare_history(events, recent.sessions, model)
    started = time.perf_counter()
    updated = model.update(recent.sessions, plan, history=before, seed=seed, runtime=runtime)
    name = name or (None if isinstance(log, Events) else Path(log).name.split(".")[0])
    updated.save(out, **updated_facts(model.about, updated, recent, name, time.perf_counter() - started))
    return load(out)


def require_production(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse a model that was not trained for production.

    Raises:
        ArtifactError: it was not, or its facts are damaged.
    """
    if about.get("trained_on") != EVERYTHING:
        raise ArtifactError(
            f"{folder}: must be a model for production, and this one was tested on events that an update may contain; "
            f"train it on the whole log first: segue fit LOG --like {folder} --out production"
        )
    check_facts(folder, about)


def _require_new(folder: Path, about: Mapping[str, Any], fingerprint: str) -> None:
    """Refuse a log that the model has learnt from; with times, its events are recognised by these."""
    known = {about["data"]["fingerprint"], *(one.get("fingerprint") for one in about.get(UPDATES, ()))}
    if fingerprint in known:
        raise ParameterError(f"LOG: must be a log of later events, and {folder} was trained on this one")


def updated_facts(
    about: Mapping[str, Any], updated: Model, recent: RecentLog, name: str | None, seconds: float
) -> dict[str, Any]:
    """Return the facts about a model after an update that differ from those before."""
    *earlier, last = updated.about[UPDATES]
    entry = {
        "log": name,
        "fingerprint": recent.fingerprint,
        **last,
        "seen": recent.seen,
        "cleaned": recent.cleaned,
        "seconds": round(seconds, 3),
    }
    data = dict(about["data"])
    data |= {
        "events": data["events"] + last["events"],
        "sessions": data["sessions"] + last["sessions"],
        "items": len(updated.vocabulary),
        "last_time": recent.stages[-1].statistics.last_time or data["last_time"],
    }
    vectors = describe_vectors(updated.vocabulary) if updated.uses_item_vectors else {}
    return {"data": data, UPDATES: [*earlier, entry], **vectors}
