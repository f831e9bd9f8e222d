"""Metadata that lies beside a log and is known to belong to it."""

import re
from collections.abc import Iterator
from pathlib import Path

from segue.data.events import ITEM, PARTS, USER
from segue.data.ingest.admit import Table, Wishes
from segue.data.readers.formats import read_table
from segue.data.readers.lines import read_named_double_colons
from segue.data.readers.text import TextFile

MOVIELENS = {
    "movies.dat": ("item", "title", "genres"),
    "users.dat": ("user", "gender", "age", "occupation", "zip"),
}
"""Fields of MovieLens' tables without a header."""

_BESIDE = {
    "ratings.dat": (("movies.dat", ITEM), ("users.dat", USER)),
    "ratings.csv": (("movies.csv", ITEM),),
}
_PART_OF_NAME = re.compile(rf"\.({'|'.join(PARTS)})$")


def metadata_beside(log: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of metadata of a log, each with what it describes (``"item"`` or ``"user"``).

    Files with other names are not guessed at: equal numbers need not mean equal items.
    """
    known = list(_BESIDE.get(log.name, ()))
    if log.suffix == ".inter":
        name = _PART_OF_NAME.sub("", log.stem)
        known = [(f"{name}.item", ITEM), (f"{name}.user", USER)]
    for name, role in known:
        path = log.with_name(name)
        if path.is_file():
            yield path, role


def read_metadata(path: Path) -> Table:
    """Read a table of metadata in any format of tables.

    Raises:
        LogError: the file cannot be read.
    """
    if path.name in MOVIELENS:
        return read_named_double_colons(TextFile(path), MOVIELENS[path.name])
    return read_table(path, None, Wishes())
