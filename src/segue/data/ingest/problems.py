"""Collects the problems of one source, so that they are reported together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int

from segue.data.ingest.values import ParsedColumn, out_of_range
from segue.errors import LogError
from segue.printable import short

MAX_SHOWN = 5
"""Rows and values listed in a message; the others are counted."""


@dataclass(frozen=True)
class Source:
    """The origin of a table, as messages name it.

    Attributes:
        name: the file, or a description of another source.
        row_word: name of a row: ``"line"`` in a text file, else ``"row"``.
        locate: maps ascending row numbers, counted from 0, to the numbers that an editor shows.
    """

    name: str
    row_word: str = "row"
    locate: Callable[[Sequence[int]], list[int]] = list

    def describe_rows(self, rows: Int[np.ndarray, "_"]) -> str:
        """Format row numbers, for example as ``"lines 4, 7 and 2 more"``."""
        return format_rows(self.row_word, self.locate(rows[:MAX_SHOWN].tolist()), len(rows))


@dataclass(frozen=True)
class JoinedSource(Source):
    """Several sources, one after the other.

    Attributes:
        pieces: the sources, each with its number of rows.
    """

    pieces: Sequence[tuple[Source, int]] = ()

    def describe_rows(self, rows: Int[np.ndarray, "_"]) -> str:
        """Format row numbers by file, for example as ``"a.csv lines 4 and 7, b.csv line 2"``."""
        ends = np.cumsum([height for _, height in self.pieces])
        piece = np.searchsorted(ends, rows, side="right")
        starts = np.append(0, ends)
        named = [
            f"{Path(self.pieces[number][0].name).name} "
            + self.pieces[number][0].describe_rows(rows[piece == number] - starts[number])
            for number in np.unique(piece)
        ]
        more = f" and {len(named) - MAX_SHOWN:,} more files" if len(named) > MAX_SHOWN else ""
        return ", ".join(named[:MAX_SHOWN]) + more


def format_rows(word: str, shown: Sequence[int], total: int) -> str:
    """Format row numbers, for example as ``"lines 4, 7 and 12 more"``.

    Args:
        word: name of a row.
        shown: numbers of the rows to list.
        total: number of rows.
    """
    last = f"{total - len(shown):,} more" if total > len(shown) else str(shown[-1])
    others = [str(number) for number in (shown if total > len(shown) else shown[:-1])]
    return f"{word}s {', '.join(others)} and {last}" if others else f"{word} {last}"


@dataclass
class Problems:
    """The problems found in one source."""

    source: Source
    found: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Add a problem that concerns the whole source."""
        self.found.append(f"{self.source.name}: {text}")

    def check(self, column: ParsedColumn, raw: pl.Series) -> pl.Series:
        """Add the invalid values of a column, if there are any, and return all its values.

        Args:
            column: the parsed column.
            raw: its values in the source.
        """
        if len(column.invalid):
            shown = dict.fromkeys(map(short, _as_python(raw.gather(column.invalid[:MAX_SHOWN]))))
            self.add(
                f"{self.source.describe_rows(column.invalid)}, column '{raw.name}': {column.rule}, "
                f"got {', '.join(shown)}; {column.remedy}"
            )
        return column.values

    def raise_if_any(self) -> None:
        """Raise all problems as one error.

        Raises:
            LogError: there is a problem.
        """
        if self.found:
            raise LogError(*self.found)


def _as_python(values: pl.Series) -> list[Any]:
    """Return values; dates that Python cannot hold as the numbers that they are stored as."""
    if values.dtype in (pl.Duration, pl.Time) or len(out_of_range(values)):
        values = values.to_physical()
    return values.to_list()
