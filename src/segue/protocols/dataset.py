"""A prepared data set, in memory or as a folder.

dataset.json    format version, library versions, checksums
about.json      protocol, hashes, statistics after each step, notes
items.parquet   the catalogue: raw id, support and metadata of each item, in index order
train/          items, offsets and times of the events (.npy), raw ids of the sessions and further columns (Parquet)
valid/, test/   the cases: items, starts, ends, times, targets, groups, offsets, labels; further columns (Parquet)

Empty parts have no file, for example the times of a log without times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.data.array_files import read_cases, read_sessions, write_cases, write_sessions
from segue.data.arrays import Columns
from segue.data.cases import Cases
from segue.data.readers.public_logs import find_log
from segue.data.reading import Reading
from segue.data.sessions import Sessions
from segue.data.statistics import density, density_class
from segue.data.vocabulary import Vocabulary
from segue.data.vocabulary_file import read_vocabulary, write_vocabulary
from segue.errors import ArtifactError, ParameterError, UnknownNameError
from segue.manifest import DATASET
from segue.metrics.values import check_labels
from segue.parameters import Section
from segue.protocols.distributions import distributions
from segue.protocols.hashing import protocol_hash
from segue.protocols.pipeline import Stage
from segue.protocols.protocol import Protocol
from segue.protocols.selection import metric_problems
from segue.storage import read_unchanged
from segue.strict_json import read_json, write_json

MEASURING = ("ranking", "valid_metric", "decimals")
"""Parts of a protocol that affect evaluation only, not the prepared data."""

_ABOUT, _ITEMS = "about.json", "items.parquet"
TRAIN = "train"
"""Folder of the training sessions; the cases are in ``valid`` and ``test``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DatasetFacts:
    """What a data set says about itself, wherever its arrays are.

    Attributes:
        protocol: the protocol that it was prepared with.
        fingerprint: hash of the raw log.
        hash: hash of protocol and raw log; results with different hashes are not comparable.
        stages: statistics after each step.
        notes: notes on the preparation, one sentence each; notes of the reader come first.
        overlapping_sessions: number of sessions of a predefined split whose training and test events overlap in time.
        log: name of the log, if it is known.
        items: name of the table of item metadata, if there was one.
        catalogue: hash of a predefined catalogue; None for the catalogue of the training part.
        reading: how the log was read, if this is known.
    """

    protocol: Protocol
    fingerprint: str
    hash: str
    stages: tuple[Stage, ...]
    notes: tuple[str, ...]
    overlapping_sessions: int = 0
    log: str | None = None
    items: str | None = None
    catalogue: str | None = None
    reading: Reading | None = None


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Dataset(DatasetFacts):
    """A prepared log: training sessions, validation cases and test cases.

    Attributes:
        train: the training sessions; their vocabulary is the catalogue.
        valid: the validation cases; None without a validation part.
        test: the test cases.
    """

    train: Sessions
    valid: Cases | None
    test: Cases

    def __repr__(self) -> str:
        parts = f"train={self.train}, valid={self.valid}, test={self.test}"
        return f"Dataset(protocol={self.protocol.name!r}, hash={self.hash!r}, {parts})"

    @property
    def vocabulary(self) -> Vocabulary:
        """The catalogue: the items of the training sessions, with their metadata."""
        return self.train.vocabulary

    def describe(self) -> dict[str, Any]:
        """Return the protocol with its hash, ready for JSON."""
        return {"hash": self.hash, "fingerprint": self.fingerprint, **self.protocol.model_dump(mode="json")}

    def statistics(self) -> dict[str, Any]:
        """Return the statistics before and after each step, and the distributions at the end, ready for JSON."""
        spread = density(len(self.train.items), len(self.train), len(self.vocabulary))
        return {
            "train_prefixes": len(self.train.items) - len(self.train),
            "valid_cases": 0 if self.valid is None else len(self.valid),
            "test_cases": len(self.test),
            "item_indices": [1, len(self.vocabulary)],
            "density": spread,
            "density_class": density_class(spread),
            "stages": [stage.describe() for stage in self.stages],
            "distributions": distributions(self.train, self.valid, self.test),
        }

    def measured_by(self, parameters: Mapping[str, Any]) -> "Dataset":
        """Return the same data with other evaluation parameters, such as ``{"ranking": {"metrics": ["recall@5"]}}``.

        Parameters that affect the prepared data may be passed if they equal the values of the data set.

        Raises:
            ParameterError: a parameter breaks its rule or would change the prepared data; all are reported together.
        """
        protocol = self.protocol.changed(parameters)
        problems = [
            f"protocol.{name}: is fixed when a log is prepared, and this data set has {own}; remove it, or prepare the "
            "log again"
            for name, own in self.prepared_otherwise(parameters)
        ]
        if protocol.ranking.labeled != self.protocol.ranking.labeled:
            problems.append(
                f"protocol.ranking.candidates: 'labeled' is fixed when a log is prepared, and this data set has "
                f"'{self.protocol.ranking.candidates}'; remove it, or prepare the log again"
            )
        else:
            problems += metric_problems(protocol.ranking)
        if problems:
            raise ParameterError(*problems)
        if self.test.labels is not None:
            check_labels(self.test.labels, protocol.ranking.metrics)
        return replace(self, protocol=protocol, hash=protocol_hash(protocol, self.fingerprint, self.catalogue))

    def measured_as(self, protocol: Protocol) -> "Dataset":
        """Return the same data with the evaluation parameters of a protocol; see ``measured_by``."""
        return self.measured_by({name: getattr(protocol, name) for name in MEASURING})

    def prepared_otherwise(self, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the parameters that would change the prepared data, with the value of the data set.

        Raises:
            ParameterError: a parameter breaks its rule.
        """
        protocol = self.protocol.changed(parameters)
        for part in (one for one in parameters if one not in MEASURING):
            own, other = getattr(self.protocol, part), getattr(protocol, part)
            if type(own) is not type(other):
                yield part, own.kind
            elif isinstance(own, Section):
                names = (name for name in type(own).model_fields if getattr(own, name) != getattr(other, name))
                yield from ((f"{part}.{name}", getattr(own, name)) for name in names)
            elif own != other:
                yield part, own

    def save(self, path: str | Path) -> Path:
        """Write the data set as a folder, atomically; an older data set at ``path`` is replaced.

        ``segue.open_dataset`` opens it; ``segue run``, ``tune``, ``evaluate``, ``distill`` and ``data`` accept it in
        place of a log.

        Returns:
            The folder.

        Raises:
            ArtifactError: ``path`` exists and is not a data set.
            StorageError: the write failed; the previous content of ``path`` is unchanged.
        """
        return DATASET.write(Path(path), {}, self._write_files)

    def _write_files(self, folder: Path) -> None:
        write_facts(folder, self, self.vocabulary)
        write_sessions(self.train, folder / TRAIN)
        for name, cases in self._cases().items():
            write_cases(cases, folder / name)

    def _cases(self) -> dict[str, Cases]:
        parts = {"valid": self.valid, "test": self.test}
        return {name: cases for name, cases in parts.items() if cases is not None}


def write_facts(folder: Path, facts: DatasetFacts, vocabulary: Vocabulary) -> None:
    """Write all of a data set but its arrays."""
    about = {
        "log": facts.log,
        "items": facts.items,
        "fingerprint": facts.fingerprint,
        "hash": facts.hash,
        "catalogue": facts.catalogue,
        "protocol": facts.protocol.model_dump(mode="json"),
        "stages": [asdict(stage) for stage in facts.stages],
        "notes": facts.notes,
        "overlapping_sessions": facts.overlapping_sessions,
        "reading": None if facts.reading is None else facts.reading.model_dump(),
    }
    write_json(folder / _ABOUT, about)
    write_vocabulary(vocabulary, folder / _ITEMS)


def open_dataset(path: str | Path) -> Dataset:
    """Open a folder that ``Dataset.save`` or ``segue prepare`` wrote.

    Its arrays are memory-mapped and read-only. All files are first verified against their checksums.

    Args:
        path: the folder, or the name of a folder in ``$SEGUE_DATA``.

    Raises:
        ArtifactError: it is missing, damaged, not a data set, or written by a newer or an incompatible version.
    """
    return read_unchanged(dataset_at(path) or Path(path), _open)


def _open(path: Path) -> Dataset:
    folder = DATASET.open(path)
    vocabulary = read_vocabulary(folder, _ITEMS)
    about = folder.read(_ABOUT, _read_about)
    try:
        protocol = Protocol.of(about.protocol, folder.path / _ABOUT)
    except (ParameterError, UnknownNameError) as error:
        raise ArtifactError(f"{folder.path / _ABOUT}: cannot be read ({error}); {folder.format.remedy}") from error
    if protocol_hash(protocol, about.fingerprint, about.catalogue) != about.hash:
        raise ArtifactError(
            f"{folder.path / _ABOUT}: has hash {about.hash}, which differs from the hash that this version of segue "
            "computes, so an incompatible version wrote it; prepare the log again"
        )
    valid, test = (
        read_cases(folder, name, vocabulary, exclude_seen=protocol.cases.exclude_seen)
        if name == "test" or f"{name}/items.npy" in folder
        else None
        for name in ("valid", "test")
    )
    assert test is not None
    train = read_sessions(folder, TRAIN, vocabulary)
    for name, cases in (("valid", valid), ("test", test)):
        if cases is not None and (columns := _schema(cases.prefixes.columns)) != _schema(train.columns):
            raise ArtifactError(
                f"{folder.path / name}: must have the columns of the training sessions, {_schema(train.columns)}, got "
                f"{columns}; {folder.format.remedy}"
            )
    return Dataset(
        protocol=protocol,
        fingerprint=about.fingerprint,
        hash=about.hash,
        train=train,
        valid=valid,
        test=test,
        stages=tuple(about.stages),
        notes=tuple(about.notes),
        overlapping_sessions=about.overlapping_sessions,
        log=about.log,
        items=about.items,
        catalogue=about.catalogue,
        reading=about.reading,
    )


def _schema(columns: Columns | None) -> dict[str, str]:
    return {} if columns is None else {name: str(columns.schema[name]) for name in columns.columns}


def dataset_at(path: str | Path) -> Path | None:
    """Return the folder of a data set, given its path or its name in ``$SEGUE_DATA``; None if it is not a data set."""
    folder = Path(path) if Path(path).exists() else find_log(str(path))
    return folder if folder is not None and DATASET.is_at(folder) else None


class _About(BaseModel):
    """The content of about.json."""

    model_config = ConfigDict(extra="forbid")

    log: str | None
    items: str | None
    fingerprint: str
    hash: str
    catalogue: str | None
    protocol: dict[str, Any]
    stages: list[Stage] = Field(min_length=1)
    notes: list[str]
    overlapping_sessions: int = Field(ge=0)
    reading: Reading | None = None


def _read_about(file: Path) -> _About:
    try:
        return _About.model_validate(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
