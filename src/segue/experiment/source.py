"""Data of a run: a log that is read and prepared, or a data set that was prepared before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.data.events import Events
from segue.data.readers.public_logs import find_log
from segue.data.readers.read import read
from segue.errors import ParameterError
from segue.experiment.config import PROTOCOL, RunConfig
from segue.parameters import merge
from segue.protocols.dataset import MEASURING, Dataset, dataset_at, open_dataset
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
    settings = {name: value for name, value in config.set.get(PROTOCOL, {}).items() if not _is_own(opened, name, value)}
    protocol = None if config.protocol == opened.protocol.name else config.protocol
    mistakes = [
        f"{option}: cannot be used with {folder}, which is prepared already; leave it out, or name the log"
        for option, given in (
            ("--protocol", protocol),
            ("--format", config.format),
            ("--columns", config.columns),
            ("--items", config.items),
            *((f"--set {PROTOCOL}.{name}", True) for name in settings if _is_of_preparation(name)),
        )
        if given
    ]
    if mistakes:
        raise ParameterError("\n".join(mistakes))
    data = opened.measured_by(settings)
    metric = data.protocol.valid_metric
    chosen = config.set if metric is None else merge(config.set, {PROTOCOL: {"valid_metric": metric}})
    return config.model_copy(update={"log": data.log or config.log, "set": chosen}), data


def protocol_settings(protocol: Protocol) -> tuple[str | None, dict[str, Any]]:
    """Return a protocol as a configuration names it: its preset, and the parameters that differ from the preset."""
    name = protocol.name if protocol.name in Protocol.presets else None
    usual = (Protocol() if name is None else Protocol.named(name)).model_dump(mode="json")
    values = protocol.model_dump(mode="json")
    return name, {one: value for one, value in values.items() if one != "name" and value != usual[one]}


def _is_own(data: Dataset, name: str, value: Any) -> bool:
    """Say whether a data set was prepared with this value of a parameter, so that it may be named again."""
    if not _is_of_preparation(name):
        return False
    try:
        return bool(getattr(data.protocol.changed({name: value}), name) == getattr(data.protocol, name))
    except ParameterError:
        return False


def _is_of_preparation(name: str) -> bool:
    """Say whether a parameter of the protocol decides what is prepared; one that does not exist decides nothing."""
    return name in Protocol.model_fields and name not in MEASURING


def prepare_log(config: RunConfig, events: Events | None = None) -> Dataset:
    """Read the log, unless ``events`` holds it, and prepare it.

    Raises:
        InputError: no log is named, or the log or the protocol breaks a rule.
    """
    settings: Mapping[str, Any] = config.set.get(PROTOCOL, {})
    return prepare(events or read_log(config), config.protocol, **settings)


def read_log(config: RunConfig) -> Events:
    """Read the log with the metadata of its items.

    Raises:
        InputError: no log is named, or the log breaks a rule.
    """
    if config.log is None:
        raise ParameterError("LOG: is missing; name a file, a folder or a log in $SEGUE_DATA (try: segue demo)")
    return read(config.log, format=config.format, columns=config.columns, items=_items(config.items))


def _items(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name) if Path(name).exists() else find_log(name)
    if path is None or not path.is_file():
        raise ParameterError(
            f"--items: must be a file, or the name of one in $SEGUE_DATA, got '{name}'; check the name"
        )
    return path
