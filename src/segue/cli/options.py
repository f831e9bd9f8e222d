"""Options that several commands share, and how their values are read."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.errors import ArtifactError, ParameterError

if TYPE_CHECKING:
    from segue.experiment.config import RunConfig
    from segue.protocols.dataset import Dataset

Log = Annotated[
    str, typer.Argument(help="File or folder of the log, the name of one in $SEGUE_DATA, or a prepared data set.")
]
OptionalLog = Annotated[
    str | None,
    typer.Argument(
        help="File or folder of the log, the name of one in $SEGUE_DATA, or a prepared data set; "
        "a configuration file may name it instead."
    ),
]
PlainLog = Annotated[str, typer.Argument(help="File or folder of the log, or the name of one in $SEGUE_DATA.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format of the log, detected by default: csv, tsv, semicolon, bar, space, dat, sequences, pairs, jsonl, "
        "otto, recbole, yoochoose, diginetica or parquet.",
    ),
]
Columns = Annotated[list[str] | None, typer.Option("--columns", help="Column names: session=sid,item=iid,time=ts.")]
TimeFormat = Annotated[
    str | None,
    typer.Option(
        "--time-format",
        help="Format of the times, detected by default: s, ms, us, ns (numbers since 1970), yyyymmdd, mmdd, excel, or "
        'strptime codes: "%d/%m/%Y %H:%M".',
    ),
]
Quoting = Annotated[
    str | None,
    typer.Option(
        "--quoting",
        help="Double quotes in delimited text: double (as Python's csv module reads them), none (plain text), or auto: "
        "double, but a quoted field that contains whole rows is refused.",
    ),
]
Unit = Annotated[
    str | None,
    typer.Option("--unit", help="What one session is, detected by default: session (a visit) or user (a history)."),
]
Items = Annotated[str | None, typer.Option("--items", help="Table of items with their ids and metadata.")]
ItemVectors = Annotated[
    str | None,
    typer.Option("--item-vectors", help="Parquet file of items with a vector each, from a text or image model."),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="Evaluation protocol, chosen by the kind of log by default: session-next, leave-one-out, global-time, "
        "recbole, gru4rec-2015, yoochoose-1-64 or yoochoose-1-4.",
    ),
]
ProtocolSettings = Annotated[
    list[str] | None, typer.Option("--set", help="Protocol parameter: protocol.cleaning.k_core=5.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Random seed (0).")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run in the same folder.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the previous content of the folder.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
Precision = Annotated[
    str | None,
    typer.Option("--precision", help="auto, fp32 or bf16; auto is bf16 on a GPU that supports it, else fp32."),
]
Deterministic = Annotated[
    bool | None,
    typer.Option(
        "--deterministic", help="Use only deterministic algorithms: equal seeds give equal models also on a GPU."
    ),
]
CheckpointSeconds = Annotated[
    float | None,
    typer.Option(
        "--checkpoint-seconds",
        help="Seconds between two checkpoints inside an epoch (60); each epoch ends with one.",
    ),
]
ModelFolder = Annotated[Path, typer.Argument(help="Folder of a trained model, as a run writes it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


_LOG_OPTIONS: Mapping[str, Any] = {
    "log_format": Format,
    "columns": Columns,
    "quoting": Quoting,
    "time_format": TimeFormat,
    "unit": Unit,
    "items": Items,
    "item_vectors": ItemVectors,
}
"""How a log is read: options that every command on a log has."""


def with_log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how a log is read.

    The command has a parameter ``log_options``, which receives them by their names in ``RunConfig``; those that were
    not given are None.
    """
    signature = inspect.signature(command)
    own = [parameter for name, parameter in signature.parameters.items() if name != "log_options"]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _LOG_OPTIONS.items()
    ]

    @functools.wraps(command)
    def with_options(*args: Any, **values: Any) -> None:
        from segue.experiment.config import parse_assignments

        given = {name: values.pop(name) for name in _LOG_OPTIONS}
        given["format"] = given.pop("log_format")
        given["columns"] = parse_assignments("--columns", given["columns"]) if given["columns"] else None
        command(*args, **values, log_options=given)

    with_options.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in (*own, *shared)}
    return with_options


def log_arguments(config: "RunConfig") -> list[str]:
    """Return the log of a configuration and how it is read, as arguments of a command."""
    columns = ",".join(f"{role}={name}" for role, name in config.columns.items())
    quoting = None if config.quoting == "auto" else config.quoting
    options = {
        "--format": config.format,
        "--columns": columns or None,
        "--time-format": config.time_format,
        "--unit": config.unit,
        "--quoting": quoting,
        "--items": config.items,
        "--item-vectors": config.item_vectors,
    }
    given = [part for name, value in options.items() if value is not None for part in (name, value)]
    return [str(config.log), *given]


def training_options(
    preset: list[str] | None,
    settings: list[str] | None,
    seed: int | None,
    device: str | None,
    precision: str | None,
    deterministic: bool | None,
    checkpoint_seconds: float | None,
) -> dict[str, Any]:
    """Return the options of a training by their names in ``RunConfig``; None for options that were not given."""
    from segue.experiment.config import parse_assignments, parse_settings

    return {
        "preset": parse_assignments("--preset", preset) if preset else None,
        "set": parse_settings(settings) if settings else None,
        "seed": seed,
        "device": device,
        "precision": precision,
        "deterministic": deterministic,
        "checkpoint_seconds": checkpoint_seconds,
    }


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_size(option: str, text: str) -> int:
    """Return the bytes that a size such as ``8GB`` or ``600 MB`` stands for.

    Raises:
        ParameterError: it is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])i?B?\s*", text, re.IGNORECASE)
    if match is None:
        raise ParameterError(f"{option}: must be a size such as 8GB or 600MB, got '{text}'")
    return int(float(match[1]) * 1024 ** (1 + "KMGT".index(match[2].upper())))


def parse_duration(option: str, text: str, least: float = 1) -> float:
    """Return the seconds that a duration such as ``90s``, ``30m``, ``1h`` or ``1d`` stands for.

    Raises:
        ParameterError: it is not a duration, or shorter than ``least`` seconds.
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*([smhd])", text.strip())
    seconds = 0.0 if match is None else float(match[1]) * _UNITS[match[2]]
    if seconds < least:
        raise ParameterError(
            f"{option}: must be a number with its unit (s, m, h or d for seconds, minutes, hours or days), at least "
            f"{least:g}s, such as 30m, 1h or 1d, got '{text}'"
        )
    return seconds


def log_config(source: Mapping[str, Any], protocol: str | None, settings: list[str] | None) -> "RunConfig":
    """Return the configuration of a command that only prepares the log that ``log_options`` names."""
    from segue.experiment.config import PROTOCOL, load_config, parse_settings

    tree = parse_settings(settings or [])
    if others := sorted(tree.keys() - {PROTOCOL}):
        raise ParameterError(
            "--set: must name parameters of the protocol here, such as protocol.cleaning.k_core=5, got "
            f"{', '.join(others)}"
        )
    return load_config(None, {**source, "protocol": protocol, "set": tree})


def read_data(
    source: Mapping[str, Any], protocol: str | None, settings: list[str] | None
) -> "tuple[RunConfig, Dataset]":
    """Prepare the log, or open the prepared data set, that ``log_options`` names; ``--set`` sets the protocol."""
    from segue.experiment.prepared_data import prepare_log, with_prepared

    config, opened = with_prepared(log_config(source, protocol, settings))
    return config, opened or prepare_log(config)


def model_folder(path: Path) -> Path:
    """Check that a path is the folder of a model, and return it.

    Raises:
        ArtifactError: there is no such folder, or it is the folder of a run.
    """
    from segue.artifact import is_artifact

    if not path.exists():
        raise ArtifactError(f"{path}: does not exist; name the folder of a model that a run wrote")
    inside = sorted(folder for folder in path.iterdir() if is_artifact(folder)) if path.is_dir() else []
    if inside and not is_artifact(path):
        raise ArtifactError(
            f"{path}: must be the folder of a model, got a run; name one of its models: {', '.join(map(str, inside))}"
        )
    return path


def item_columns(artifact: Path, given: list[str] | None) -> dict[str, str]:
    """Return the columns of a table of items: those of the log of a model, unless ``--columns`` names others."""
    from segue.experiment.config import parse_assignments
    from segue.experiment.training_facts import reading_of

    reading = reading_of(artifact)
    return {**(reading.columns if reading else {}), **parse_assignments("--columns", given or [])}


def split_names(texts: list[str]) -> list[str]:
    """Split texts of comma-separated names."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]
