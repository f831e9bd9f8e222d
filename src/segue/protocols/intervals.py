"""Intervals of numbers, written as text: ``[3,inf)`` holds 3 and all above it, ``[0,5);(7,9]`` is two in one.

A square bracket includes its end, a round one does not.
"""

import math
import re
from dataclasses import dataclass

import polars as pl

from segue.errors import ParameterError

_FORM = re.compile(r"([\[(])\s*([^,]+?)\s*,\s*([^,]+?)\s*([\])])")


@dataclass(frozen=True)
class Interval:
    """Numbers between two ends.

    Attributes:
        low: the lower end.
        high: the upper end.
        with_low: whether the lower end itself is inside.
        with_high: whether the upper end itself is inside.
    """

    low: float
    high: float
    with_low: bool
    with_high: bool

    def holds(self, numbers: pl.Expr) -> pl.Expr:
        """Return which numbers are inside; for one that is missing, null."""
        above = numbers >= self.low if self.with_low else numbers > self.low
        return above & (numbers <= self.high if self.with_high else numbers < self.high)


def parse_intervals(text: str) -> tuple[Interval, ...]:
    """Read intervals separated by semicolons.

    Raises:
        ParameterError: one of them is none, or holds nothing.
    """
    return tuple(_parse(part.strip()) for part in text.split(";"))


def holds_any(intervals: tuple[Interval, ...], numbers: pl.Expr) -> pl.Expr:
    """Return which numbers are in at least one interval; for one that is missing, null."""
    return pl.any_horizontal([interval.holds(numbers) for interval in intervals])


def _parse(text: str) -> Interval:
    match = _FORM.fullmatch(text)
    try:
        low, high = (float(match[2]), float(match[3])) if match else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    if match is None or math.isnan(low) or math.isnan(high) or low > high:
        raise ParameterError(f"an interval such as [3,inf) or (0,5], several separated by semicolons; got '{text}'")
    return Interval(low, high, match[1] == "[", match[4] == "]")
