"""RecBole's atomic files: tab-separated, with the type of each column in the header."""

from dataclasses import replace

from segue.data.ingest.admit import Table, Wishes
from segue.data.readers.delimited import Delimited, header_names, split
from segue.data.readers.text import TextFile
from segue.errors import LogError

TYPES = {"token": "category", "token_seq": "category", "float": "number", "float_seq": "numbers"}
"""RecBole's name of a type -> ours. A sequence of tokens stays one text, so that a title can be read."""


def is_typed_header(line: str) -> bool:
    """Whether a line is a header such as ``user_id:token<tab>item_id:token``."""
    return all(cell.rpartition(":")[2] in TYPES and ":" in cell for cell in split(line, "\t", quoted=False))


def read_recbole(file: TextFile, wishes: Wishes) -> Table:
    """Read an atomic file; columns get their names without the type.

    Raises:
        LogError: the header has no types, names are there twice, or lines are ragged.
    """
    if not is_typed_header(file.head[0]):
        raise LogError(
            f"{file.path}: line 1: must be names with types such as user_id:token (types {', '.join(TYPES)}) separated "
            f"by tabs, got {file.head[0][:60]!r}; leave format out if it is no RecBole file"
        )
    cells = split(file.head[0], "\t", quoted=False)
    names = header_names([cell.rpartition(":")[0] for cell in cells], file.path)
    types = {name: TYPES[cell.rpartition(":")[2]] for name, cell in zip(names, cells, strict=True)}
    table = Delimited(file, "\t", names, has_header=True, quoted=False).table()
    return replace(table, types=types, notes=(*file.notes, "format: RecBole atomic file"))
