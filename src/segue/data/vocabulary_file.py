"""The catalogue of a model or a data set as a Parquet file, which is checked when it is read."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from segue.data.array_schema import MOST
from segue.data.parquet import require_memory
from segue.data.vocabulary import COLD, SIMILAR, UNKNOWN, VECTOR, Vocabulary
from segue.errors import ArtifactError
from segue.manifest import CheckedFolder, ManifestT

_TYPES = {"item": (pl.Int64, pl.String), "support": (pl.Int64,), COLD: (pl.String,)}


def write_vocabulary(vocabulary: Vocabulary, file: Path) -> None:
    """Write the table of the items, with their metadata."""
    vocabulary.table.write_parquet(file)


def read_vocabulary(folder: CheckedFolder[ManifestT], name: str) -> Vocabulary:
    """Read a file that ``write_vocabulary`` wrote.

    Raises:
        ArtifactError: the file is missing or damaged, breaks a rule, or is far larger in memory than on the disk.
    """
    size = folder.size
    table = folder.read(name, lambda file: _read(file, size))
    for problem in _problems(table):
        raise ArtifactError(f"{folder.path / name}: {problem}; {folder.format.remedy}")
    return Vocabulary(table)


def _read(file: Path, folder_size: int) -> pl.DataFrame:
    require_memory(file, folder_size)
    return pl.read_parquet(file, glob=False, hive_partitioning=False)


def _problems(table: pl.DataFrame) -> Iterator[str]:
    """Yield what is wrong with a table of items."""
    for name, valid in _TYPES.items():
        if name not in table.columns:
            if name != COLD:
                yield f"column '{name}' is missing"
        elif table.schema[name] not in valid:
            yield f"column '{name}' must be {' or '.join(map(str, valid))}, got {table.schema[name]}"
        elif name != COLD and table[name].null_count():
            yield f"column '{name}' must have a value in each row, got none in {table[name].null_count()}"
    items, support = table["item"], table["support"]
    yield from _vector_problems(table)
    if not table.height:
        yield "must have at least one item, got none"
    if (repeated := items.is_duplicated()).any():
        yield f"column 'item' must have no id twice, got {items.filter(repeated)[0]!r} again"
    if (odd := support.filter(~support.is_between(0, int(MOST)))).len():
        yield f"column 'support' must be from 0 to {MOST}, got {odd[0]}"
    if COLD in table.columns:
        origins = table[COLD]
        foreign = origins.drop_nulls().filter(~origins.drop_nulls().is_in([SIMILAR, UNKNOWN]))
        if len(foreign):
            yield f"column '{COLD}' must be '{SIMILAR}', '{UNKNOWN}' or empty, got {foreign[0]!r}"
        if not origins.is_null()[: origins.null_count()].all():
            yield f"column '{COLD}' must be empty for the training items, which come first"


def _vector_problems(table: pl.DataFrame) -> Iterator[str]:
    if VECTOR not in table.columns:
        return
    dtype = table.schema[VECTOR]
    if not (isinstance(dtype, pl.Array) and dtype.inner == pl.Float32 and len(dtype.shape) == 1 and dtype.shape[0] > 0):
        yield f"column '{VECTOR}' must be an array of float32, got {dtype}"
    elif not np.isfinite(table[VECTOR].drop_nulls().to_numpy()).all():
        yield f"column '{VECTOR}' must have finite numbers"
