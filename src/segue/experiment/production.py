"""Train a model for production: on the whole log, for the epochs that validation chose in an earlier run."""

import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from segue.artifact import ARTIFACT, EVERYTHING
from segue.data.content_vectors import describe_vectors
from segue.data.events import Events
from segue.data.partitions import OnDisk
from segue.data.readers.read import read
from segue.data.readers.staging import StagedLog
from segue.errors import ParameterError
from segue.experiment.config import RunConfig
from segue.experiment.model_specs import check_specs
from segue.experiment.run_folder import is_run
from segue.experiment.training_facts import reading_fact, reading_of
from segue.experiment.training_plan import Settings, TrainingPlan, plan_training
from segue.models.base import Model
from segue.models.registry import BUILT_IN, model_class
from segue.protocols.dataset import dataset_at
from segue.protocols.out_of_core import prepare_whole_in_ranges
from segue.protocols.prepare import WholeLog, prepare_whole
from segue.storage.claims import absolute, claimed
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)


def check_log(log: str | Path) -> None:
    """Refuse a prepared data set.

    Raises:
        ParameterError: ``log`` is one.
    """
    if (folder := dataset_at(log)) is not None:
        reason = "a prepared data set with held-out parts; segue fit trains on everything: pass the original log"
        raise ParameterError(f"LOG: must be a raw log, got {folder}, {reason}")


def fit(
    log: Events | str | Path,
    *,
    like: str | Path | RunConfig,
    out: str | Path,
    settings: Settings | None = None,
    seed: int | None = None,
    runtime: Runtime | None = None,
    overwrite: bool = False,
    log_name: str | None = None,
) -> Model:
    """Train a model on a whole log, with nothing held out, and write it to a folder.

    The configuration, the cleaning of the log and the seed are taken from a tested model. Each stage is trained for the
    number of epochs that validation selected; a schedule of the learning rate spans these epochs. The manifest of the
    artifact describes the training data, and the metrics of the tested model on held-out data. The model itself has no
    test metrics.

    Args:
        log: the log, or its file, folder or name, read like that of ``like``; not a prepared data set, which holds out
            parts of the log.
        like: folder of a model that a run or this function wrote; or a configuration with one model, trained for its
            ``chosen_epochs``, else for the epochs of its parameters.
        out: folder to write.
        settings: parameters to change, by model name and ``protocol``, as in ``RunConfig.set``.
        seed: random seed; None uses the seed of ``like``.
        runtime: device, precision, checkpoint, progress; of several processes, only the first one writes.
        overwrite: replace a model in ``out``.
        log_name: name of the log for the manifest; None takes the name of the file.

    Raises:
        ArtifactError: ``like`` is not a model of a run.
        InputError: a parameter, the log or ``out`` breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    out, runtime = Path(out), runtime or Runtime()
    claim = claimed(out, "segue fit", partial(check_target, out, overwrite=overwrite), replaced=True)
    with claim if runtime.group.leads else nullcontext():
        if not isinstance(log, Events):
            check_log(log)
        runtime.check()
        plan = plan_training(like, settings)
        runtime.group.check(plan.spec.model.name, plan.spec.model.micro_batches)
        reading = None if isinstance(like, RunConfig) else reading_of(Path(like))
        events = log if isinstance(log, Events) else read(log, like=reading)
        name = log_name or (None if isinstance(log, Events) else Path(log).name.split(".")[0])
        return _train(plan, prepare_whole(events, plan.cleaning(events)), out, seed, runtime, name)


def fit_in_ranges(
    source: StagedLog,
    plan: TrainingPlan,
    out: Path,
    engine: OnDisk,
    *,
    memory: int,
    seed: int | None = None,
    runtime: Runtime | None = None,
    log_name: str | None = None,
    partitions: int | None = None,
) -> Model:
    """Train a model on a whole log of any size, and write the bytes that ``fit`` writes.

    Args:
        source: the log.
        plan: the training, of a model that ``check_fits_in_ranges`` accepts.
        out: folder to write, which the caller has claimed.
        engine: runs the work on partitions of the log and on ranges of its sessions.
        memory: bytes that a process may take, about; what the model keeps comes on top.
        seed: see ``fit``, as for the arguments that follow.
        runtime: device and progress.
        log_name: name of the log for the manifest.
        partitions: number of partitions and ranges; chosen by ``memory`` if None.

    Raises:
        InputError: a parameter or the log breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    whole = prepare_whole_in_ranges(source, plan.cleaning, engine, memory=memory, partitions=partitions)
    return _train(plan, whole, out, seed, runtime or Runtime(), log_name)


def check_fits_in_ranges(model: Model) -> None:
    """Refuse a model that cannot be fitted on an engine.

    Raises:
        ParameterError: it cannot.
    """
    if not model.fits_in_ranges:
        able = [name for name in BUILT_IN if model_class(name).fits_in_ranges]
        raise ParameterError(
            f"--engine, --memory: need a model whose fit runs on an engine, {', '.join(able[:-1])} or {able[-1]}, got "
            f"{model.name}; choose one of them, or leave --engine and --memory out"
        )


def _train(
    plan: TrainingPlan, whole: WholeLog, out: Path, seed: int | None, runtime: Runtime, name: str | None
) -> Model:
    """Train a model on a prepared log and write it to a folder that is claimed."""
    for note in whole.notes:
        logger.info(note)
    if lost := [name for name in plan.metadata if name not in whole.train.vocabulary.metadata]:
        logger.warning(
            "the items have no %s, which those of the tested model have; give the table of the items: --items FILE",
            " and no ".join(lost),
        )
    check_specs([plan.spec], whole.train)
    model, seed = plan.spec.model, plan.seed if seed is None else seed
    for stage, one in plan.epochs.items():
        logger.info("%s, %s: %d epochs (%s)", model.name, stage, one.epochs, one.why)
    plan.spec.fit(whole.train, None, seed, runtime)
    how = {"seed": seed, "precision": runtime.arithmetic(), "deterministic": runtime.deterministic}
    if runtime.group.leads:
        model.save(out, log=name, **how, **_facts(plan, whole))
    return model


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse to overwrite anything except, with ``overwrite``, a model outside of runs.

    Raises:
        ParameterError: ``out`` must not be written.
    """
    if is_run(absolute(out).parent):
        raise ParameterError(
            f"--out: {out} is in the folder of a run, whose models are tested models; choose another folder"
        )
    ARTIFACT.check_target(out, "--out", overwrite=overwrite)


def _facts(plan: TrainingPlan, whole: WholeLog) -> dict[str, Any]:
    left = whole.stages[-1].statistics
    return {
        "trained_on": EVERYTHING,
        "data": {
            "fingerprint": whole.fingerprint,
            "events": left.events,
            "sessions": left.sessions,
            "items": left.items,
            "first_time": left.first_time,
            "last_time": left.last_time,
        },
        "protocol": {"fingerprint": whole.fingerprint, **whole.protocol.model_dump(mode="json")},
        "epochs": {stage: one.model_dump() for stage, one in plan.epochs.items()},
        "like": plan.like,
        **reading_fact(whole.reading),
        **(describe_vectors(whole.train.vocabulary) if plan.spec.model.uses_item_vectors else {}),
    }
