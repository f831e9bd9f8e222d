"""One record per line: sequences of ids, pairs, fields separated by ``::``, and JSON Lines."""

import json
from collections.abc import Sequence
from itertools import islice

import numpy as np
import polars as pl
from jaxtyping import Int, Shaped

from segue import strict_json
from segue.data.events import ITEM, SESSION, USER
from segue.data.ingest.options import ReadOptions
from segue.data.ingest.problems import MAX_SHOWN, Source, format_rows
from segue.data.ingest.tables import RawTable
from segue.data.readers.delimited import header_names, is_header
from segue.data.readers.text import POLARS_ERRORS, TextFile, non_blank
from segue.errors import LogError

EVENTS = "events"
"""JSON key of the events of a session."""

_KEY = r'"(?:[^"\\]|\\.)*"\s*:'
"""A key of a JSON object, with its colon."""

_SPACE = " \t\r"
"""What a line of JSON Lines without an object may have."""

_RATING = ("user", "item", "rating", "time")


def read_sequences(file: TextFile, options: ReadOptions) -> RawTable:
    """Read lines ``id item item ...``: one session (or user) per line, oldest item first.

    Raises:
        LogError: a line has no item.
    """
    words, numbers = _split_words(file)
    _require(file, numbers, words.list.len() >= 2, "must be an id and at least one item")
    items = words.list.slice(1)
    lengths = items.list.len().to_numpy()
    sessions = words.list.first().gather(np.repeat(np.arange(len(words)), lengths))
    frame = pl.DataFrame([sessions.alias(SESSION), items.explode().alias(ITEM)])
    note = "format: one sequence per line, an id and its items in order"
    if options.unit is None:
        note += "; a line is one session, add --unit user if it is a user's whole history"
    source = _source(file, np.repeat(numbers, lengths))
    return RawTable(frame, source, notes=(*file.notes, note))


def read_pairs(file: TextFile, options: ReadOptions) -> RawTable:
    """Read lines ``user item``, the events of each user in time order.

    Raises:
        LogError: a line does not have two words.
    """
    words, numbers = _split_words(file)
    _require(file, numbers, words.list.len() == 2, "must be a user and an item")
    frame = pl.DataFrame([words.list.first().alias(USER), words.list.last().alias(ITEM)])
    note = "format: one event per line, a user and an item"
    return RawTable(frame, _source(file, numbers), notes=(*file.notes, note))


def read_double_colons(file: TextFile, options: ReadOptions) -> RawTable:
    """Read fields separated by ``::``; without a header, those of MovieLens ratings: user, item, rating, time.

    Raises:
        LogError: lines differ in their number of fields, or have other fields than a rating.
    """
    rows = [line.split("::") for line in file.head]
    cells = rows[0]
    if is_header(rows, options):
        return read_double_colons_as(file, header_names(cells, file.path), skip=1)
    if any(name.isdigit() for name in options.named.values()):
        return read_double_colons_as(file, [str(number) for number in range(1, len(cells) + 1)])
    if not 2 <= len(cells) <= len(_RATING):
        raise LogError(
            f"{file.path}: line 1: must have the fields of a rating ({', '.join(_RATING)}), got {len(cells)} fields; "
            "say which is which by number, for example columns={'session': '1', 'item': '2'}"
        )
    return read_double_colons_as(file, _RATING[: len(cells)])


def read_double_colons_as(file: TextFile, names: Sequence[str], *, skip: int = 0) -> RawTable:
    """Read fields separated by ``::`` under given names.

    Args:
        file: the file.
        names: one name per field.
        skip: lines before the first row.

    Raises:
        LogError: a line has another number of fields.
    """
    lines = file.lines()
    numbers = non_blank(lines)[skip:]
    fields = lines.gather(numbers - 1).str.split("::")
    _require(file, numbers, fields.list.len() == len(names), f"must have {len(names)} fields")
    frame = pl.DataFrame([fields.list.get(position).alias(name) for position, name in enumerate(names)])
    note = f"format: fields separated by '::', {', '.join(names)}"
    return RawTable(frame, _source(file, numbers), notes=(*file.notes, note))


def read_json_lines(file: TextFile, options: ReadOptions) -> RawTable:
    """Read one event per line.

    Raises:
        LogError: a line is not a JSON object.
    """
    source = Source(str(file.path), "line", lambda rows: non_blank(file.lines())[list(rows)].tolist())
    note = "format: JSON Lines, one event per line"
    return RawTable(_read_objects(file), source, is_text=False, notes=(*file.notes, note))


def read_nested_json_lines(file: TextFile, options: ReadOptions) -> RawTable:
    """Read one session per line: ``{"session": 1, "events": [{"aid": 7, "ts": 1661119200, "type": "clicks"}]}``.

    Raises:
        LogError: a line is not a JSON object, or has no list of events.
    """
    frame = _read_objects(file)
    dtype = frame.schema.get(EVENTS)
    if not (isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct)):
        raise LogError(f"{file.path}: each line must contain a list of objects under '{EVENTS}', got {dtype}")
    outer = {name for name in frame.columns if name != EVENTS}
    if repeated := sorted(outer & {field.name for field in dtype.inner.fields}):
        raise LogError(
            f"{file.path}: the session and its events must have different keys, both have '{repeated[0]}'; "
            "rename one of them"
        )
    lengths = frame[EVENTS].list.len().fill_null(0).to_numpy()
    events = frame.filter(pl.col(EVENTS).list.len() > 0).explode(EVENTS).unnest(EVENTS)

    def locate(rows: Sequence[int]) -> list[int]:
        return list(np.repeat(non_blank(file.lines()), lengths)[list(rows)].tolist())

    note = "format: JSON Lines, one session per line with its events inside"
    return RawTable(events, Source(str(file.path), "line", locate), is_text=False, notes=(*file.notes, note))


def _split_words(file: TextFile) -> tuple[pl.Series, Int[np.ndarray, "_"]]:
    """Split the lines that are not blank into words; return them with their line numbers."""
    lines = file.lines()
    numbers = non_blank(lines)
    return lines.gather(numbers - 1).str.extract_all(r"\S+"), numbers


def _source(file: TextFile, numbers: Int[np.ndarray, "_"]) -> Source:
    def locate(rows: Sequence[int]) -> list[int]:
        return list(numbers[list(rows)].tolist())

    return Source(str(file.path), "line", locate)


def _require(file: TextFile, numbers: Int[np.ndarray, "_"], valid: pl.Series, rule: str) -> None:
    if valid.all():
        return
    rows: Shaped[np.ndarray, _] = np.flatnonzero(~valid.to_numpy())
    texts = file.lines().gather(numbers[rows[:MAX_SHOWN]] - 1).str.slice(0, 60).to_list()
    raise LogError(
        f"{file.path}: {_source(file, numbers).describe_rows(rows)}: {rule}, got {', '.join(map(repr, texts))}; "
        "correct the line, or give another format if all lines are like that"
    )


def _read_objects(file: TextFile) -> pl.DataFrame:
    """Read all lines; the type of a key is the one that fits all its values."""
    try:
        frame = file.parse(lambda source: pl.read_ndjson(source, schema=file.schema, infer_schema_length=None))
    except POLARS_ERRORS as error:
        lines = enumerate(file.lines(), start=1)
        invalid = ((number, text) for number, text in lines if text.strip(_SPACE) and not _is_object(text))
        shown = list(islice(invalid, MAX_SHOWN))
        if shown:
            raise LogError(
                f"{file.path}: {format_rows('line', [number for number, _ in shown], len(shown))}: must be a JSON "
                f"object on one line, got {', '.join(repr(text[:60]) for _, text in shown)}; correct or remove it"
            ) from error
        _refuse_repeated_in(file, range(len(non_blank(file.lines()))))
        reason = str(error).splitlines()[0]
        raise LogError(f"{file.path}: the values of a key must have one type on all lines ({reason})") from error
    _refuse_repeated_keys(file, frame)
    return frame


def _refuse_repeated_keys(file: TextFile, frame: pl.DataFrame) -> None:
    """Refuse objects with a key that occurs twice, of which polars reads the first.

    Only lines with more colons than values can have one; of these only lines whose keys look alike are parsed.

    Raises:
        LogError: there is one.
    """
    lines = file.lines()
    if len(lines) > len(frame):
        lines = lines.filter(lines.str.strip_chars() != "")
    many = lines.str.count_matches(":", literal=True) > _colons(frame)
    rows = np.flatnonzero((many | lines.str.contains("\\", literal=True)).to_numpy())
    if not any(dtype.is_nested() for dtype in frame.dtypes):
        keys = lines.gather(rows).str.extract_all(_KEY).list.eval(pl.element().str.strip_chars_end(" \t:"))
        alike = (keys.list.n_unique() < keys.list.len()) | keys.list.join("").str.contains("\\", literal=True)
        rows = rows[alike.to_numpy()]
    _refuse_repeated_in(file, rows.tolist())


def _refuse_repeated_in(file: TextFile, rows: Sequence[int]) -> None:
    """Parse lines that are not blank, and refuse the first with a key that occurs twice."""
    if not rows:
        return
    lines = file.lines()
    numbers = non_blank(lines)
    for number in numbers[list(rows)].tolist():
        try:
            strict_json.loads(lines[number - 1])
        except ValueError as error:
            if "occurs twice" in str(error):
                raise LogError(f"{file.path}: line {number}: {error}; remove one of the two values") from error


def _colons(frame: pl.DataFrame) -> pl.Series:
    """Return the colons in a line of each row: one per value that is not null, and those in texts."""
    counts = [pl.col(name).is_not_null().cast(pl.UInt32) for name in frame.columns]
    counts += [
        pl.col(name).str.count_matches(":", literal=True) for name in frame.columns if frame.schema[name] == pl.String
    ]
    inner = getattr(frame.schema.get(EVENTS), "inner", None)
    if isinstance(inner, pl.Struct):
        fields = (pl.element().struct.field(field.name).is_not_null().cast(pl.UInt32) for field in inner.fields)
        counts.append(pl.col(EVENTS).list.eval(pl.sum_horizontal(fields)).list.sum())
    return frame.select(pl.sum_horizontal(counts)).to_series()


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
