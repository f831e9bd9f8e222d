"""From names and values typed by a user to a checked configuration."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from segue.errors import ParameterError, UnknownNameError

ConfigT = TypeVar("ConfigT", bound=BaseModel)


KIND = "kind"
"""Parameter by which a section that comes in several kinds names its own."""


class Section(BaseModel):
    """A section of a configuration: frozen, with a docstring for each parameter, and no other parameters."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` on top, section by section.

    A section that names its ``kind`` replaces the earlier one, and starts from the defaults of that kind. A name in
    place of a section is short for the kind.
    """
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        if not isinstance(value, Mapping) or KIND in value:
            merged[name] = value
        elif isinstance(old, str):
            merged[name] = {KIND: old, **value}
        else:
            merged[name] = merge(old, value) if isinstance(old, Mapping) else value
    return merged


def flatten(values: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return nested values by name, sections written with dots: the inverse of what ``--set`` makes of them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{section}{name}.") if isinstance(value, Mapping) else {f"{section}{name}": value}
    return flat


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted name as sections: the inverse of ``flatten``."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        for part in reversed(name.split(".")):
            value = {part: value}  # noqa: PLW2901 (the value is wrapped from the inside out)
        tree = merge(tree, value)
    return tree


def field_of(config: type[BaseModel], name: str) -> FieldInfo | None:
    """Return the declaration of a parameter by its dotted name; None if there is none, as within free values."""
    first, _, rest = name.partition(".")
    info = config.model_fields.get(first)
    if info is None or not rest:
        return info
    section = info.annotation
    return field_of(section, rest) if isinstance(section, type) and issubclass(section, BaseModel) else None


def typed(value: Any) -> str:
    """Return a value as it is typed behind ``--set``."""
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
        config: the class that declares the parameters; its ``presets`` holds the presets.
        owner: name to put before a parameter in messages, for example ``"gru4rec"``.
        preset: name of a preset.
        base: all values, instead of the defaults.
        parameters: values by name; a section is a mapping.

    Raises:
        UnknownNameError: there is no such preset.
        ParameterError: names, received values and rules of all parameters that are wrong.
    """
    values: dict[str, Any] = dict(base) if base is not None else config.model_construct().model_dump()
    if preset is not None:
        presets: Mapping[str, Mapping[str, Any]] = getattr(config, "presets", {})
        if preset not in presets:
            raise UnknownNameError(f"preset of {owner}", preset, presets)
        values = merge(values, presets[preset])
    given = parameters or {}
    try:
        return config.model_validate(merge(values, given))
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
"""What pydantic's mistakes of a type ask for, by the first word of their kind (``int_parsing``, ``bool_type``)."""


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


def _place(config: type[BaseModel], path: Sequence[Any]) -> tuple[str, str]:
    """Return the dotted name of a parameter, and the kind of the section that it is in if there are several.

    Args:
        config: the class that declares the parameters.
        path: where a mistake is, as pydantic says it: the kind of a section is part of it.
    """
    names, section, kind = [], config, ""
    kinds: dict[str, type[BaseModel]] = {}
    for part in path:
        if part in kinds:
            section, kind, kinds = kinds[part], str(part), {}
            continue
        names.append(str(part))
        info = section.model_fields.get(str(part))
        kinds = {} if info is None else kinds_of(info)
        if info is not None and isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            section = info.annotation
    return ".".join(names), kind


def kinds_of(info: FieldInfo) -> dict[str, type[BaseModel]]:
    """Return the classes of a section that comes in several kinds, by kind; empty for any other parameter."""
    if info.discriminator is None:
        return {}
    return {kind.model_fields[KIND].default: kind for kind in get_args(info.annotation)}


def _unknown(owner: str, config: type[BaseModel], name: str, kind: str) -> str:
    """Refuse a parameter that does not exist, or not in the kind of its section that was chosen."""
    known = describe(config)
    others = [f"'{one.kind}'" for one in known if one.name == name and one.kind]
    if not others:
        return str(UnknownNameError(f"parameter of {owner}", name, {one.name for one in known}))
    section = name.rpartition(".")[0]
    return (
        f"{owner}.{name}: belongs to {section} {' and '.join(others)}, got {section} '{kind}'; "
        f"leave it out, or set {owner}.{section}={others[0][1:-1]}"
    )


@dataclass(frozen=True)
class Parameter:
    """One parameter as a reader of the help or the docs sees it.

    Attributes:
        name: its name, sections written with dots.
        default: its default.
        rule: which values it takes.
        meaning: what it does.
        kind: the kind of section that it belongs to, where the section comes in several.
    """

    name: str
    default: Any
    rule: str
    meaning: str
    kind: str = ""


def describe(config: type[BaseModel]) -> list[Parameter]:
    """List the parameters of a configuration with default, rule and meaning; sections are written with dots."""
    return list(_parameters(config.model_construct(), ""))


def _parameters(defaults: BaseModel, prefix: str) -> Iterator[Parameter]:
    for name, info in type(defaults).model_fields.items():
        default, kinds = getattr(defaults, name, None), kinds_of(info)
        if kinds:
            yield Parameter(prefix + name, getattr(default, KIND), " | ".join(kinds), _meaning(info))
            for kind, section in kinds.items():
                own = _parameters(section.model_construct(), f"{prefix}{name}.")
                yield from (replace(one, kind=kind) for one in own if one.name != f"{prefix}{name}.{KIND}")
        elif isinstance(default, BaseModel):
            yield from _parameters(default, f"{prefix}{name}.")
        else:
            yield Parameter(prefix + name, default, _rule(info), _meaning(info))


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
