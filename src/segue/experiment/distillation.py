"""Distil a trained model into a smaller one, and measure what that gained."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from segue.artifact import EVERYTHING, Artifact
from segue.data.cases import Cases
from segue.data.events import Events
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ArtifactError, ParameterError
from segue.experiment.comparison.verdicts import certainty
from segue.experiment.config import PROTOCOL, RunConfig
from segue.experiment.model_specs import ModelSpec, build_runtime, build_specs, check_specs
from segue.experiment.prepared_data import read_log, with_prepared
from segue.experiment.results import Difference, ModelResult, Results
from segue.experiment.run import run_specs
from segue.experiment.run_folder import claimed_folder
from segue.experiment.tracking.tracker import check_trackers
from segue.experiment.training_facts import check_facts, reading_of
from segue.metrics import is_better, lower_is_better
from segue.models.base import Model
from segue.models.registry import load
from segue.models.sequence import SequenceModel
from segue.models.summary import summary
from segue.parameters import flatten, merge
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.protocols.hashing import protocol_hash
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol
from segue.training.config import Distillation
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_VALID_METRIC = "valid_metric"


@dataclass(frozen=True)
class _Teacher(ModelSpec):
    """A model that is tested as it is."""

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Do nothing: the model is fitted."""


@dataclass(frozen=True)
class _Student(ModelSpec):
    """A model that learns from a teacher."""

    teacher: Model = field(kw_only=True)
    plan: Distillation = field(kw_only=True)

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the student on labels and on the soft labels of the teacher."""
        assert isinstance(self.model, SequenceModel)
        self.model.learn_from(self.teacher, train, self.plan, valid=valid, seed=seed, runtime=runtime)


def distill(
    teacher: Path,
    config: RunConfig,
    out: Path,
    *,
    plan: Distillation | None = None,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Train a student on the soft labels of a teacher, and the same student alone, and compare the three.

    The log is prepared as it was for the teacher: same protocol, same catalogue. Of the protocol, only
    ``valid_metric`` can be set.

    Args:
        teacher: artifact of a run; any model.
        config: log (or the folder of a prepared data set), one sequence model as the student, its parameters, seed.
        out: folder for results.json, report.md, run.json and one artifact folder per model.
        plan: how the student learns.
        events: the log itself, if it is not to be read.
        resume: continue an interrupted distillation in ``out``.
        overwrite: replace an older run in ``out``.
        progress: receives progress updates.

    Raises:
        InputError: the teacher, the configuration or the log breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    with claimed_folder(out, "segue distill", resume=resume, overwrite=overwrite):
        return _distill(teacher, config, out, plan or Distillation(), events, resume, progress or Progress())


def _distill(
    teacher: Path,
    config: RunConfig,
    out: Path,
    plan: Distillation,
    events: Events | None,
    resume: bool,
    progress: Progress,
) -> Results:
    """Distil into a folder that is claimed."""
    check_trackers(config.track)
    about = _about(teacher)
    _check_protocol(config)
    # The protocol of the teacher also chooses the metric of validation, unless the student has its own.
    metric = {PROTOCOL: {_VALID_METRIC: about["protocol"][_VALID_METRIC]}}
    config, opened = with_prepared(config.model_copy(update={"set": merge(metric, config.set)}), events)
    student, alone = _students(config)
    teaching = load(teacher)
    runtime = build_runtime(config, resume=resume, progress=progress)
    teaching = teaching.to(runtime.torch_device())  # On the device of the students, so that times are comparable.
    source = opened or events or read_log(config, reading_of(teacher))
    data = _data_for(teacher, about["protocol"], teaching.vocabulary, source)
    name, key = student.name, about["key"]
    specs = [
        _Teacher("teacher", teaching, extra={"fitted": key}),
        _Student(f"{name}-taught", student, extra={"teacher": key, **plan.model_dump()}, teacher=teaching, plan=plan),
        ModelSpec(f"{name}-alone", alone),
    ]
    labels = [spec.label for spec in specs]
    check_specs(specs[1:], data.train)
    if warning := _size_warning(student, teaching, data.vocabulary):
        logger.info(warning)

    def verdicts(results: Results) -> list[str]:
        rows = {row.label: row for row in results.models}
        test = next(iter(results.differences), None)
        return compare(*(rows[label] for label in labels), metric=data.protocol.ranking.metrics[0], test=test)

    pairs = [(metric, labels[1], labels[2]) for metric in data.protocol.ranking.headline]
    return run_specs(specs, data, config, out, runtime, pairs=pairs, verdicts=verdicts)


def compare(
    teacher: ModelResult, taught: ModelResult, alone: ModelResult, *, metric: str, test: Difference | None = None
) -> list[str]:
    """Return verdicts that compare the student with its teacher, and with the same student without a teacher.

    Args:
        teacher: row of the teacher.
        taught: row of the student.
        alone: row of the same student without a teacher.
        metric: metric by which they are compared.
        test: paired test between the two students.
    """
    values = [row.metrics[metric] for row in (teacher, taught, alone)]
    gain = "better" if is_better(metric, values[1], values[2]) else "not better"
    note = certainty(taught, alone, metric, test)
    keeps = (
        f"has a {metric} of {values[1]:.4f}, compared with {values[0]:.4f} of the teacher,"
        if lower_is_better(metric) or not values[0]
        else f"reaches {values[1] / values[0]:.1%} of the teacher's {metric}"
    )
    return [
        f"{taught.label} {keeps} with {_share(taught.parameters, teacher.parameters)} its parameters and "
        f"{_share(taught.latency_ms, teacher.latency_ms)} its time per session",
        f"{taught.label} is {gain} than the same model trained without a teacher on {metric}: "
        f"{values[1]:.4f} against {values[2]:.4f}{note}",
    ]


def _share(part: float, whole: float) -> str:
    """Return a part as a percentage or a multiple of a whole, in words."""
    if not whole:
        return f"{part:,} where the teacher has 0 of"
    share = part / whole
    if share < 1.5:
        return f"{share:.0%} of" if share >= 0.1 else f"{share:.1%} of"
    return f"{share:.0f} times" if share >= 10 else f"{share:.1f} times"


def _size_warning(student: SequenceModel, teacher: Model, catalogue: Vocabulary) -> str | None:
    """Return a warning if a student has more parameters than its teacher; those of features are not counted."""
    found = summary(student, n_items=len(catalogue), length=1)
    size = sum(array.size for array in teacher.arrays().values())
    if found is None or found.parameters <= size:
        return None
    return (
        f"{student.name}: has {found.parameters:,} parameters and its teacher {size:,}; "
        f"for a smaller student, decrease {student.name}.embedding_size"
    )


def _check_protocol(config: RunConfig) -> None:
    """Refuse settings of the protocol; only the metric that chooses epochs may differ from the teacher's.

    Raises:
        ParameterError: the settings, all together.
    """
    given = [f"{PROTOCOL}.{name}" for name in flatten(config.set.get(PROTOCOL, {})) if name != _VALID_METRIC]
    problems = [*(["--protocol"] if config.protocol else []), *given]
    if problems:
        raise ParameterError(*(f"{name}: is fixed by the teacher in a distillation; remove it" for name in problems))


def _data_for(teacher: Path, about: Mapping[str, Any], catalogue: Vocabulary, source: Events | Dataset) -> Dataset:
    """Return the data of a teacher: its log prepared as for it, or a data set that was.

    Args:
        teacher: its folder.
        about: its protocol, with the fingerprint of its log.
        catalogue: its catalogue.
        source: the log or the data set.

    Raises:
        ParameterError: it is another log, or a data set with another protocol or catalogue.
    """
    protocol = Protocol.of(about, teacher)
    if isinstance(source, Dataset):
        data = source
    else:
        data = prepare(source, protocol, vocabulary=_catalogue(catalogue, source.items))
    if data.fingerprint != about["fingerprint"]:
        raise ParameterError(
            f"LOG: must be the log that {teacher} was trained on, got another log (its fingerprint differs); "
            "a teacher that has seen the test part would make the student look better than it is"
        )
    if data is not source:
        return data
    data = data.measured_as(protocol)
    if data.hash != protocol_hash(protocol, data.fingerprint) or data.vocabulary.hash != catalogue.hash:
        raise ParameterError(
            f"LOG: must be prepared as for {teacher}, got a data set with another protocol or catalogue; "
            "name the log itself, or prepare it with the same protocol"
        )
    return data


def _catalogue(own: Vocabulary, items: pl.DataFrame | None) -> Vocabulary:
    """Return the catalogue of a teacher with further metadata of the log."""
    if items is None:
        return own
    metadata = items.drop(*own.table.drop("item").columns, strict=False)
    metadata = metadata.with_columns(pl.col("item").cast(own.ids.dtype, strict=False)).unique("item", keep="first")
    return Vocabulary(own.table.join(metadata, on="item", how="left", maintain_order="left"))


def _about(teacher: Path) -> Mapping[str, Any]:
    """Return the manifest facts of a teacher; refuse one that no run wrote, or that items were added to."""
    artifact = Artifact.read(teacher)
    if artifact.about.get("trained_on") == EVERYTHING:
        raise ArtifactError(
            f"{teacher}: was trained on everything, the test part of the log too, so a student would look better than "
            "it is; name the model of a run"
        )
    if not {"protocol", "key"} <= artifact.about.keys():
        raise ArtifactError(f"{teacher}: has no protocol, so it was not written by a run; use learn_from in Python")
    check_facts(teacher, artifact.about)
    added = len(artifact.vocabulary) - artifact.vocabulary.n_trained
    if added:
        raise ArtifactError(
            f"{teacher}: must contain only items that it was trained on, and {added:,} were added later; distil from "
            "the model as it was trained, then add the items to the student"
        )
    return artifact.about


def _students(config: RunConfig) -> tuple[SequenceModel, SequenceModel]:
    """Build the student twice."""
    if len(config.models) != 1:
        raise ParameterError(f"--student: must name one model, got {', '.join(config.models) or 'none'}")
    config = config.model_copy(update={"baselines": False})
    one, other = (build_specs(config, alone=True)[0].model for _ in range(2))
    if not (isinstance(one, SequenceModel) and isinstance(other, SequenceModel)):
        raise ParameterError(
            f"--student: must be a sequence encoder, got '{one.name}': it cannot learn from a teacher's "
            "soft labels; use sasrec, narm, improved-gru4rec, ..."
        )
    return one, other
