"""Search spaces of parameters: a range, a list of values, or a range around the current value."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from segue import strict_yaml
from segue.errors import ParameterError
from segue.parameters import field_of, flatten, typed
from segue.printable import short


@dataclass(frozen=True)
class Range:
    """All numbers from ``low`` to ``high`` inclusive, sampled uniformly or, with ``log``, log-uniformly."""

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.log else ''}"

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values by which the bounds of a parameter are checked."""
        return (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """A categorical choice of values."""

    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"[{', '.join(map(typed, self.values))}]"

    def __contains__(self, value: object) -> bool:
        return any(value == one and type(value) is type(one) for one in self.values)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values by which the bounds of a parameter are checked."""
        return self.values


@dataclass(frozen=True)
class Around:
    """A log-uniform range from the current value divided by ``factor`` to ``factor`` times it.

    For parameters whose scale depends on others, such as a learning rate on the optimiser. A value of 0 or none has no
    such range.
    """

    factor: float


Space = Range | Choice
"""The search space of a parameter."""


def spaces_of(config: BaseModel) -> dict[str, Space]:
    """Return the search spaces that a configuration declares in ``search``, by dotted name."""
    declared: Mapping[str, Space | Around] = getattr(config, "search", {})
    values = flatten(config.model_dump())
    spaces = {
        name: _around(space, values[name], is_integer_parameter(type(config), name))
        for name, space in declared.items()
        if name in values  # A tagged section has the parameters of its own class alone.
    }
    return {name: space for name, space in spaces.items() if space is not None}


def is_integer_parameter(config: type[BaseModel], name: str) -> bool:
    """Return whether a parameter, given by dotted name, is an integer."""
    info = field_of(config, name)
    return info is not None and (info.annotation is int or int in getattr(info.annotation, "__args__", ()))


def _around(space: Space | Around, value: Any, is_integer: bool) -> Space | None:
    if not isinstance(space, Around):
        return space
    if not value:
        return None
    if is_integer:
        return Range(max(1, round(value / space.factor)), round(value * space.factor), log=True)
    return Range(_rounded(value / space.factor), _rounded(value * space.factor), log=True)


def _rounded(value: float) -> float:
    """Round to three significant digits: 0.001 / 5 is 0.0002, and not 0.00020000000000000001."""
    return float(f"{value:.3g}")


_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(:log)?")


def parse_space(name: str, text: object) -> Space:
    """Parse a search space: ``0.001..0.1``, ``0.001..0.1:log`` or ``[64, 128]``, or take a list of values.

    Raises:
        ParameterError: it is not a search space, or is empty.
    """
    if isinstance(text, str) and (match := _RANGE.fullmatch(text.replace(" ", ""))):
        return _range(name, _number(match[1]), _number(match[2]), log=match[3] is not None)
    return Choice(_values(name, text))


def parse_searches(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Parse ``["gru4rec.layers=1..3"]`` into ``{"gru4rec": {"layers": "1..3"}}``.

    Raises:
        ParameterError: an entry is not of the form owner.name=space.
    """
    spaces: dict[str, dict[str, str]] = {}
    for entry in texts:
        name, separator, text = entry.partition("=")
        owner, _, parameter = name.strip().partition(".")
        if not (separator and owner and parameter):
            raise ParameterError(
                f"--search: must be MODEL.NAME=SPACE such as gru4rec.hidden_size=50..200, got {short(entry)}"
            )
        spaces.setdefault(owner, {})[parameter] = text.strip()
    return spaces


def _range(name: str, low: float, high: float, *, log: bool) -> Range:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(f"{name}: must be a range LOW..HIGH with LOW < HIGH, got {low}..{high}")
    if log and low <= 0:
        raise ParameterError(f"{name}: must begin above 0 to be searched on a log scale, got {low}..{high}:log")
    return Range(low, high, log)


def _values(name: str, text: object) -> tuple[Any, ...]:
    shape = f"{name}: must be LOW..HIGH, LOW..HIGH:log or a list [A, B, ...]"
    try:
        values = strict_yaml.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise ParameterError(f"{shape}, got {short(text)} ({error})") from error
    if not isinstance(values, list | tuple):
        raise ParameterError(f"{shape}, got {short(text)}")
    values = [None if value == "none" else value for value in values]
    if any(isinstance(value, list | dict) for value in values):
        raise ParameterError(f"{name}: must list numbers, words, true, false or none, got {short(text)}")
    if len({(type(value), value) for value in values}) < max(2, len(values)):
        raise ParameterError(
            f"{name}: must list at least two distinct values, got {short(text)}; use --set to fix one value"
        )
    return tuple(values)


def _number(text: str) -> float:
    return int(text) if re.fullmatch(r"[-+]?\d{1,18}", text) else float(text)
