"""What is known of items beyond the models: availability, metadata, and items added after training.

It is one file in the state folder, replaced atomically; every process of the service reads it when it changes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from segue.errors import ParameterError, StorageError
from segue.serving.schema.messages import Value
from segue.storage import identity, locked, replacing_file

FILE = "catalogue.json"
FORMAT = 1
MAX_ENTRIES = 50_000
"""Items that may differ from the models."""


class Entry(msgspec.Struct, omit_defaults=True, frozen=True):
    """What is known of an item.

    Attributes:
        name: display name; None keeps that of the model.
        available: whether it may be listed.
        metadata: values by column that replace those of the model.
        by: columns by which a model finds similar items if it does not know this one.
        updated: milliseconds since 1970 of the last change.
    """

    name: str | None = None
    available: bool = True
    metadata: dict[str, Value] = {}
    by: tuple[str, ...] = ()
    updated: int = 0


class _Content(msgspec.Struct):
    format: int
    items: dict[str, Entry]


_DECODER = msgspec.json.Decoder(_Content)
Entries = Mapping[str, Entry]


@dataclass(eq=False)
class Catalogue:
    """The file, and what it says.

    Attributes:
        folder: the state folder; None keeps nothing on disk.
        entries: entries by id of the item.
        problem: why the file as it is now is not in use.
    """

    folder: Path | None = None
    entries: Entries = field(default_factory=dict)
    problem: str | None = None
    _seen: tuple[int, ...] | None = None

    @property
    def updated(self) -> int | None:
        """Milliseconds since 1970 of the last change; None if there was none."""
        return max((one.updated for one in self.entries.values()), default=None)

    @property
    def unavailable(self) -> frozenset[str]:
        """The items that are not available."""
        return frozenset(item for item, one in self.entries.items() if not one.available)

    def refresh(self) -> bool:
        """Read the file if it has changed; return whether it was."""
        if self.folder is None or (seen := identity(self.folder / FILE)) == self._seen:
            return False
        self._seen = seen
        try:
            self.entries = {} if seen is None else self._read(self.folder / FILE)
        except ParameterError as error:
            self.problem = str(error)
            return False
        self.problem = None
        return True

    @staticmethod
    def _read(file: Path) -> Entries:
        try:
            content = _DECODER.decode(file.read_bytes())
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            remedy = "put back a copy of it, or move it away and send the items again"
            raise ParameterError(f"{file}: cannot be read ({error}); {remedy}") from error
        if content.format != FORMAT:
            raise ParameterError(f"{file}: has the format {content.format}, not {FORMAT}; use the segue that wrote it")
        return content.items

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the file against other processes; within the block, ``entries`` are those of the file.

        Raises:
            StorageError: it cannot be held, or is damaged.
        """
        if self.folder is None:
            yield
            return
        with locked(self.folder / f"{FILE}.lock"):
            self.refresh()
            if self.problem is not None:
                raise StorageError(self.problem)
            yield

    def write(self, entries: Entries) -> None:
        """Replace the entries.

        Raises:
            StorageError: the file cannot be written; the old entries stay.
        """
        if self.folder is not None:
            with replacing_file(self.folder / FILE) as scratch:
                scratch.write_bytes(msgspec.json.encode(_Content(FORMAT, dict(entries))))
            self._seen = identity(self.folder / FILE)
        self.entries = entries
