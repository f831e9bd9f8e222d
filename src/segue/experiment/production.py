"""Train a model for production: on the whole log, for the epochs that validation chose in an earlier run."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segue.artifact import ARTIFACT, EVERYTHING, Artifact
from segue.data.content_vectors import describe_vectors
from segue.data.events import Events
from segue.data.readers.read import read
from segue.errors import ArtifactError, ParameterError
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.epochs import Epochs, chosen_epochs, epochs_of, with_epochs
from segue.experiment.model_specs import ModelSpec, build_specs, check_specs
from segue.experiment.results import ModelResult
from segue.experiment.run_folder import is_run
from segue.experiment.training_facts import check_facts
from segue.models.base import Model
from segue.models.registry import model_class
from segue.parameters import merge
from segue.protocols.dataset import dataset_at
from segue.protocols.prepare import WholeLog, prepare_whole
from segue.protocols.protocol import Protocol
from segue.protocols.selection import choose
from segue.storage.claims import absolute, claimed
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

Settings = Mapping[str, Mapping[str, Any]]
_Log = Events | str | Path
_Like = str | Path | RunConfig


@dataclass(frozen=True)
class _Plan:
    """A training plan.

    Attributes:
        spec: the model.
        epochs: its epochs by stage.
        seed: seed of every random draw.
        config: names and sets the protocol, where ``protocol`` is None.
        protocol: cleans the log, before the changes of ``config``.
        like: facts about the tested model that the configuration comes from.
        metadata: columns of its items.
    """

    spec: ModelSpec
    epochs: dict[str, Epochs]
    seed: int
    config: RunConfig
    protocol: Protocol | None = None
    like: dict[str, Any] | None = None
    metadata: Sequence[str] = ()

    def cleaning(self, events: Events) -> Protocol:
        """Return the protocol whose cleaning steps are taken."""
        changes = self.config.set.get(PROTOCOL, {})
        return self.protocol.changed(changes) if self.protocol else choose(events, self.config.protocol, changes)[0]


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
        log: the log, or its file, folder or name; not a prepared data set, which holds out parts of the log.
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
        return _fit(log, like, out, settings or {}, seed, runtime, log_name)


def _fit(
    log: _Log, like: _Like, out: Path, settings: Settings, seed: int | None, runtime: Runtime, name: str | None
) -> Model:
    """Train a model and write it to a folder that is claimed."""
    if not isinstance(log, Events):
        check_log(log)
    runtime.check()
    plan = _plan_of_config(like, settings) if isinstance(like, RunConfig) else _plan_of_model(Path(like), settings)
    runtime.group.check(plan.spec.model.name, plan.spec.model.micro_batches)
    events = log if isinstance(log, Events) else read(log)
    whole = prepare_whole(events, plan.cleaning(events))
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
    name = name or (None if isinstance(log, Events) else Path(log).name.split(".")[0])
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


def _plan_of_model(folder: Path, settings: Settings) -> _Plan:
    """Return the training plan for the configuration of a model."""
    artifact = Artifact.read(folder)
    about, name = artifact.about, artifact.model
    if not {"protocol", "seed"} <= about.keys() or not ("result" in about or about.get("trained_on") == EVERYTHING):
        raise ArtifactError(
            f"{folder}: has no protocol, so it was not written by a run; name a model of a run, or use --config"
        )
    check_facts(folder, about)
    if about.get("extra"):
        raise ArtifactError(
            f"{folder}: was trained by distillation, or is a teacher; name a model that a run trained without a teacher"
        )
    if "result" in about:
        row = ModelResult.model_validate(about["result"])
        epochs, like = chosen_epochs(row.curve), _tested(folder, about, row)
    else:
        epochs = {stage: Epochs.model_validate(one) for stage, one in about["epochs"].items()}
        like = about["like"]
    kind = model_class(name)
    chosen = {**artifact.config, **kind.chosen_parameters(artifact.config, artifact.arrays)}
    values, epochs = with_epochs(chosen, epochs, settings.get(name, {}), kind.Config)
    own = {owner: dict(some) for owner, some in settings.items() if owner != PROTOCOL}
    (spec,) = build_specs(RunConfig(models=[name], set={**own, name: values}, baselines=False), alone=True)
    changes = RunConfig(set={PROTOCOL: dict(settings.get(PROTOCOL, {}))})
    protocol = Protocol.of(about["protocol"], folder)
    return _Plan(spec, epochs, about["seed"], changes, protocol, like, artifact.vocabulary.metadata)


def _plan_of_config(config: RunConfig, settings: Settings) -> _Plan:
    """Return the training plan for the model of a configuration."""
    if len(set(config.models)) != 1:
        raise ParameterError(f"--config: must name one model, got {', '.join(config.models) or 'none'}")
    config = config.model_copy(update={"baselines": False, "set": merge(config.set, settings)})
    (spec,) = build_specs(config, alone=True)
    name, values = spec.model.name, spec.model.config.model_dump(mode="json")
    why = "best of the trial on validation" if config.chosen_epochs else "of the configuration"
    epochs = {stage: Epochs(epochs=count, why=why) for stage, count in config.chosen_epochs.items()}
    values, epochs = with_epochs(values, epochs or epochs_of(values, why), settings.get(name, {}), spec.model.Config)
    (spec,) = build_specs(config.model_copy(update={"preset": {}, "set": {**config.set, name: values}}))
    return _Plan(spec, epochs, config.seed, config)


def _tested(folder: Path, about: Mapping[str, Any], row: ModelResult) -> dict[str, Any]:
    """Return the facts about the tested model for the manifest."""
    return {
        "path": folder.as_posix(),
        "model": row.model,
        "log": about["log"],
        "key": about["key"],
        "hash": about["protocol"]["hash"],
        "fingerprint": about["protocol"]["fingerprint"],
        "metrics": row.metrics,
    }


def _facts(plan: _Plan, whole: WholeLog) -> dict[str, Any]:
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
        **(describe_vectors(whole.train.vocabulary) if plan.spec.model.uses_item_vectors else {}),
    }
