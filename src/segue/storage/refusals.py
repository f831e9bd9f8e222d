"""Errors of the operating system as messages to the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from safetensors import SafetensorError

from segue.errors import StorageError

# safetensors and polars wrap errors of the operating system in their own.
_REFUSALS = (OSError, SafetensorError, pl.exceptions.PolarsError)


@contextmanager
def refusals_explained(path: Path) -> Iterator[None]:
    """Turn an error of the operating system into a message that names the path.

    Raises:
        StorageError: the write failed.
    """
    try:
        yield
    except StorageError:
        raise
    except _REFUSALS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{path}: cannot be written ({reason}); what was there is unchanged. "
            "Free some space or choose another place"
        ) from error
