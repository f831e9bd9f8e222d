"""RecBole's configuration files, converted to run configurations of segue.

``load_recbole`` turns a RecBole configuration into a ``RunConfig``. Settings that are ignored are noted with the
reason; settings that contradict each other are refused.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segue import strict_yaml
from segue.errors import ParameterError
from segue.experiment.config import PROTOCOL, RunConfig
from segue.parameters import merge, typed
from segue.recbole.log import Log, place
from segue.recbole.models import COUNTERPARTS, Counterpart, Kind, counterpart
from segue.recbole.protocol import protocol_of, remarks_on_protocol
from segue.recbole.settings import GROUPS, SETTINGS, Given, Setting
from segue.recbole.training import parameters_of, remarks_on
from segue.validation import build

__all__ = ["COUNTERPARTS", "GROUPS", "SETTINGS", "Counterpart", "Setting", "load_recbole"]


def load_recbole(
    paths: Sequence[Path], options: Mapping[str, Any], settings: Mapping[str, Any] | None = None
) -> RunConfig:
    """Build a run configuration from RecBole's configuration files, and settings and options on top of them.

    Args:
        paths: the files; later files override earlier files.
        options: fields of ``RunConfig``; None means not given. Models may have RecBole's names.
        settings: settings of RecBole, which override those of the files. Text such as ``"0.01"`` or ``"[5, 10]"`` that
            is a Python literal is taken as its value, as in RecBole's ``config_dict`` and on its command line.

    Raises:
        ParameterError: a file cannot be read, settings contradict each other, or a value breaks its rule.
        UnknownNameError: a model or a metric has no counterpart in segue.
    """
    wishes = {name: value for name, value in options.items() if value is not None}
    if "protocol" in wishes:
        raise ParameterError(
            "--protocol: cannot be combined with --recbole; change its parameters with --set protocol.NAME=VALUE"
        )
    given = Given(_read_files(paths) | {name: _typed(value) for name, value in (settings or {}).items()})
    if given.has("config_files"):
        raise ParameterError("config_files: name the files after --recbole, separated by commas")
    named = given.take("model")
    asked = wishes.pop("models", None) or ([named] if named else [])
    models = [counterpart(name) for name in dict.fromkeys(asked)]
    if not models:
        raise ParameterError("--model: the RecBole configuration names no model; name one, such as BPR or SASRec")
    config = _translated(given, models, wishes.get("log"))
    return build(RunConfig, "config", parameters=merge(config, wishes))


def _translated(given: Given, models: Sequence[Counterpart], asked: str | None) -> dict[str, Any]:
    """Return the fields of the run configuration."""
    kind = _kind(models)
    path, form = place(given, asked)
    log = Log(given, kind)
    settings: dict[str, Any] = {PROTOCOL: protocol_of(given, log, kind)}
    for model in models:
        if model.recbole:
            settings[model.segue] = parameters_of(model, given)
    config: dict[str, Any] = {
        "log": path,
        "format": form,
        "columns": log.columns,
        "models": [model.segue for model in models],
        "protocol": "recbole",
        "set": settings,
        "seed": given.take("seed"),
        "device": "cpu" if given.take("gpu_id") == "" or not given.take("use_gpu") else "auto",
        "precision": _precision(given),
    }
    return {**config, "notes": [*_remarks(given, models, kind)]}


def _kind(models: Sequence[Counterpart]) -> Kind:
    """Return how the models are tested.

    Raises:
        ParameterError: in different ways.
    """
    names = {kind: [one.segue for one in models if one.kind == kind] for kind in ("general", "sequential")}
    if all(names.values()):
        raise ParameterError(
            f"--model: RecBole tests general models ({', '.join(names['general'])}) and sequential models "
            f"({', '.join(names['sequential'])}) differently; run them separately"
        )
    return models[0].kind


def _precision(given: Given) -> str:
    mixed = given.take("enable_amp")
    return ("bf16" if mixed else "fp32") if given.has("enable_amp") else "auto"


def _remarks(given: Given, models: Sequence[Counterpart], kind: Kind) -> Iterator[str]:
    """Yield notes on differences from RecBole, then on settings that were not used."""
    yield from remarks_on_protocol(given, kind)
    for model in models:
        yield from remarks_on(model, given)
    unheard = {name: reason for model in models for name, reason in model.unheard.items()}
    grouped: dict[str, list[str]] = {}
    for name, value in given.left().items():
        grouped.setdefault(_fate(name, unheard, models), []).append(f"{name} ({typed(value)})")
    yield from (f"RecBole's {', '.join(settings)}: {fate}" for fate, settings in grouped.items())


def _fate(name: str, unheard: Mapping[str, str], models: Sequence[Counterpart]) -> str:
    """Describe how an unused setting is handled, and why."""
    reason = unheard.get(name, unheard.get(name.partition(".")[0]))
    if reason is not None:
        return f"not honoured, {reason}"
    if name not in SETTINGS:
        return "no counterpart, the setting is unknown"
    if SETTINGS[name].fate == "honoured":
        return f"no effect on a run of {', '.join(model.segue for model in models)}"
    return f"{SETTINGS[name].fate}, {SETTINGS[name].becomes}"


def _typed(value: Any) -> Any:
    """Return the value of a Python literal, or of true and false in any case; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        literal = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return value
    return literal if isinstance(literal, str | int | float | list | tuple | dict | None) else value


_BOOL = re.compile(r"(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)\Z")


class _Loader(strict_yaml.StrictLoader):
    """Reads yes and no as true and false, as RecBole does."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("yYnNoO"))


def _read_files(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the settings of all files; if several files contain a setting, the last file wins.

    Raises:
        ParameterError: a file cannot be read, or is not a list of names and values.
    """
    settings: dict[str, Any] = {}
    for path in paths:
        settings |= _read(path)
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        content = strict_yaml.read(path, _Loader)
    except OSError as error:
        raise ParameterError(f"--recbole: {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ParameterError(f"--recbole: {path} cannot be read: {error}") from error
    if not isinstance(content, dict | None):
        raise ParameterError(f"--recbole: {path} must contain names and values, got {type(content).__name__}")
    return content or {}
