"""The table of formats, and how a format is recognised."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from segue.data.ingest.admit import Table, Wishes
from segue.data.readers.delimited import is_header, read_delimited, split
from segue.data.readers.jsonlines import EVENTS, read_json_lines, read_nested_json_lines
from segue.data.readers.lines import read_double_colons, read_pairs, read_sequences
from segue.data.readers.parquet import read_parquet
from segue.data.readers.published import is_diginetica, is_yoochoose, read_diginetica, read_yoochoose
from segue.data.readers.recbole import is_typed_header, read_recbole
from segue.data.readers.text import TextFile
from segue.errors import LogError, UnknownNameError

PARQUET = "parquet"


Reader = Callable[[TextFile, Wishes], Table]


def _delimited(separator: str) -> Reader:
    def read(file: TextFile, wishes: Wishes) -> Table:
        return read_delimited(file, separator, wishes)

    return read


TEXT_FORMATS: Mapping[str, Reader] = {
    "csv": _delimited(","),
    "tsv": _delimited("\t"),
    "semicolon": _delimited(";"),
    "bar": _delimited("|"),
    "space": _delimited(" "),
    "dat": read_double_colons,
    "sequences": read_sequences,
    "pairs": read_pairs,
    "jsonl": read_json_lines,
    "otto": read_nested_json_lines,
    "recbole": read_recbole,
    "yoochoose": read_yoochoose,
    "diginetica": read_diginetica,
}
"""Readers of text files by the name of their format."""
FORMATS = (*TEXT_FORMATS, PARQUET)
"""Names of all formats."""


def read_table(path: Path, format_name: str | None, wishes: Wishes) -> Table:
    """Read one file.

    Args:
        path: the file.
        format_name: name of its format; recognised from its content if None.
        wishes: what the user says about the log.

    Raises:
        LogError: the file cannot be read.
    """
    if format_name == PARQUET or (format_name is None and is_parquet(path)):
        return read_parquet(path, [path])
    file = TextFile(path)
    return TEXT_FORMATS[format_name or recognise(file, wishes)](file, wishes)


def check_format(format_name: str | None) -> None:
    """Refuse a name that is in no table.

    Raises:
        UnknownNameError: there is no such format.
    """
    if format_name is not None and format_name not in FORMATS:
        raise UnknownNameError("format", format_name, FORMATS)


def is_parquet(path: Path) -> bool:
    """Whether a file starts like Parquet."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"PAR1"
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror}); check its name and rights") from error


def recognise(file: TextFile, wishes: Wishes) -> str:
    """Tell the format of a text file from its first lines; its extension does not count.

    Raises:
        LogError: it is none of the known ones, or two are possible.
    """
    first = file.head[0].strip()
    for name, fits in _SIGNS:
        if fits(file, first):
            return name
    if " " in first:
        return _recognise_spaces(file, wishes)
    if first.startswith("["):
        raise LogError(f"{file.path}: is a JSON array; write one object per line (JSON Lines)")
    raise LogError(
        f"{file.path}: line 1: has no separator (comma, tab, semicolon, bar, '::' or space), got {first[:60]!r}; "
        "a log needs at least a session and an item on each line"
    )


_SIGNS: Sequence[tuple[str, Callable[[TextFile, str], bool]]] = (
    ("otto", lambda file, first: _holds_events(first)),
    ("jsonl", lambda file, first: first.startswith("{")),
    ("recbole", lambda file, first: is_typed_header(first)),
    ("dat", lambda file, first: "::" in first),
    ("yoochoose", lambda file, first: is_yoochoose(file)),
    ("diginetica", lambda file, first: is_diginetica(file)),
    ("tsv", lambda file, first: "\t" in first),
    ("semicolon", lambda file, first: ";" in first),
    ("bar", lambda file, first: "|" in first),
    ("csv", lambda file, first: "," in first and not first.startswith("[")),
)
"""Formats and their signs on the first line; the first that fits is taken."""


def _holds_events(line: str) -> bool:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        return False
    return isinstance(value, dict) and isinstance(value.get(EVENTS), list)


def _recognise_spaces(file: TextFile, wishes: Wishes) -> str:
    """Tell a table, pairs and sequences apart: names, two words on every line, or lines of different lengths."""
    if is_header(split(file.head[0], " "), wishes.columns.values()):
        return "space"
    lengths = {len(line.split()) for line in file.head}
    if lengths == {2}:
        return "pairs"
    if len(lengths) > 1 or len(file.head) == 1:
        return "sequences"
    raise LogError(
        f"{file.path}: every line has {lengths.pop()} words, so it may be a table or sequences of one length; "
        "give format='space' (with columns by number) or format='sequences'"
    )
