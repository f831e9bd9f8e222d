"""The state of an interrupted `segue fit`, in a folder that it names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from segue.storage import write_errors
from segue.storage.claims import claimed
from segue.storage.filesystem import Kind, kind_of
from segue.storage.scratch import entries
from segue.training.runtime import Runtime

_STATE = "fit.safetensors"
"""File of the state of a training; its stages add their names."""


@contextmanager
def resumable(runtime: Runtime, folder: Path) -> Iterator[Runtime]:
    """Yield a runtime that goes on from the state of a training in a folder, and removes it when the block ends well.

    Raises:
        ClaimedError: another fit uses the folder.
        StorageError: the folder cannot be written.
    """
    resuming = replace(runtime, checkpoint=folder / _STATE, resume=True)
    if not runtime.group.leads:
        yield resuming
        return
    with claimed(folder, "segue fit", lambda: None, option="--checkpoints"):
        yield resuming
        with write_errors(folder):
            for name, kind in entries(folder) if kind_of(folder) is Kind.FOLDER else ():
                if kind is Kind.FILE and re.fullmatch(rf"{re.escape(_STATE)}(\.[a-z-]+)*", name):
                    (folder / name).unlink()
        with suppress(OSError):
            folder.rmdir()
