"""Data of a run: a log that is read and prepared, or a data set that was prepared before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.data.events import Events
from segue.data.partitions import Engine
from segue.data.readers.folder import find_metadata_files
from segue.data.readers.public_logs import find_log
from segue.data.readers.read import read, resolve_path, select_files
from segue.data.readers.staging import StagedLog, stage
from segue.data.reading import Reading
from segue.errors import ParameterError
from segue.experiment.config import PROTOCOL, RunConfig
from segue.parameters import KIND, merge
from segue.protocols.dataset import Dataset, dataset_at, open_dataset
from segue.protocols.out_of_core import Prepared, piece_size, prepare_to_folder
from segue.protocols.prepare import prepare
from segue.protocols.protocol import Protocol


def with_prepared(config: RunConfig, events: Events | None = None) -> tuple[RunConfig, Dataset | None]:
    """Open the data set that a configuration names instead of a log; if it names a log, nothing is opened.

    Args:
        config: the configuration of the run.
        events: the log itself; ``log`` is only its name then.

    Returns:
        The configuration, with the name of the log behind the data set and the metric by which its protocol chooses
        epochs; and the data set, with the metrics and ranking of the configuration.

    Raises:
        ParameterError: the configuration also says how to read or prepare a log.
        ArtifactError: the folder is damaged, or an incompatible version wrote it.
    """
    folder = None if events is not None or config.log is None else dataset_at(config.log)
    if folder is None:
        return config, None
    opened = open_dataset(folder)
    settings = config.set.get(PROTOCOL, {})
    protocol = None if config.protocol == opened.protocol.name else config.protocol
    problems = [
        f"{option}: cannot be used with {folder}, which is prepared already; leave it out, or name the log"
        for option, given in (
            ("--protocol", protocol),
            ("--format", config.format),
            ("--columns", config.columns),
            ("--quoting", config.quoting != "auto"),
            ("--time-format", config.time_format),
            ("--unit", config.unit),
            ("--items", config.items),
            ("--item-vectors", config.item_vectors),
            *((f"--set {PROTOCOL}.{name}", True) for name, _ in opened.prepared_otherwise(settings)),
        )
        if given
    ]
    if problems:
        raise ParameterError(*problems)
    data = opened.measured_by(settings)
    metric = data.protocol.valid_metric
    chosen = config.set if metric is None else merge(config.set, {PROTOCOL: {"valid_metric": metric}})
    return config.model_copy(update={"log": data.log or config.log, "set": chosen}), data


def protocol_settings(protocol: Protocol) -> tuple[str | None, dict[str, Any]]:
    """Return a protocol as a configuration names it: its preset, and the parameters that differ from the preset."""
    name = protocol.name if protocol.name in Protocol.presets else None
    usual = (Protocol() if name is None else Protocol.named(name)).model_dump(mode="json")
    values = protocol.model_dump(mode="json", exclude={"name"})
    return name, {
        part: own for part, value in values.items() if (own := _changes(usual[part], value)) not in ({}, None)
    }


def _changes(usual: Any, value: Any) -> Any:
    """Return the parameters of a part of a protocol that differ from the default; all for another kind of split."""
    if not isinstance(value, dict):
        return None if value == usual else value
    if value.get(KIND) != usual.get(KIND):
        return value
    return {name: one for name, one in value.items() if one != usual[name]}


def prepare_log(config: RunConfig, events: Events | None = None) -> Dataset:
    """Read the log, unless ``events`` holds it, and prepare it.

    Raises:
        InputError: no log is named, or the log or the protocol breaks a rule.
    """
    settings: Mapping[str, Any] = config.set.get(PROTOCOL, {})
    return prepare(events or read_log(config), config.protocol, **settings)


def prepare_log_to(config: RunConfig, out: Path, engine: Engine, memory: int) -> Prepared:
    """Prepare a log of any size and write the data set: what ``prepare_log(config).save(out)`` writes.

    Args:
        config: names the log and the protocol.
        out: the folder to write.
        engine: runs the work on partitions of the log.
        memory: bytes that a process may take, about.

    Raises:
        InputError: as ``prepare_log``.
    """
    return prepare_to_folder(
        stage_log(config, engine, memory),
        out,
        engine,
        memory=memory,
        protocol=config.protocol,
        parameters=config.set.get(PROTOCOL, {}),
        log=config.log_name,
        items=config.items,
    )


def stage_log(config: RunConfig, engine: Engine, memory: int, like: Reading | None = None) -> StagedLog:
    """Read a log of any size in pieces; see ``prepare_log_to`` and ``read_log`` for the arguments.

    Raises:
        InputError: no log is named, or the log breaks a rule.
    """
    return stage(required_log(config), engine, piece_bytes=piece_size(memory), like=like, **_reading(config))


def required_log(config: RunConfig) -> str:
    """Return the log that a configuration names.

    Raises:
        ParameterError: it names none.
    """
    if config.log is None:
        raise ParameterError("LOG: is missing; name a file, a folder or a log in $SEGUE_DATA (try: segue demo)")
    return config.log


def read_log(config: RunConfig, like: Reading | None = None) -> Events:
    """Read the log with the metadata and the vectors of its items.

    Args:
        config: the log, and how it is read.
        like: how the log of a model was read; the default of what ``config`` does not say.

    Raises:
        InputError: no log is named, or the log breaks a rule.
    """
    return read(required_log(config), like=like, **_reading(config))


def _reading(config: RunConfig) -> dict[str, Any]:
    """Return the arguments of ``segue.read``."""
    return {
        "format": config.format,
        "columns": config.columns,
        "quoting": config.quoting,
        "time_format": config.time_format,
        "unit": config.unit,
        "items": _table("--items", config.items),
        "item_vectors": _table("--item-vectors", config.item_vectors),
    }


def _table(option: str, name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name) if Path(name).exists() else find_log(name)
    if path is None or not path.is_file():
        raise ParameterError(
            f"{option}: must be a file, or the name of one in $SEGUE_DATA, got '{name}'; check the name"
        )
    return path


def source_files(config: RunConfig) -> list[list[Any]]:
    """Return name, size and time of modification of each file that a log is read from, to tell whether it changed."""
    named = [resolve_path(required_log(config)), _table("--items", config.items)]
    named.append(_table("--item-vectors", config.item_vectors))
    files = [file for path in named if path is not None for file in _files_at(path)]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _files_at(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    files = [file for files in select_files(path).parts.values() for file in files]
    return [*files, *(file for file, _ in find_metadata_files(files[0]))]


def require_validation(data: Dataset, purpose: str) -> None:
    """Refuse a data set whose validation part is missing, empty, or the test part itself.

    Args:
        data: the prepared log.
        purpose: what validation is needed for, such as ``tune``.

    Raises:
        ParameterError: validation cannot choose.
    """
    split = data.protocol.split
    if not split.test_is_disjoint:
        raise ParameterError(
            f"protocol.split.leave: must be 'valid_and_test' to {purpose}, got 'valid_only': with it, validation and "
            "test are the same events, so the result would be too optimistic"
        )
    if data.valid is None or not len(data.valid):
        parameter = f"{PROTOCOL}.split.{split.validation_parameter}"
        found = (
            f"its validation part has no case left: hold out more with {parameter}"
            if split.has_validation
            else f"the split '{split.kind}' holds out none here; set {parameter} to hold one out"
        )
        raise ParameterError(
            f"protocol: must hold out a validation part to {purpose} on, and for '{data.protocol.name}' {found}"
        )
