"""The versions of models that a service has learnt, in its state folder; the given folders are never written to.

STATE/models/NAME/0000000007   a version, accepted after it was verified; the last two are kept
STATE/models/NAME/update.json  what became of the last update
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.artifact import ARTIFACT
from segue.errors import ArtifactError, SegueError
from segue.storage import identity, make_folder, remove, write_text
from segue.strict_json import digest, dumps, read_object

BASE = "base"
"""Fact about a version: the version of the model in the given folder that its updates began with."""
REFUSED = frozenset({"refused", "failed"})
"""Results of an update that someone should look at."""
_KEPT = 2

logger = logging.getLogger(__name__)


def version_at(folder: Path) -> str:
    """Return the version of the model in a folder, as ``Artifact.version``.

    Raises:
        ArtifactError: it is not a model, or its manifest is damaged.
    """
    return digest(ARTIFACT.read_manifest(folder).model_dump())


class Versions:
    """The versions of the models of a service.

    Args:
        state: the state folder.
        given: the folder of each model, by name.
    """

    def __init__(self, state: Path, given: Mapping[str, Path]) -> None:
        self._folder, self._given = state / "models", given
        self._damaged: dict[str, str] = {}
        self._last: dict[str, tuple[tuple[int, ...] | None, Mapping[str, Any]]] = {}

    def newest(self, name: str) -> Path:
        """Return the folder of the newest version; the given one, if nothing was learnt since it was put there.

        Damaged versions are passed over, with a warning.

        Raises:
            ArtifactError: the model in the given folder is damaged.
        """
        base, damaged = version_at(self._given[name]), []
        newest = self._given[name]
        for folder in reversed(self._numbered(name)):
            try:
                if ARTIFACT.read_manifest(folder).about.get(BASE) != base:
                    continue
                ARTIFACT.open(folder)
            except ArtifactError as error:
                damaged.append(str(error))
                continue
            newest = folder
            break
        self._note(name, f"{'; '.join(damaged)}; {newest} is in use" if damaged else "")
        return newest

    def _note(self, name: str, problem: str) -> None:
        if problem and problem != self._damaged.get(name):
            logger.warning("%s: a version that was learnt is damaged: %s", name, problem)
        self._damaged[name] = problem

    def next(self, name: str) -> Path:
        """Return the folder of the version to write."""
        make_folder(self._folder / name)
        last = max((int(folder.name) for folder in self._numbered(name)), default=0)
        return self._folder / name / f"{last + 1:010}"

    def retire(self, name: str) -> None:
        """Remove all versions but the last two.

        Raises:
            StorageError: one cannot be removed.
        """
        for folder in self._numbered(name)[:-_KEPT]:
            remove(folder)

    def record(self, name: str, result: str, why: str, **facts: Any) -> None:
        """Write what became of an update."""
        make_folder(self._folder / name)
        write_text(self._status(name), dumps({"result": result, "why": why, **facts}, indent=2) + "\n")

    def last(self, name: str) -> Mapping[str, Any]:
        """Return what became of the last update; empty if there was none, or if it cannot be read."""
        seen, found = identity(self._status(name)), self._last.get(name)
        if found is None or found[0] != seen:  # It is asked for by the event loop, which reads no file twice.
            found = self._last[name] = seen, self._read(name)
        return found[1]

    def _read(self, name: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = read_object(self._status(name))
        except (SegueError, OSError, ValueError):
            return {}
        return found

    def warnings(self) -> list[str]:
        """Return the models whose last update was refused or failed, or with a damaged version, and why."""
        found = [(name, self.last(name)) for name in self._given]
        odd = [f"{name}: the last update {last['result']}: {last['why']}" for name, last in found if _odd(last)]
        return odd + [f"{name}: a version is damaged: {why}" for name, why in list(self._damaged.items()) if why]

    def _status(self, name: str) -> Path:
        return self._folder / name / "update.json"

    def _numbered(self, name: str) -> list[Path]:
        return sorted(path for path in (self._folder / name).glob("*") if path.name.isdigit() and path.is_dir())


def _odd(last: Mapping[str, Any]) -> bool:
    return last.get("result") in REFUSED
