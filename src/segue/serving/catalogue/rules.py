"""Business rules: the file that declares them, read strictly.

A rule has a name, one kind, and the items that it is for. What rules do to a list is in ``segue.serving.listing``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from segue import strict_yaml
from segue.errors import ParameterError, UnknownNameError
from segue.parameters import Section
from segue.printable import one_line, short
from segue.serving.schema.messages import MAX_ID_BYTES
from segue.strict_json import digest
from segue.validation import build

MAX_RULES = 200
MAX_ITEMS = 10_000
"""Ids, or values of a column, that one rule may name."""

MAX_POSITION = 500
SHOWN_MISTAKES = 20

SECTIONS = ("rules", "experiment")
"""Sections of the file; ``segue.serving.experiments`` reads the second one, which may be in a file of its own."""

Kind = Literal["pin", "boost", "bury", "block", "availability", "diversity", "freshness"]
KINDS: tuple[Kind, ...] = ("pin", "boost", "bury", "block", "availability", "diversity", "freshness")

_ONE_KIND = f"a rule of one kind ({', '.join(KINDS)})"

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


def _as_list(value: Any) -> Any:
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed:
        raise ValueError("at least one; remove the rule if it is for nothing")
    return listed


def _plain_id(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"ids of items, which are text or whole numbers; quote {short(str(value))} if it is an id")
    if not 0 < len(str(value).encode()) <= MAX_ID_BYTES:
        raise ValueError(f"ids of 1 to {MAX_ID_BYTES} bytes")
    return str(value)


def _true(value: Any) -> Any:
    if value is not True and str(value).lower() not in ("yes", "on"):  # Text in YAML 1.2.
        raise ValueError("true; remove the rule if it blocks nothing")
    return True


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError("a value, or a list of values")
    if value is None:
        raise ValueError("a value; items without one cannot be selected")
    return value


Ids = Annotated[
    tuple[Annotated[str, BeforeValidator(_plain_id)], ...],
    BeforeValidator(_as_list),
    Field(max_length=MAX_ITEMS),
]
Values = Annotated[
    tuple[Annotated[Any, BeforeValidator(_plain_value)], ...],
    BeforeValidator(_as_list),
    Field(max_length=MAX_ITEMS),
]
Block = Annotated[Literal[True], BeforeValidator(_true)]
Factor = Annotated[float, Field(ge=1, le=1000)]


class Availability(Section):
    """Only the selected items are listed."""

    stale_after_hours: float | None = Field(None, gt=0)
    """Warn when no item has been updated through the API for this long."""


class Diversity(Section):
    """At most so many items of the same value in a list."""

    column: Name
    """Column of the items."""
    most: int = Field(ge=1, le=MAX_POSITION)
    """Items of the same value; those beyond follow behind all others."""


class Freshness(Section):
    """New items score higher."""

    column: Name
    """Column with the time since which an item is there."""
    boost: Factor
    """Factor of a new item."""
    newer_than_days: float | None = Field(None, gt=0, le=100_000)
    """Age up to which an item is new."""
    half_life_days: float | None = Field(None, gt=0, le=100_000)
    """What the boost is above 1 halves each time that an item gets older by this."""

    @model_validator(mode="after")
    def _has_one_age(self) -> Self:
        if (self.newer_than_days is None) == (self.half_life_days is None):
            raise ValueError("a freshness with either newer_than_days or half_life_days")
        return self


class Rule(Section):
    """A rule: one kind, and the items that it is for."""

    name: Name
    """Name of the rule, which answers show."""
    pin: int | None = Field(None, ge=1, le=MAX_POSITION)
    """Position of the best of the items, counted from 1."""
    boost: Factor | None = None
    """Multiplies positive scores, and divides negative ones."""
    bury: float | None = Field(None, gt=0, le=1)
    """Multiplies positive scores, and divides negative ones."""
    block: Block | None = None
    """The items are never listed."""
    availability: Availability | None = None
    """Only the items are listed."""
    diversity: Diversity | None = None
    """At most so many items of the same value in a list."""
    freshness: Freshness | None = None
    """New items score higher."""
    items: Ids | None = None
    """Ids of items."""
    where: Annotated[dict[Name, Values], Field(max_length=16)] | None = None
    """Values of metadata by column; an item needs one of the values of each column."""

    @property
    def kind(self) -> Kind:
        """What the rule does."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(_ONE_KIND)
        selects = bool(self.items or self.where)
        if not selects and given[0] in ("pin", "boost", "bury", "block"):
            raise ValueError(f"a {given[0]} with items or where, which say what it is for")
        if self.availability is not None and not selects and self.availability.stale_after_hours is None:
            raise ValueError("an availability with items, where or stale_after_hours; else it has no effect")
        if self.diversity is not None and selects:
            raise ValueError("a diversity without items and where: it is for all items")
        return self


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules of a file.

    Attributes:
        rules: the rules.
        version: hash of what the file says; the layout of the file does not matter.
    """

    rules: tuple[Rule, ...] = ()
    version: str = ""

    @classmethod
    def read(cls, file: Path) -> "Rules":
        """Read a file.

        Raises:
            ParameterError: it cannot be read, or is wrong: every mistake in it.
        """
        try:
            content = strict_yaml.read(file)
        except OSError as error:
            raise ParameterError(f"{file}: cannot be read ({error.strerror or error}); name a YAML file") from error
        except ValueError as error:
            raise ParameterError(f"{file}: {error}") from error
        return cls.parse(content, str(file))

    @classmethod
    def parse(cls, content: Any, place: str) -> "Rules":
        """Check the content of a file.

        Args:
            content: the content, as plain values.
            place: name of the file, for messages.

        Raises:
            ParameterError: every mistake in it.
        """
        given = content if isinstance(content, dict) else {}
        if not isinstance(given.get("rules"), list):  # An empty file may be one that is just being written.
            remedy = "write 'rules: []' for none"
            raise ParameterError(f"{place}: must have a list under the name 'rules', got {short(content)}; {remedy}")
        problems = [str(UnknownNameError(f"name in {place}", name, SECTIONS)) for name in given if name not in SECTIONS]
        listed = given["rules"]
        if len(listed) > MAX_RULES:
            raise ParameterError(
                f"{place}: must have at most {MAX_RULES} rules, got {len(listed):,}; select more by one"
            )
        found = []
        for number, one in enumerate(listed, start=1):
            try:
                found.append(_rule(one, f"{place}, rule {number}"))
            except (ParameterError, UnknownNameError) as error:
                problems += error.lines
        problems += _conflicts(listed, place)
        if problems:
            more = len(problems) - SHOWN_MISTAKES
            raise ParameterError(*problems[:SHOWN_MISTAKES], *([f"... and {more:,} more"] if more > 0 else []))
        return cls(tuple(found), digest([one.model_dump(mode="json", exclude_none=True) for one in found]))


def _rule(content: Any, place: str) -> Rule:
    if not isinstance(content, Mapping):
        raise ParameterError(
            f"{place}: must be names and values, such as a name, a kind and items, got {short(content)}"
        )
    name = content.get("name")
    if isinstance(name, str):
        place += f" ({one_line(name[:100])})"
    if "name" not in content:
        raise ParameterError(f"{place}: must have a name, such as 'name: no gift cards'; answers show it")
    values, problems, wrong = dict(content), [], []
    for kind, section in _SECTIONS.items():
        if isinstance(inside := values.get(kind), Mapping):
            try:
                values[kind] = _section(section, f"{place}.{kind}", inside)
            except (ParameterError, UnknownNameError) as error:
                values[kind] = section.model_construct()
                problems += error.lines
                wrong.append(f"{place}.{kind}")
    try:
        rule = build(Rule, place, base={}, parameters=values)
    except (ParameterError, UnknownNameError) as error:
        problems += [line for line in error.lines if not line.startswith(tuple(wrong))]
        kinds = [kind for kind in KINDS if content.get(kind) is not None]
        if len(kinds) > 1 and not any(_ONE_KIND in line for line in problems):
            problems.append(f"{place}: must be {_ONE_KIND}, got {', '.join(kinds)}")
    if problems:
        raise ParameterError(*problems)
    return rule


_SECTIONS: Mapping[str, type[Section]] = {
    "availability": Availability,
    "diversity": Diversity,
    "freshness": Freshness,
}


def _section(section: type[Section], place: str, content: Mapping[str, Any]) -> Section:
    missing = [name for name, info in section.model_fields.items() if info.is_required() and name not in content]
    unknown = [name for name in content if name not in section.model_fields]
    problems = [str(UnknownNameError(f"name in {place}", name, section.model_fields)) for name in unknown]
    problems += [f"{place}.{name}: is missing; give it" for name in missing]
    fit = {name: value for name, value in content.items() if name in section.model_fields}
    try:  # The values that are given are checked, whatever else is missing.
        built = build(section, place, base={}, parameters={**{name: _ANY[name] for name in missing}, **fit})
    except ParameterError as error:
        raise ParameterError(*problems, *error.lines) from None
    if problems:
        raise ParameterError(*problems)
    return built


_ANY: Mapping[str, Any] = {"column": "any", "most": 1, "boost": 1.0}
"""A fit value of each field that a section needs."""


def _conflicts(listed: list[Any], place: str) -> list[str]:
    """Return why rules do not go together; those with mistakes count, too.

    Args:
        listed: the rules as the file has them.
        place: name of the file, for messages.
    """
    problems, names, positions, diverse = [], set[str](), dict[int, str](), ""
    for content in listed:
        if not isinstance(content, Mapping) or not isinstance(content.get("name"), str):
            continue
        name, pin = one_line(content["name"][:100]), content.get("pin")
        if name in names:
            problems.append(f"{place}: the name '{name}' must be that of one rule; answers show it")
        names.add(name)
        if type(pin) is int and (other := positions.setdefault(pin, name)) != name:
            problems.append(f"{place}: position {pin} is that of '{other}'; pin '{name}' to another one")
        if content.get("diversity") is not None:
            if diverse:
                problems.append(f"{place}: '{name}' must be the only diversity; remove it, or '{diverse}'")
            diverse = diverse or name
    return problems
