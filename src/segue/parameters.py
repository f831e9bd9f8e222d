"""Build, validate and describe configurations from names and values given by a user."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from segue.errors import ParameterError, UnknownNameError

ConfigT = TypeVar("ConfigT", bound=BaseModel)


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
        section = kinds.get(value.get(KIND, old.get(KIND))) or _section(info)
        if kinds and section:
            old = {key: one for key, one in old.items() if key in section.model_fields}
        elif config is None and KIND in value and KIND in old:
            old = {}
        merged[name] = merge(old, value, section)
    return merged


def kinds_of(info: FieldInfo | None) -> dict[Any, type[BaseModel]]:
    """Return the classes of a section that comes in several kinds, by kind; empty for any other parameter."""
    if info is None or info.discriminator is None:
        return {}
    return {kind: one for one in get_args(info.annotation) for kind in get_args(one.model_fields[KIND].annotation)}


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
    sections = (*kinds_of(info).values(), _section(info))
    return next((found for one in sections if one is not None and (found := field_of(one, rest)) is not None), None)


def typed(value: Any) -> str:
    """Return a value as one types it after ``--set``."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def build(
    config: type[ConfigT],
    owner: str,
    *,
    preset: str | None = None,
    base: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> ConfigT:
    """Build a configuration from its defaults, a preset and single parameters, in that order.

    Args:
        config: the class that declares the parameters, and their ``presets``.
        owner: prefix of a parameter in messages, for example ``"gru4rec"``.
        preset: name of a preset.
        base: all values, instead of the defaults.
        parameters: values by name; a section is a mapping.

    Raises:
        UnknownNameError: there is no such preset.
        ParameterError: all invalid parameters with their rules and the values received.
    """
    values: dict[str, Any] = dict(base) if base is not None else config.model_construct().model_dump()
    if preset is not None:
        presets: Mapping[str, Mapping[str, Any]] = getattr(config, "presets", {})
        if preset not in presets:
            raise UnknownNameError(f"preset of {owner}", preset, presets)
        values = merge(values, presets[preset], config)
    given = parameters or {}
    try:
        return config.model_validate(merge(values, given, config))
    except ValidationError as error:
        details = error.errors()
    # What the parameters leave without effect of the preset goes back to its default; they themselves are refused.
    paths = [path for detail in details if detail["type"] == IDLE for path in _idle_paths(config, detail)]
    if leftovers := [path for path in paths if not _holds(given, path) and _holds(values, path)]:
        for path in leftovers:
            values = _without(values, path)
        return build(config, owner, base=values, parameters=given)
    raise ParameterError("\n".join(_explain(owner, config, detail) for detail in details))


def _idle_paths(config: type[BaseModel], detail: Mapping[str, Any]) -> list[tuple[str, ...]]:
    place = tuple(_place(config, detail["loc"])[0].split("."))
    return [(*place, name) for name in detail["ctx"]["rules"]] or [place]


def _holds(values: Any, path: tuple[str, ...]) -> bool:
    return not path or (isinstance(values, Mapping) and path[0] in values and _holds(values[path[0]], path[1:]))


def _without(values: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    first, *rest = path
    others = {name: value for name, value in values.items() if name != first}
    return {**others, first: _without(values[first], tuple(rest))} if rest else others


_RULES = {
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "names and values",
    "model": "names and values",
}
"""Expected types, by the first word of pydantic's error types (``int_parsing``, ``bool_type``)."""


IDLE = "idle"


def idle(rule: str = "", **rules: str) -> PydanticCustomError:
    """Return the refusal of a parameter that has no effect, to raise in its validator.

    Args:
        rule: what the parameter must be, with the remedy.
        **rules: the same by parameter, in a validator of a whole section.
    """
    return PydanticCustomError(IDLE, "{rule}", {"rule": rule, "rules": rules})


def _explain(owner: str, config: type[BaseModel], detail: Mapping[str, Any]) -> str:
    name, kind_of_section = _place(config, detail["loc"])
    where = f"{owner}.{name}" if name else owner
    context: Mapping[str, Any] = detail.get("ctx", {})
    if detail["type"] == IDLE and context["rules"]:
        return "\n".join(f"{where}.{one}: must be {rule}" for one, rule in context["rules"].items())
    if detail["type"] == "extra_forbidden":
        return _unknown(owner, config, name, kind_of_section)
    if detail["type"] == "union_tag_invalid":
        return f"{where}: must be one of {context['expected_tags']}, got {context['tag']!r}"
    rule = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    kind, _, mistake = str(detail["type"]).partition("_")
    if mistake in ("type", "attributes_type", "parsing", "from_float"):
        example = f" such as '[{detail['input']}]'" if isinstance(detail["input"], str) else ""
        rule = f"a list{example}" if kind in ("tuple", "list") else _RULES.get(kind, rule)
    return f"{where}: must be {rule}, got {detail['input']!r}"


def _place(config: type[BaseModel], path: Iterable[Any]) -> tuple[str, str]:
    """Return the dotted name of a parameter, and the kind of its section if there are several.

    Args:
        config: the class that declares the parameters.
        path: where pydantic found a mistake; the kind of a section is part of it.
    """
    names, kind, kinds = [], "", kinds_of(None)
    section: type[BaseModel] | None = config
    for part in path:
        if part in kinds:
            section, kind, kinds = kinds[part], str(part), {}
        else:
            names.append(str(part))
            info = section.model_fields.get(str(part)) if section else None
            kinds, section = kinds_of(info), _section(info)
    return ".".join(names), kind


def _unknown(owner: str, config: type[BaseModel], name: str, kind: str) -> str:
    """Refuse a parameter that does not exist, or that another kind of its section has."""
    known = describe(config)
    kinds = [other for one in known if one.name == name for other in one.kinds]
    if not kinds:
        return str(UnknownNameError(f"parameter of {owner}", name, {one.name for one in known}))
    section = name.rpartition(".")[0]
    return (
        f"{owner}.{name}: belongs to {section} {', '.join(map(repr, kinds))}, got {section} '{kind}'; "
        f"leave it out, or set {owner}.{section}={kinds[0]}"
    )


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
