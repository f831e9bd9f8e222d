"""Lines of ids: sequences, pairs, and fields separated by ``::``."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int

from segue.data.catalog import about
from segue.data.events import ITEM, SESSION, USER
from segue.data.ingest.admit import Table, Wishes
from segue.data.ingest.mistakes import SHOWN, Place
from segue.data.readers.delimited import header_names, is_header
from segue.data.readers.text import TextFile, filled
from segue.errors import LogError

_WORD = r"\S+"
_RATING = ("user", "item", "rating", "time")


def read_sequences(file: TextFile, wishes: Wishes) -> Table:
    """Read lines ``id item item ...``: one session (or user) per line, oldest item first.

    Raises:
        LogError: a line has no item.
    """
    words, numbers = _words(file)
    _require(file, numbers, (words.list.len() < 2).to_numpy(), "must be an id and at least one item")
    items = words.list.slice(1)
    lengths = items.list.len().to_numpy()
    sessions = words.list.first().gather(np.repeat(np.arange(len(words)), lengths))
    frame = pl.DataFrame([sessions.alias(SESSION), items.explode().alias(ITEM)])
    note = "format: one sequence per line, an id and its items in order"
    log = about(file.path) or about(file.path.parent)
    if log:
        note += f"; a line is one {log.unit}, as in {log.title}"
    place = _place(file, np.repeat(numbers, lengths))
    return Table(frame, place, notes=(*file.notes, note), unit=log.unit if log else None)


def read_pairs(file: TextFile, wishes: Wishes) -> Table:
    """Read lines ``user item``, the events of each user in time order.

    Raises:
        LogError: a line does not hold two words.
    """
    words, numbers = _words(file)
    _require(file, numbers, (words.list.len() != 2).to_numpy(), "must be a user and an item")
    frame = pl.DataFrame([words.list.first().alias(USER), words.list.last().alias(ITEM)])
    return Table(frame, _place(file, numbers), notes=(*file.notes, "format: one event per line, a user and an item"))


def read_double_colons(file: TextFile, wishes: Wishes) -> Table:
    """Read fields separated by ``::``; without a header, those of MovieLens ratings: user, item, rating, time.

    Raises:
        LogError: lines differ in their number of fields, or have other fields than a rating.
    """
    cells = file.head[0].split("::")
    if is_header(cells, wishes.columns.values()):
        return read_named_double_colons(file, header_names(cells, file.path), skip=1)
    if any(name.isdigit() for name in wishes.columns.values()):
        return read_named_double_colons(file, [str(number) for number in range(1, len(cells) + 1)])
    if not 2 <= len(cells) <= len(_RATING):
        raise LogError(
            f"{file.path}: line 1: must have the fields of a rating ({', '.join(_RATING)}), got {len(cells)} fields; "
            "say which is which by number, for example columns={'session': '1', 'item': '2'}"
        )
    return read_named_double_colons(file, _RATING[: len(cells)])


def read_named_double_colons(file: TextFile, names: Sequence[str], *, skip: int = 0) -> Table:
    """Read fields separated by ``::`` under given names.

    Args:
        file: the file.
        names: one name per field.
        skip: lines before the first row.

    Raises:
        LogError: a line has another number of fields.
    """
    lines = file.lines()
    numbers = filled(lines)[skip:]
    fields = lines.gather(numbers - 1).str.split("::")
    _require(file, numbers, (fields.list.len() != len(names)).to_numpy(), f"must have {len(names)} fields")
    frame = pl.DataFrame([fields.list.get(position).alias(name) for position, name in enumerate(names)])
    note = f"format: fields separated by '::', {', '.join(names)}"
    return Table(frame, _place(file, numbers), notes=(*file.notes, note))


def _words(file: TextFile) -> tuple[pl.Series, Int[np.ndarray, "_"]]:
    """Split the lines that are not blank into words; the line numbers tell where they stand."""
    lines = file.lines()
    numbers = filled(lines)
    return lines.gather(numbers - 1).str.extract_all(_WORD), numbers


def _place(file: TextFile, numbers: Int[np.ndarray, "_"]) -> Place:
    def locate(rows: Sequence[int]) -> list[int]:
        return list(numbers[list(rows)].tolist())

    return Place(str(file.path), "line", locate)


def _require(file: TextFile, numbers: Int[np.ndarray, "_"], broken: np.ndarray, rule: str) -> None:
    """Refuse the file if a line breaks a rule."""
    if not broken.any():
        return
    place = _place(file, numbers)
    rows = np.flatnonzero(broken)
    texts = file.lines().gather(numbers[rows[:SHOWN]] - 1).str.slice(0, 60).to_list()
    raise LogError(
        f"{file.path}: {place.rows(rows)}: {rule}, got {', '.join(map(repr, texts))}; correct the "
        "line, or give another format if all lines are like that"
    )
