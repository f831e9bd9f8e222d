"""Build, validate and describe configurations from names and values given by a user."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from segue.errors import ParameterError, UnknownNameError

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class Section(BaseModel):
    """A section of a configuration: frozen, without unknown names, infinities or not-a-numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


TAG = "name"
"""Parameter of a tagged section, such as ``training.loss``, that says which of several classes declares the others."""


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], config: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return ``base`` with ``changes`` on top, section by section; a bare name stands for the tag of a section.

    Args:
        base: values by name.
        changes: values that replace them.
        config: declares the values; a tagged section whose tag changes keeps the parameters that both classes have.
    """
    merged = dict(base)
    for name, value in changes.items():
        old, info = merged.get(name), config.model_fields.get(name) if config else None
        classes = tagged_classes(info)
        if classes or config is None:
            old = {TAG: old} if isinstance(old, str) and isinstance(value, Mapping) else old
            value = {TAG: value} if isinstance(value, str) and isinstance(old, Mapping) else value  # noqa: PLW2901
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            chosen = classes.get(value.get(TAG, old.get(TAG)))
            kept = {key: one for key, one in old.items() if key in chosen.model_fields} if chosen else old
            merged[name] = merge(kept, value, _section(info))
        else:
            merged[name] = value
    return merged


def tagged_classes(info: FieldInfo | None) -> dict[Any, type[BaseModel]]:
    """Return the classes of a tagged section by tag; nothing for any other parameter."""
    if info is None or info.discriminator is None:
        return {}
    return {tag: one for one in get_args(info.annotation) for tag in get_args(one.model_fields[TAG].annotation)}


def _section(info: FieldInfo | None) -> type[BaseModel] | None:
    """Return the class of a section; None for any other parameter."""
    kind = info.annotation if info else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


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
    sections = (*tagged_classes(info).values(), _section(info))
    return next((found for one in sections if one is not None and (found := field_of(one, rest)) is not None), None)


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
        values = merge(values, presets[preset], config)
    try:
        return config.model_validate(merge(values, parameters or {}, config))
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
    path, tag, classes = _located(config, detail["loc"])
    where = ".".join([owner, *path])
    if detail["type"] == "extra_forbidden":
        users = [other for other, one in classes.items() if path[-1] in one.model_fields]
        if users:
            return (
                f"{where}: must be left out with the {path[-2]} '{tag}', got {detail['input']!r}: "
                f"it is used by {', '.join(users)}"
            )
        return str(UnknownNameError(f"parameter of {owner}", ".".join(path), [one.name for one in describe(config)]))
    if detail["type"] == "union_tag_invalid":
        return f"{where}: must be one of {detail['ctx']['expected_tags']}, got {detail['ctx']['tag']!r}"
    rule = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    kind, _, mistake = str(detail["type"]).partition("_")
    if mistake in ("type", "parsing", "from_float", "attributes_type"):
        example = f" such as '[{detail['input']}]'" if isinstance(detail["input"], str) else ""
        rule = f"a list{example}" if kind in ("tuple", "list") else _RULES.get(kind, rule)
    return f"{where}: must be {rule}, got {detail['input']!r}"


def _located(config: type[BaseModel], loc: Iterable[Any]) -> tuple[list[str], Any, dict[Any, type[BaseModel]]]:
    """Return the path of a mistake without tags, and tag and classes of the tagged section that it is in."""
    path: list[str] = []
    section: type[BaseModel] | None = config
    tag, classes, inner = None, tagged_classes(None), tagged_classes(None)
    for part in loc:
        if part in inner:
            tag, classes, inner, section = part, inner, {}, inner[part]
        else:
            path.append(str(part))
            info = section.model_fields.get(part) if section else None
            inner, section = tagged_classes(info), _section(info)
    return path, tag, classes


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
        default, classes = getattr(defaults, name, None), tagged_classes(info)
        if classes:
            yield Parameter(prefix + name, getattr(default, TAG), " | ".join(classes), _meaning(info))
            yield from _tagged_parameters(default, classes, f"{prefix}{name}.")
        elif isinstance(default, BaseModel):
            yield from _parameters(default, f"{prefix}{name}.")
        else:
            yield Parameter(prefix + name, default, _rule(info), _meaning(info))


def _tagged_parameters(default: Any, classes: Mapping[str, type[BaseModel]], prefix: str) -> Iterator[Parameter]:
    fields = {name: info for one in classes.values() for name, info in one.model_fields.items() if name != TAG}
    for name, info in fields.items():
        users = [tag for tag, one in classes.items() if name in one.model_fields]
        by = f" Used by {', '.join(users)}." if len(users) < len(classes) else ""
        yield Parameter(prefix + name, getattr(default, name, info.default), _rule(info), _meaning(info) + by)


def _meaning(info: FieldInfo) -> str:
    return " ".join((info.description or "").split())


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
