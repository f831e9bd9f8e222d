"""The mistakes of one source, gathered so that they are reported together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from jaxtyping import Int

from segue.errors import LogError

SHOWN = 5
"""Rows and values that are named; of more than these only the number is told."""


def named_rows(word: str, shown: Sequence[int], total: int) -> str:
    """Write rows in words, for example ``"lines 4, 7 and 12 more"``.

    Args:
        word: what a row is called.
        shown: numbers of the rows that are named.
        total: how many rows there are.
    """
    last = f"{total - len(shown):,} more" if total > len(shown) else str(shown[-1])
    others = [str(number) for number in (shown if total > len(shown) else shown[:-1])]
    return f"{word}s {', '.join(others)} and {last}" if others else f"{word} {last}"


@dataclass(frozen=True)
class Place:
    """Where the rows of a source are found by who has to correct them.

    Attributes:
        name: the file, or what else the rows come from.
        word: what a row is called there: ``"line"`` in a text file, else ``"row"``.
        locate: from row numbers (ascending, counted from 0) to the numbers that an editor shows.
    """

    name: str
    word: str = "row"
    locate: Callable[[Sequence[int]], list[int]] = list

    def rows(self, rows: Int[np.ndarray, "_"]) -> str:
        """Name rows in words, for example ``"lines 4, 7 and 2 more"``."""
        return named_rows(self.word, self.locate(rows[:SHOWN].tolist()), len(rows))


@dataclass
class Mistakes:
    """What is wrong with one source."""

    place: Place
    found: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Note a mistake of the whole source."""
        self.found.append(f"{self.place.name}: {text}")

    def add_values(self, raw: pl.Series, rows: Int[np.ndarray, "_"], rule: str, remedy: str) -> None:
        """Note the values of ``raw`` at ``rows`` as breaking the rule of their column."""
        shown = list(dict.fromkeys(repr(value) for value in raw.gather(rows[:SHOWN]).to_list()))
        self.add(f"{self.place.rows(rows)}, column '{raw.name}': {rule}, got {', '.join(shown)}; {remedy}")

    def raise_if_any(self) -> None:
        """Raise all mistakes as one error.

        Raises:
            LogError: at least one mistake was noted.
        """
        if self.found:
            raise LogError("\n".join(self.found))
