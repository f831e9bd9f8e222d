"""The process that updates the models of a service: from accepted events, verified on the last of them.

python -m segue.live_updates   (on the standard input a line "check" or "update", and the settings as JSON)

The events of the last interval are predicted by the model as it was and by the model that has learnt from all events
before them. If the new model is not worse, it is written, and its next update learns from these events as well.
"""

import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import torch

from segue.data.events import TIME_DTYPE, Events
from segue.data.growth import trained_until
from segue.errors import EmptyDataError, ParameterError, SegueError
from segue.experiment.updating import require_production, updated_facts
from segue.models.base import Model
from segue.models.registry import load
from segue.models.verification import Change, changes, next_item_values, sessions_of_targets
from segue.protocols.protocol import Protocol
from segue.protocols.recent import prepare_recent
from segue.protocols.selection import check_cleaning
from segue.serving.logs import report, start_logging
from segue.serving.settings import ServeSettings
from segue.serving.supervisor import CONFIGURATION
from segue.serving.updates import NOTHING_NEW
from segue.serving.versions import BASE, Versions, version_at

LEAST = 200
"""Events that are held out at least, from further back than one interval if need be."""
_NICE = 15

logger = logging.getLogger("segue.serving")


def check(settings: ServeSettings) -> None:
    """Check that all models can be updated beside serving.

    Raises:
        SegueError: one cannot.
    """
    for name, folder in settings.models.items():
        model = load(folder)
        model.check_updatable()
        require_production(folder, model.about)
        if trained_until(model.about) is None:
            raise ParameterError(
                f"--update-every: {name} was trained on a log without times, so that nobody knows which events it has "
                "seen; fit it on a log with times, or serve it without --update-every"
            )
        if added := len(model.vocabulary) - model.vocabulary.n_trained:
            raise ParameterError(
                f"--update-every: {name} has {added:,} items that were added without training, which are not among "
                "its training items; serve the model that segue add-items started from, or without --update-every"
            )
        types: dict[str, pl.DataType] = {
            "session": pl.String(),
            "item": pl.String(),
            "time": TIME_DTYPE,
            "type": pl.String(),
        }
        if "protocol" in model.about:
            try:
                check_cleaning(Events(pl.DataFrame(schema=types)), Protocol.of(model.about["protocol"], "model"))
            except ParameterError as error:
                raise ParameterError(
                    f"--update-every: {name} cannot learn from what a service keeps: {'; '.join(error.lines)}; serve "
                    "it without --update-every, and use segue update"
                ) from error
        if columns := [column for column in model.context_columns if column != "time"]:
            raise ParameterError(
                f"--update-every: {name} reads the columns {', '.join(columns)} of events, and a service keeps only "
                "items, times and types to learn from; serve it without --update-every, and use segue update"
            )


def accepted_events(state: Path, after: int, vocabulary_type: pl.DataType) -> Events:
    """Return the accepted events after a time, in the order of their arrival, deleted sessions excepted.

    Items that cannot be ids of the catalogue, such as text where ids are integers, are left out.

    Args:
        state: the state folder.
        after: seconds since 1970.
        vocabulary_type: type of the ids.

    Raises:
        EmptyDataError: there are no files yet.
    """
    files = sorted((state / "events").glob("*.parquet"))
    if not files:
        raise EmptyDataError("no events were accepted yet")
    rows = pl.scan_parquet(files, glob=False).filter(pl.col("time").dt.epoch("s") > after)
    moment = pl.col("time").dt.replace_time_zone(None).cast(TIME_DTYPE)
    frame = rows.select("session", "item", moment, "type").collect()
    if vocabulary_type.is_integer():
        number = pl.col("item").cast(vocabulary_type, strict=False)
        frame = frame.filter(number.cast(pl.String) == pl.col("item")).with_columns(number)
    return Events(frame)


def learn(model: Model, events: Events, every: float) -> tuple[Model, dict[str, Change], dict[str, object]]:
    """Update a model with accepted events, and compare it with the model before on the last of them.

    Args:
        model: the model.
        events: events after its training.
        every: seconds of events to hold out, at least.

    Returns:
        The new model, the changes of its metrics, and the facts about it.

    Raises:
        EmptyDataError: there are not enough events yet.
    """
    moment = pl.col("time").dt.epoch("s")  # A model remembers its last second: an update must not divide one.
    times = events.frame.select(moment)["time"].sort()
    if len(times) <= LEAST:
        raise EmptyDataError(f"there are {len(times):,} new events, and more than {LEAST} are needed")
    cut = min(times[-1] - int(every), times[-LEAST - 1])
    earlier = Events(events.frame.filter(moment <= cut))
    later = Events(events.frame.filter(moment > cut))
    if not len(earlier):
        raise EmptyDataError(f"all {len(times):,} new events are held out to verify a model")
    started = time.perf_counter()
    recent = prepare_recent(earlier, model)
    updated = model.update(recent.sessions)
    facts = updated_facts(model.about, updated, recent, "accepted events", time.perf_counter() - started)
    held_out = prepare_recent(later, updated).sessions
    groups = sessions_of_targets(held_out)
    if not len(groups):
        raise EmptyDataError("no session of the events that are held out has two of them")
    return updated, changes(next_item_values(model, held_out), next_item_values(updated, held_out), groups), facts


def update(name: str, settings: ServeSettings, versions: Versions) -> bool:
    """Update one model; return whether it has a new version. What became of it is recorded and logged."""
    assert settings.update_every is not None
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        base = version_at(settings.models[name])
        model = load(versions.newest(name))
        until = trained_until(model.about)
        assert until is not None
        events = accepted_events(settings.state, until, model.vocabulary.ids.dtype)
        updated, found, facts = learn(model, events, settings.update_every)
        text = ", ".join(
            f"{metric} {one.before:.4f} to {one.after:.4f} [{one.low:+.4f}, {one.high:+.4f}]"
            for metric, one in found.items()
        )
        if any(one.worse for one in found.values()):
            logger.error("%s: the update was refused, it is worse on the last events: %s", name, text)
            versions.record(name, "refused", f"it is worse on the last events: {text}", time=now)
            return False
        folder = updated.save(versions.next(name), **facts, **{BASE: base})
        versions.retire(name)
    except EmptyDataError as error:
        logger.info("%s: was not updated: %s", name, error)
        versions.record(name, "skipped", str(error), time=now)
        return False
    except (SegueError, OSError, pl.exceptions.PolarsError) as error:
        logger.error("%s: the update failed: %s", name, error)
        versions.record(name, "failed", str(error), time=now)
        return False
    except Exception as error:
        logger.exception("%s: the update failed", name)
        versions.record(name, "failed", f"{type(error).__name__}: {error}", time=now)
        return False
    logger.info("%s: updated, %s", name, text)
    versions.record(name, "accepted", text, time=now, version=folder.name)
    return True


def main() -> None:
    """Read the settings, and check or update all models."""
    task = sys.stdin.readline().strip()
    settings = ServeSettings.model_validate_json(sys.stdin.readline())
    torch.set_num_threads(1)
    if task == "check":
        try:
            check(settings)
        except SegueError as error:
            report(error)
            sys.exit(CONFIGURATION)
        return
    start_logging()
    os.nice(_NICE)
    versions = Versions(settings.state, settings.models)
    accepted = [update(name, settings, versions) for name in settings.models]
    sys.exit(0 if any(accepted) else NOTHING_NEW)


if __name__ == "__main__":
    main()
