"""Build, validate and describe configurations from names and values given by a user."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from segue.errors import ParameterError, UnknownNameError

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` updated by ``changes``, recursively."""
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def flatten(values: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return nested values by dotted name, such as ``training.epochs``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{section}{name}.") if isinstance(value, Mapping) else {f"{section}{name}": value}
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted name as nested mappings: the inverse of ``flatten``."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        for part in reversed(name.split(".")):
            value = {part: value}  # noqa: PLW2901 (the value is wrapped from the inside out)
        tree = merge(tree, value)
    return tree


def field_of(config: type[BaseModel], name: str) -> FieldInfo | None:
    """Return the declaration of a parameter by its dotted name; None if it is not declared."""
    first, _, rest = name.partition(".")
    info = config.model_fields.get(first)
    if info is None or not rest:
        return info
    section = info.annotation
    return field_of(section, rest) if isinstance(section, type) and issubclass(section, BaseModel) else None


def typed(value: Any) -> str:
    """Return a value as one types it after ``--set``."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def build(
    config: type[ConfigT], owner: str, *, preset: str | None = None, parameters: Mapping[str, Any] | None = None
) -> ConfigT:
    """Build a configuration from its defaults, a preset and single parameters, in that order.

    Args:
        config: the class that declares the parameters, and their ``presets``.
        owner: prefix of a parameter in messages, for example ``"gru4rec"``.
        preset: name of a preset.
        parameters: values by name; a section is a mapping.

    Raises:
        UnknownNameError: there is no such preset.
        ParameterError: all invalid parameters with their rules and the values received.
    """
    values: dict[str, Any] = config.model_construct().model_dump()
    if preset is not None:
        presets: Mapping[str, Mapping[str, Any]] = getattr(config, "presets", {})
        if preset not in presets:
            raise UnknownNameError(f"preset of {owner}", preset, presets)
        values = merge(values, presets[preset])
    try:
        return config.model_validate(merge(values, parameters or {}))
    except ValidationError as error:
        lines = [_explain(owner, config, detail) for detail in error.errors()]
        raise ParameterError("\n".join(lines)) from None


_RULES = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "names and values",
    "model": "names and values",
}
"""Expected types, by the first word of pydantic's error types (``int_parsing``, ``bool_type``)."""


def _explain(owner: str, config: type[BaseModel], detail: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    where = f"{owner}.{name}" if name else owner
    if detail["type"] == "extra_forbidden":
        return str(UnknownNameError(f"parameter of {owner}", name, [one.name for one in describe(config)]))
    rule = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    kind, _, mistake = str(detail["type"]).partition("_")
    if mistake in ("type", "parsing", "from_float"):
        example = f" such as '[{detail['input']}]'" if isinstance(detail["input"], str) else ""
        rule = f"a list{example}" if kind in ("tuple", "list") else _RULES.get(kind, rule)
    return f"{where}: must be {rule}, got {detail['input']!r}"


@dataclass(frozen=True)
class Parameter:
    """A parameter as help and docs show it."""

    name: str
    default: Any
    rule: str
    meaning: str


def describe(config: type[BaseModel]) -> list[Parameter]:
    """List the parameters of a configuration by dotted name, with default, rule and meaning."""
    return list(_parameters(config.model_construct(), ""))


def _parameters(defaults: BaseModel, prefix: str) -> Iterator[Parameter]:
    for name, info in type(defaults).model_fields.items():
        default = getattr(defaults, name, None)
        if isinstance(default, BaseModel):
            yield from _parameters(default, f"{prefix}{name}.")
        else:
            yield Parameter(prefix + name, default, _rule(info), " ".join((info.description or "").split()))


_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _rule(info: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(part, name)}"
        for part in info.metadata
        for name, sign in _BOUNDS.items()
        if getattr(part, name, None) is not None
    ]
    return ", ".join([_type_name(info.annotation), *bounds])


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " | ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) is dict:
        return "names and values"
    if get_origin(kind) in (tuple, list):
        return f"list of {_type_name(get_args(kind)[0])}"
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        return " | ".join("none" if part is NoneType else _type_name(part) for part in get_args(kind))
    return getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind)
