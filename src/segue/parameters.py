"""Parameters by name: sections of a configuration, values by dotted name, and what help and docs say of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

KIND = "kind"
"""Parameter of a section such as ``protocol.split`` or ``training.loss`` that says which class declares the others."""


class Section(BaseModel):
    """A section of a configuration: frozen, with a docstring for each parameter, and without unknown parameters."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], config: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return ``base`` updated by ``changes``, section by section; a bare name stands for the kind of a section.

    A section whose kind changes keeps the parameters that both kinds have; without ``config``, which declares them, it
    keeps none.
    """
    merged = dict(base)
    for name, value in changes.items():
        old, info = merged.get(name), config.model_fields.get(name) if config else None
        kinds = kinds_of(info)
        if kinds or config is None:
            old = {KIND: old} if isinstance(old, str) and isinstance(value, Mapping) else old
            value = {KIND: value} if isinstance(value, str) and isinstance(old, Mapping) else value  # noqa: PLW2901
        if not (isinstance(old, Mapping) and isinstance(value, Mapping)):
            merged[name] = value
            continue
        kind = value.get(KIND, old.get(KIND))
        section = (kinds.get(kind) if isinstance(kind, str) else None) or section_of(info)
        if kinds and section:
            old = {key: one for key, one in old.items() if key in section.model_fields}
        elif config is None and KIND in value:
            old = {}
        merged[name] = merge(old, value, section)
    return merged


def kinds_of(info: FieldInfo | None) -> dict[Any, type[BaseModel]]:
    """Return the classes of a section that comes in several kinds, by kind; empty for any other parameter."""
    if info is None or info.discriminator is None:
        return {}
    return {kind: one for one in get_args(info.annotation) for kind in get_args(one.model_fields[KIND].annotation)}


def section_of(info: FieldInfo | None) -> type[BaseModel] | None:
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
    """Return values by dotted name as nested mappings: the inverse of ``flatten``.

    The kind of a section is set before its parameters, in whatever order they are given.
    """
    tree: dict[str, Any] = {}
    for name, value in sorted(values.items(), key=lambda one: (one[0].count("."), not one[0].endswith(f".{KIND}"))):
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
    sections = (*kinds_of(info).values(), section_of(info))
    return next((found for one in sections if one is not None and (found := field_of(one, rest)) is not None), None)


def typed(value: Any) -> str:
    """Return a value as one types it after ``--set``."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


@dataclass(frozen=True)
class Parameter:
    """A parameter as help and docs show it.

    Attributes:
        name: its dotted name.
        default: its default.
        rule: its type and bounds.
        meaning: its docstring.
        kinds: the kinds of its section that have it, if not all of them do.
    """

    name: str
    default: Any
    rule: str
    meaning: str
    kinds: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Its meaning, and the kinds that have it."""
        return f"{self.meaning} Used by {', '.join(self.kinds)}." if self.kinds else self.meaning


def describe(config: type[BaseModel]) -> list[Parameter]:
    """List the parameters of a configuration by dotted name, with default, rule and meaning."""
    return list(_parameters(config.model_construct(), ""))


def _parameters(defaults: BaseModel, prefix: str) -> Iterator[Parameter]:
    for name, info in type(defaults).model_fields.items():
        default, kinds = getattr(defaults, name, None), kinds_of(info)
        if kinds:
            yield Parameter(prefix + name, getattr(default, KIND), " | ".join(kinds), _meaning(info))
            yield from _parameters_of_kinds(default, kinds, f"{prefix}{name}.")
        elif isinstance(default, BaseModel):
            yield from _parameters(default, f"{prefix}{name}.")
        else:
            yield Parameter(prefix + name, default, _rule(info), _meaning(info))


def _parameters_of_kinds(default: Any, kinds: Mapping[Any, type[BaseModel]], prefix: str) -> Iterator[Parameter]:
    """Yield the parameters of a section that comes in several kinds; those that are alike in several once."""
    found: dict[str, Parameter] = {}
    for kind, section in kinds.items():
        shared = {name: getattr(default, name) for name in section.model_fields if hasattr(default, name)}
        for one in _parameters(section.model_construct(**shared), prefix):
            if one.name != prefix + KIND:
                earlier = found.setdefault(repr(one), one)
                found[repr(one)] = replace(earlier, kinds=(*earlier.kinds, kind))
    for one in found.values():
        yield replace(one, kinds=()) if len(one.kinds) == len(kinds) else one


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
