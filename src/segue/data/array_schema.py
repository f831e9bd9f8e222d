"""What stored arrays must look like: their dtype, shape and values are checked before anything reads them.

Compiled functions read and write at the positions that arrays contain, so an array of a file is untrusted until every
position in it is known to exist.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import get_annotations
from typing import Annotated, Any, Protocol, get_args, get_origin

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.compiled import njit
from segue.errors import ParameterError

Sizes = dict[str, int]
"""Sizes by name, for example ``{"N": 460}`` for a catalogue of 460 items."""

MOST = str(2**53)
"""Bound of counts and of sums of weights: the integers up to it are exact in float64, and no log has more events."""

_SIZE = re.compile(r"(\d+)|([A-Za-z_]\w*)([+-]\d+)?")


class Rule(Protocol):
    """A rule for the values of an array."""

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """Return the rule and the value that breaks it, or None if the array keeps it."""
        ...


@dataclass(frozen=True)
class Between:
    """Values from ``low`` to ``high``, both included.

    Attributes:
        low: the smallest valid value.
        high: the largest valid value, as a size such as ``N`` or ``s-1``; None for no bound.
    """

    low: float
    high: str | None = None

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        if not array.size:
            return None
        least, largest = array.min(), array.max()
        high = None if self.high is None else _evaluate(self.high, sizes)
        if least >= self.low and (high is None or largest <= high):
            return None
        rule = f"at least {self.low:g}" if high is None else f"from {self.low:g} to {high}"
        return f"have values {rule}, got {least if least < self.low else largest}"


IN_YEARS = Between(-62_135_596_800, "253402300799")
"""Rule of times in seconds since 1970: the years 1 to 9999, which Python can write as dates."""


@dataclass(frozen=True)
class Offsets:
    """Bounds of the rows of another array: they start at 0, do not decrease, and end at ``end``, a size."""

    end: str

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        end = _evaluate(self.end, sizes)
        if not len(array) or array[0] != 0 or array[-1] != end:
            found = "no values" if not len(array) else f"{array[0]} and {array[-1]}"
            return f"start with 0 and end with {end}, got {found}"
        falling = np.flatnonzero(array[1:] < array[:-1])
        if len(falling):
            place = int(falling[0]) + 1
            return f"not decrease, got {array[place]} after {array[place - 1]} at {place}"
        return None


@dataclass(frozen=True)
class Distinct:
    """No value occurs twice in a row; the rows are those of the array of offsets named ``rows``.

    The values must be known to be between 0 and ``high``.
    """

    rows: str
    high: str

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        place = first_repeat(array, arrays[self.rows], _evaluate(self.high, sizes))
        return None if place < 0 else f"have no value twice in a row, got {array[place]} again at {place}"


@dataclass(frozen=True)
class Falling:
    """Values decrease strictly within each row; the rows are those of the array of offsets named ``rows``."""

    rows: str

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        return _first_within_rows(array[1:] >= array[:-1], array, arrays[self.rows], "decrease")


@dataclass(frozen=True)
class Rising:
    """Values do not decrease within each row; the rows are those of the array of offsets named ``rows``."""

    rows: str

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        return _first_within_rows(array[1:] < array[:-1], array, arrays[self.rows], "not decrease")


def _first_within_rows(
    broken: Bool[np.ndarray, "n-1"], array: np.ndarray, starts: Int64[np.ndarray, "rows"], rule: str
) -> str | None:
    """Return the rule for neighbouring values and the first pair within a row that breaks it; ``broken`` is changed."""
    broken[starts[(starts > 0) & (starts < len(array))] - 1] = False
    if not broken.any():
        return None
    place = int(broken.argmax()) + 1
    return f"{rule} within each row, got {array[place]} after {array[place - 1]} at {place}"


@dataclass(frozen=True)
class AtLeast:
    """No value is below that of another array of the same length, the one named ``low``."""

    low: str

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        below = array < arrays[self.low]
        if not below.any():
            return None
        place = int(below.argmax())
        return f"have no value below that of {self.low}, got {array[place]} below {arrays[self.low][place]} at {place}"


@dataclass(frozen=True)
class UpTo:
    """No value is above the largest of another array, the one named ``most``, plus ``step``; if that one has values."""

    most: str
    step: int = 0

    def violation(self, array: np.ndarray, arrays: Mapping[str, np.ndarray], sizes: Sizes) -> str | None:
        """See ``Rule``."""
        other = arrays[self.most]
        if not array.size or not other.size:
            return None
        limit, largest = int(other.max()) + self.step, int(array.max())
        return f"have values up to {limit}, which follows from {self.most}, got {largest}" if largest > limit else None


@dataclass(frozen=True)
class ArraySpec:
    """A valid array: its dtype, its shape and the rules of its values. Floating-point values must be finite.

    Attributes:
        dtype: name of the dtype.
        shape: size of each dimension: a number, a name, or a name plus or minus a number, for example ``N+1``. The
            first array with an unknown name determines its size.
        rules: checked in order, after those of the arrays before.
    """

    dtype: str
    shape: tuple[str, ...]
    rules: tuple[Rule, ...] = ()

    @classmethod
    def of(cls, annotation: Any) -> "ArraySpec":
        """Return what an annotation such as ``Annotated[Int32[np.ndarray, "n"], Between(1, "N")]`` declares."""
        rules: tuple[Rule, ...] = ()
        if get_origin(annotation) is Annotated:
            annotation, *rest = get_args(annotation)
            rules = tuple(rest)
        (dtype,) = annotation.dtypes
        return cls(dtype, tuple(annotation.dim_str.split()), rules)


def specs_of(kind: type, names: tuple[str, ...]) -> dict[str, ArraySpec]:
    """Return the specifications that the annotations of a class and its bases declare for some attributes."""
    declared: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        declared |= get_annotations(base)
    for name in names:
        if not hasattr(declared.get(name), "dim_str") and get_origin(declared.get(name)) is not Annotated:
            raise ParameterError(
                f"{kind.__name__}.{name}: must be annotated with its dtype and shape, for example "
                f'{name}: Float32[np.ndarray, "N+1"], with Float32 from jaxtyping'
            )
    return {name: ArraySpec.of(declared[name]) for name in names}


def check_arrays(
    arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec], sizes: Mapping[str, int], place: str
) -> None:
    """Check that there is an array for each specification, and nothing else, and that all are valid.

    Args:
        arrays: the arrays by name.
        specs: their specifications; sizes and rules are resolved in this order.
        sizes: known sizes by name.
        place: where the arrays belong, for messages.

    Raises:
        ParameterError: the first array that is missing, unknown or invalid.
    """
    for problem in _problems(arrays, specs, dict(sizes)):
        raise ParameterError(f"{place}.{problem}")


def _problems(arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec], sizes: Sizes) -> Iterator[str]:
    """Yield what is wrong; a problem is only valid if there is none before it."""
    yield from (f"{name}: is missing" for name in specs if name not in arrays)
    known = ", ".join(specs) or "none"
    yield from (f"{name}: is unknown; the arrays are {known}" for name in arrays if name not in specs)
    yield from _shape_problems(arrays, specs, sizes)
    for name, spec in specs.items():
        yield from (f"{name}: must {problem}" for problem in _value_problems(arrays[name], spec, arrays, sizes))


def _shape_problems(arrays: Mapping[str, np.ndarray], specs: Mapping[str, ArraySpec], sizes: Sizes) -> Iterator[str]:
    for name, spec in specs.items():
        dtype, shape = str(arrays[name].dtype), arrays[name].shape
        if dtype != spec.dtype:
            yield f"{name}: must have the dtype {spec.dtype}, got {dtype}"
        if len(shape) != len(spec.shape):
            yield f"{name}: must have {len(spec.shape)} dimensions, got {len(shape)}"
        for expression, size in zip(spec.shape, shape, strict=True):
            _bind(expression, size, sizes)
        expected = tuple(_evaluate(expression, sizes) for expression in spec.shape)
        if expected != shape or min(expected, default=0) < 0:
            yield f"{name}: must have the shape {_show(spec.shape)} = {_show(expected)}, got {_show(shape)}"


def _value_problems(
    array: np.ndarray, spec: ArraySpec, arrays: Mapping[str, np.ndarray], sizes: Sizes
) -> Iterator[str]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        yield f"be finite, got {array[~np.isfinite(array)][0]}"
    for rule in spec.rules:
        if (violation := rule.violation(array, arrays, sizes)) is not None:
            yield violation


def _parse(expression: str) -> tuple[str | None, int]:
    found = _SIZE.fullmatch(expression)
    assert found is not None, expression
    number, name, step = found.groups()
    return (None, int(number)) if name is None else (name, int(step or 0))


def _bind(expression: str, size: int, sizes: Sizes) -> None:
    name, step = _parse(expression)
    if name is not None:
        sizes.setdefault(name, size - step)


def _evaluate(expression: str, sizes: Sizes) -> int:
    name, step = _parse(expression)
    return step if name is None else sizes[name] + step


def _show(shape: tuple[object, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


@njit(nogil=True)
def first_repeat(values: Int32[np.ndarray, "n"], offsets: Int64[np.ndarray, "rows"], largest: int) -> int:
    """Return the position of the first value that occurs before in its row, -1 if there is none.

    Args:
        values: values from 0 to ``largest``.
        offsets: row r is ``values[offsets[r]:offsets[r + 1]]``.
        largest: the largest value.
    """
    last = np.full(largest + 1, -1, dtype=np.int64)
    for row in range(len(offsets) - 1):
        for place in range(offsets[row], offsets[row + 1]):
            if last[values[place]] == row:
                return place
            last[values[place]] = row
    return -1
