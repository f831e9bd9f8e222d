"""Build a configuration from names and values given by a user, and explain every problem in them."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from segue.errors import InputError, ParameterError, UnknownNameError
from segue.parameters import describe, kinds_of, merge, section_of
from segue.printable import short

ConfigT = TypeVar("ConfigT", bound=BaseModel)

OPTION = "--"
"""Owner of parameters that are options of a command: ``max_items`` is ``--max-items``."""
NO_EFFECT = "no_effect"

_MAX_EXAMPLE = 40
_MAX_PROBLEMS = 20
"""Problems that a message explains; the others are counted."""


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
        owner: prefix of a parameter in messages, for example ``"gru4rec"``, or ``OPTION``.
        preset: name of a preset.
        base: all values, instead of the defaults.
        parameters: values by name; a section is a mapping.

    Raises:
        UnknownNameError: there is no such preset.
        ParameterError: there are no presets, or all invalid parameters with their rules and the values received.
    """
    values: dict[str, Any] = dict(base) if base is not None else config.model_construct().model_dump()
    if preset is not None:
        presets: Mapping[str, Mapping[str, Any]] = getattr(config, "presets", {})
        if not presets:
            raise ParameterError(f"{owner} has no presets, got {short(preset)}; leave the preset out")
        if preset not in presets:
            raise UnknownNameError(f"preset of {owner}", preset, presets)
        values = merge(values, presets[preset], config)
    given = parameters or {}
    try:
        return config.model_validate(merge(values, given, config))
    except ValidationError as error:
        details = error.errors()
    # What the parameters leave without effect of the preset goes back to its default; they themselves are refused.
    paths = [
        path for detail in details if detail["type"] == NO_EFFECT for path in _paths_without_effect(config, detail)
    ]
    if leftovers := [path for path in paths if not _holds(given, path) and _holds(values, path)]:
        for path in leftovers:
            values = _without(values, path)
        return build(config, owner, base=values, parameters=given)
    more = [f"... and {len(details) - _MAX_PROBLEMS:,} more problems"] if len(details) > _MAX_PROBLEMS else []
    raise ParameterError(*(line for one in details[:_MAX_PROBLEMS] for line in _explain(owner, config, one)), *more)


def _paths_without_effect(config: type[BaseModel], detail: Mapping[str, Any]) -> list[tuple[str, ...]]:
    place = tuple(_place(config, detail["loc"])[0].split("."))
    return [(*place, name) for name in detail["ctx"]["parameters"]] or [place]


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


NoEffect = tuple[str, str]
"""Why a parameter has no effect, and the remedy."""


def without_effect(reason: str, remedy: str = "remove it") -> PydanticCustomError:
    """Return the error of a parameter that has no effect, to raise in its validator."""
    return PydanticCustomError(NO_EFFECT, "{reason}", {"reason": reason, "remedy": remedy, "parameters": {}})


def parameters_without_effect(section: BaseModel, parameters: Mapping[str, NoEffect]) -> PydanticCustomError:
    """Return the error of parameters of a section that have no effect, to raise in a validator of the section."""
    found = {name: (*no_effect, getattr(section, name)) for name, no_effect in parameters.items()}
    return PydanticCustomError(NO_EFFECT, "{parameters}", {"parameters": found})


def _explain(owner: str, config: type[BaseModel], detail: Mapping[str, Any]) -> list[str]:
    name, kind_of_section = _place(config, detail["loc"])
    where = _called(owner, name)
    context: Mapping[str, Any] = detail.get("ctx", {})
    if detail["type"] == NO_EFFECT:
        own = {where: (context.get("reason"), context.get("remedy"), detail["input"])}
        found = {_called(where, one): no_effect for one, no_effect in context["parameters"].items()} or own
        return [
            f"{one}: has no effect {reason}, got {short(value)}; {remedy}"
            for one, (reason, remedy, value) in found.items()
        ]
    if isinstance(error := context.get("error"), InputError):
        told = f"metric '{detail['input']}': " if name.endswith("metric") else ""
        return [f"{where}: {line.removeprefix(told)}" for line in error.lines]
    if detail["type"] == "extra_forbidden":
        return [_unknown(owner, config, name, kind_of_section)]
    if detail["type"] == "union_tag_invalid":
        return [f"{where}: must be one of {context['expected_tags']}, got {short(context['tag'])}"]
    rule = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    kind, _, problem = str(detail["type"]).partition("_")
    if problem in ("type", "attributes_type", "parsing", "parsing_size", "from_float"):
        value = detail["input"]
        example = f" such as '[{value}]'" if isinstance(value, str) and len(value) < _MAX_EXAMPLE else ""
        rule = f"a list{example}" if kind in ("tuple", "list") else _RULES.get(kind, rule)
    return [f"{where}: must be {rule}, got {short(detail['input'])}"]


def _called(owner: str, name: str) -> str:
    """Return what a parameter is called in messages."""
    if owner == OPTION:
        return OPTION + name.partition(".")[0].replace("_", "-")
    return f"{owner}.{name}" if name else owner


def _place(config: type[BaseModel], path: Iterable[Any]) -> tuple[str, str]:
    """Return the dotted name of a parameter, and the kind of its section if there are several.

    Args:
        config: the class that declares the parameters.
        path: where pydantic found a problem; the kind of a section is part of it.
    """
    names, kind, kinds = [], "", kinds_of(None)
    section: type[BaseModel] | None = config
    for part in path:
        if part in kinds:
            section, kind, kinds = kinds[part], str(part), {}
        else:
            names.append(str(part))
            info = section.model_fields.get(str(part)) if section else None
            kinds, section = kinds_of(info), section_of(info)
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
