"""Intervals of numbers, written as text.

``[3,inf)`` contains 3 and all larger numbers, ``[0,5);(7,9]`` combines two intervals. A square bracket includes its
end, a round bracket excludes it.
"""

import math
import re
from dataclasses import dataclass

import polars as pl

from segue.errors import ParameterError

_INTERVAL = re.compile(r"([\[(])\s*([^,]+?)\s*,\s*([^,]+?)\s*([\])])")


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
        """Return a mask of the numbers inside; null for a missing number."""
        above = numbers >= self.low if self.with_low else numbers > self.low
        return above & (numbers <= self.high if self.with_high else numbers < self.high)


def parse_intervals(text: str) -> tuple[Interval, ...]:
    """Parse intervals separated by semicolons.

    Raises:
        ParameterError: an interval is malformed or empty.
    """
    return tuple(_parse_interval(part.strip()) for part in text.split(";"))


def holds_any(intervals: tuple[Interval, ...], numbers: pl.Expr) -> pl.Expr:
    """Return a mask of the numbers in at least one interval; null for a missing number."""
    return pl.any_horizontal([interval.holds(numbers) for interval in intervals])


def _parse_interval(text: str) -> Interval:
    match = _INTERVAL.fullmatch(text)
    try:
        low, high = (float(match[2]), float(match[3])) if match else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    if match is None or math.isnan(low) or math.isnan(high) or low > high:
        raise ParameterError(f"an interval such as [3,inf) or (0,5], several separated by semicolons; got '{text}'")
    return Interval(low, high, match[1] == "[", match[4] == "]")
