"""From a trained model to a smaller one that has learnt from it, and what that was worth."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segue.artifact import EVERYTHING, Artifact
from segue.data.cases import Cases
from segue.data.events import Events
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ArtifactError, ParameterError
from segue.experiment.folder import check_folder
from segue.experiment.model_specs import Entry, build_entries, check_entries
from segue.experiment.recipe import PROTOCOL, Recipe, read_log
from segue.experiment.results import Difference, ModelResult, Results, doubt_of
from segue.experiment.runner import Runner
from segue.experiment.source import with_prepared
from segue.experiment.tracking.follow import check_trackers
from segue.metrics import is_better, lower_is_better
from segue.models.base import Model
from segue.models.catalog import load
from segue.models.sequence import SequenceModel
from segue.models.summary import anatomy
from segue.parameters import merge
from segue.progress import Progress
from segue.protocols.dataset import Dataset
from segue.protocols.identity import protocol_hash
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol
from segue.training.config import Distillation
from segue.training.runtime import Runtime

logger = logging.getLogger(__name__)

_VALID_METRIC = "valid_metric"


@dataclass(frozen=True)
class Fitted(Entry):
    """A model that is tested as it is."""

    origin: str

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Leave the model as it is."""

    def decides(self) -> dict[str, Any]:
        """Say that it was not trained here."""
        return {"fitted": self.origin}


@dataclass(frozen=True)
class Student(Entry):
    """A model that learns from another one."""

    teacher: Model
    origin: str
    plan: Distillation

    def fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Train the student on labels and on what the teacher says."""
        assert isinstance(self.model, SequenceModel)
        self.model.learn_from(self.teacher, train, self.plan, valid=valid, seed=seed, runtime=runtime)

    def decides(self) -> dict[str, Any]:
        """Name the teacher and how it teaches."""
        return {"teacher": self.origin, **self.plan.model_dump()}


def distill(
    teacher: Path,
    recipe: Recipe,
    out: Path,
    *,
    plan: Distillation | None = None,
    events: Events | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Train a student on what a teacher says, and the same student alone, and compare the three.

    The log is prepared as it was for the teacher: same protocol, same catalogue. Of the protocol, the recipe may set
    ``valid_metric`` alone.

    Args:
        teacher: artifact of a run; any model.
        recipe: log (or the folder of a prepared data set), one sequence model as the student, its parameters, seed.
        out: folder for results.json, report.md, begun.json and one artifact folder per model.
        plan: how the student learns.
        events: the log itself, where it is not to be read.
        resume: go on with an interrupted distillation in ``out``.
        overwrite: replace an older run in ``out``.
        progress: receives progress updates.

    Raises:
        InputError: the teacher, the recipe or the log breaks a rule; nothing has been written.
        StorageError: the write failed.
    """
    progress, plan = progress or Progress(), plan or Distillation()
    check_folder(out, resume=resume, overwrite=overwrite)
    check_trackers(recipe.track)
    about = _about(teacher)
    _check_protocol(recipe)
    recipe, opened = with_prepared(_choosing_epochs_as(about["protocol"], recipe), events)
    student, alone = _students(recipe)
    master = load(teacher)
    runtime = Runtime(device=recipe.device, precision=recipe.precision, resume=resume, progress=progress)
    runtime.check()
    master = master.to(runtime.torch_device())  # Where the students are, or their times could not be compared.
    data = _data_for(teacher, about["protocol"], master.vocabulary, opened or events or read_log(recipe))
    name = student.name
    entries = [
        Fitted("teacher", master, baseline=False, origin=about["key"]),
        Student(f"{name}-taught", student, baseline=False, teacher=master, origin=about["key"], plan=plan),
        Entry(f"{name}-alone", alone, baseline=False),
    ]
    check_entries(entries[1:], data.train)
    runner = Runner(data, recipe, out, runtime)
    runner.begin(entries)
    if said := _larger(student, master, data.vocabulary):
        logger.info(said)
    rows = [runner.result(entry) for entry in entries]
    taught, lonely = (entry.label for entry in entries[1:])
    results = runner.results(rows, [(metric, taught, lonely) for metric in data.protocol.headline])
    test = next(iter(results.differences), None)
    verdicts = compare(*rows, metric=data.protocol.metrics[0], test=test)
    results = results.model_copy(update={"verdicts": verdicts})
    runner.finish(results)
    return results


def compare(
    teacher: ModelResult, taught: ModelResult, alone: ModelResult, *, metric: str, test: Difference | None = None
) -> list[str]:
    """Say in words what the student keeps of its teacher, and what it owes to it.

    Args:
        teacher: row of the teacher.
        taught: row of the student.
        alone: row of the same student without a teacher.
        metric: what they are compared by.
        test: paired test between the two students.
    """
    values = [row.metrics[metric] for row in (teacher, taught, alone)]
    gain = "better" if is_better(metric, values[1], values[2]) else "not better"
    doubt = doubt_of(taught, alone, metric, test)
    keeps = (
        f"has a {metric} of {values[1]:.4f}, where the teacher has {values[0]:.4f},"
        if lower_is_better(metric) or not values[0]
        else f"keeps {values[1] / values[0]:.1%} of the teacher's {metric}"
    )
    return [
        f"{taught.label} {keeps} with {_share(taught.parameters, teacher.parameters)} its parameters and "
        f"{_share(taught.latency_ms, teacher.latency_ms)} its time per session",
        f"{taught.label} is {gain} than the same model trained alone on {metric}: "
        f"{values[1]:.4f} against {values[2]:.4f}{doubt}",
    ]


def _share(part: float, whole: float) -> str:
    """Say how much of a whole a part is, or how many times the whole it is."""
    if not whole:
        return f"{part:,} where the teacher has 0 of"
    share = part / whole
    if share < 1.5:
        return f"{share:.0%} of" if share >= 0.1 else f"{share:.1%} of"
    return f"{share:.0f} times" if share >= 10 else f"{share:.1f} times"


def _larger(student: SequenceModel, teacher: Model, catalogue: Vocabulary) -> str | None:
    """Say so where a student has more parameters than its teacher; what it reads besides items is not counted."""
    found = anatomy(student, n_items=len(catalogue), length=1)
    size = sum(array.size for array in teacher.arrays().values())
    if found is None or found.parameters <= size:
        return None
    return (
        f"{student.name}: has {found.parameters:,} parameters and its teacher {size:,}; "
        f"for a smaller student set {student.name}.embedding_size lower"
    )


def _check_protocol(recipe: Recipe) -> None:
    """Refuse a protocol beside that of the teacher; the metric that chooses epochs is the student's own.

    Raises:
        ParameterError: what the recipe says of the protocol, all together.
    """
    given = [f"{PROTOCOL}.{name}" for name in recipe.set.get(PROTOCOL, {}) if name != _VALID_METRIC]
    mistakes = [*(["--protocol"] if recipe.protocol else []), *given]
    if mistakes:
        raise ParameterError(
            "\n".join(f"{name}: is that of the teacher in a distillation; leave it out" for name in mistakes)
        )


def _choosing_epochs_as(protocol: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """Return the recipe with the metric by which the protocol of the teacher chooses epochs, unless it has its own."""
    metric = {PROTOCOL: {_VALID_METRIC: protocol[_VALID_METRIC]}}
    return recipe.model_copy(update={"set": merge(metric, recipe.set)})


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
    protocol = Protocol.of(about)
    if isinstance(source, Dataset):
        data = source
    else:
        data = prepare(source, protocol, vocabulary=_catalogue(catalogue, source.items))
    if data.fingerprint != about["fingerprint"]:
        raise ParameterError(
            f"LOG: must be the log that {teacher} was trained on, and it is another one (its fingerprint differs); "
            "a teacher that has seen the test part would make the student look better than it is"
        )
    if data is not source:
        return data
    data = data.measured_as(protocol)
    if data.hash != protocol_hash(protocol, data.fingerprint) or data.vocabulary.hash != catalogue.hash:
        raise ParameterError(
            f"LOG: must be prepared as it was for {teacher}, and this data set has another protocol or catalogue; "
            "name the log itself, or prepare it with the same protocol"
        )
    return data


def _catalogue(known: Vocabulary, items: pl.DataFrame | None) -> Vocabulary:
    """Return the items of a teacher with what the log tells of them besides."""
    if items is None:
        return known
    told = items.drop(*known.metadata, "support", strict=False)
    told = told.with_columns(pl.col("item").cast(known.ids.dtype, strict=False)).unique("item", keep="first")
    return Vocabulary(known.table.join(told, on="item", how="left", maintain_order="left"))


def _about(teacher: Path) -> Mapping[str, Any]:
    """Return the facts about the training of a teacher, if a run wrote it and nothing was added since."""
    artifact = Artifact.read(teacher)
    if artifact.about.get("trained_on") == EVERYTHING:
        raise ArtifactError(
            f"{teacher}: was trained on everything, the test part of the log too, so a student would look better than "
            "it is; name the model of a run"
        )
    if not {"protocol", "key"} <= artifact.about.keys():
        raise ArtifactError(f"{teacher}: names no protocol, so it was not written by a run; use learn_from in Python")
    added = len(artifact.vocabulary) - artifact.vocabulary.n_trained
    if added:
        raise ArtifactError(
            f"{teacher}: must know the items of its training alone, or its student would count others as trained, and "
            f"{added:,} were added later; distil from the model as it was trained, then add the items to the student"
        )
    return artifact.about


def _students(recipe: Recipe) -> tuple[SequenceModel, SequenceModel]:
    """Build the student twice."""
    if len(recipe.models) != 1:
        raise ParameterError(f"--student: must name one model, got {', '.join(recipe.models) or 'none'}")
    lonely = recipe.model_copy(update={"baselines": False})

    one, other = (build_entries(lonely, alone=True)[0].model for _ in range(2))
    if not (isinstance(one, SequenceModel) and isinstance(other, SequenceModel)):
        raise ParameterError(
            f"--student: must be a sequence encoder, got '{one.name}': it has no loss that could take a teacher's "
            "shares; take sasrec, narm, improved-gru4rec, ..."
        )
    return one, other
