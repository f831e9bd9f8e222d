"""Models in service: loaded and tried out beside the old one, then switched in one step."""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Bool

from segue.artifact import ARTIFACT
from segue.errors import ArtifactError, ParameterError, SegueError
from segue.memory import available_memory
from segue.models.recommendation import Stateful
from segue.models.registry import load
from segue.serving.carried import CarriedStates
from segue.serving.engine import Query, Ranked, Ranker, rank
from segue.serving.messages import ItemAnswer, ListedItem, Refused
from segue.serving.rules import SessionRules
from segue.serving.telemetry import Telemetry

if TYPE_CHECKING:
    from segue.models.base import Model

logger = logging.getLogger(__name__)

_WARM_UP = 50
"""Sessions that a model answers before it serves."""

INLINE_SECONDS = 0.001
"""A model that answers faster than this is called by the event loop itself; a thread would cost as much."""

Filter = Mapping[str, Any]


@dataclass(eq=False)
class ServedModel:
    """A model, and what a request has to know of it. A request keeps the one that it began with.

    Attributes:
        name: its name in requests.
        version: hash of its manifest, which lists the checksums of its files.
        folder: where it was read from.
        model: the model.
        seconds: time of one answer, measured when it was loaded.
    """

    name: str
    version: str
    folder: Path
    model: "Model"
    seconds: float = 0.0

    @cached_property
    def rules(self) -> SessionRules:
        """What the model reads of a session."""
        return SessionRules(self._protocol.get("cleaning") or {})

    @cached_property
    def excludes_seen(self) -> bool:
        """Whether items of the session are excluded if a request does not say."""
        return bool((self._protocol.get("cases") or {}).get("exclude_seen", False))

    @property
    def _protocol(self) -> Mapping[str, Any]:
        return self.model.about.get("protocol") or {}

    @cached_property
    def states(self) -> CarriedStates | None:
        """The states of a recurrent model; None for other models."""
        return CarriedStates(self.model) if isinstance(self.model, Stateful) else None

    @property
    def inline(self) -> bool:
        """Whether the event loop calls the model itself."""
        return self.seconds < INLINE_SECONDS

    @cached_property
    def names(self) -> list[str]:
        """Display name by item index; empty if the items have no names."""
        names = self.model.vocabulary.names
        return names.names if names.column is not None else []

    @cached_property
    def index(self) -> dict[str, int]:
        """Item index by raw id, as text."""
        return {str(raw): place for place, raw in enumerate(self.model.vocabulary.raw_ids) if place}

    @cached_property
    def ids(self) -> list[str]:
        """Raw id by item index, as text."""
        return list(map(str, self.model.vocabulary.raw_ids))

    def listed(self, ranked: Ranked) -> list[ListedItem]:
        """Return a ranking as the API lists it."""
        ids, names = self.ids, self.names
        cold = self.model.vocabulary.cold(ranked.indices, fallback=ranked.fallback is not None)
        listed = [
            ListedItem(ids[index], score, names[index] if names else None)
            for index, score in zip(ranked.indices, ranked.scores, strict=True)
        ]
        if cold:
            ways = {str(raw): way for raw, way in cold.items()}
            for item in listed:
                item.cold = ways.get(item.item)
        return listed

    def describe(self, index: int) -> ItemAnswer:
        """Return an item with its metadata."""
        vocabulary = self.model.vocabulary
        row = vocabulary.table.row(index - 1, named=True)
        metadata = {name: _plain(row[name]) for name in vocabulary.metadata}
        return ItemAnswer(self.ids[index], self.names[index] if self.names else None, metadata)

    def search(self, text: str) -> Bool[np.ndarray, "M"]:
        """Return the items whose id or name contains a text, in any case."""
        found = np.zeros(len(self.ids), dtype=bool)
        for column in (self.ids, self.names):
            if column:
                found |= (
                    pl.Series(column, dtype=pl.String).str.to_lowercase().str.contains(text, literal=True).to_numpy()
                )
        return found

    def mask(self, wanted: Filter) -> Bool[np.ndarray, "M"]:
        """Return the items whose metadata has the wanted values.

        Args:
            wanted: for each column a value, or a list of values one of which an item must have.

        Raises:
            ParameterError: there is no such column.
        """
        mask: np.ndarray = self._mask(tuple(sorted((name, _as_texts(values)) for name, values in wanted.items())))
        return mask

    @cached_property
    def _mask(self) -> Any:
        vocabulary = self.model.vocabulary

        @lru_cache(maxsize=64)
        def mask(wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> Bool[np.ndarray, "M"]:
            allowed = np.ones(len(vocabulary) + 1, dtype=bool)
            allowed[0] = False
            for name, values in wanted:
                if name not in vocabulary.metadata:
                    known = ", ".join(vocabulary.metadata) or "none"
                    raise ParameterError(f"the items have no column {name!r}; they have: {known}")
                column = vocabulary.table[name].cast(pl.String, strict=False)
                allowed[1:] &= column.is_in(list(values)).fill_null(value=False).to_numpy()
            return allowed

        return mask


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _as_texts(values: Any) -> tuple[str, ...]:
    return tuple(sorted(map(_as_text, values if isinstance(values, list) else [values])))


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_model(name: str, folder: Path) -> ServedModel:
    """Load a model, check it, and let it answer 50 sessions, which compiles and allocates what it needs.

    Raises:
        ArtifactError: it is not a valid model, or its scores are not finite.
    """
    manifest = (folder / ARTIFACT.file).read_bytes() if (folder / ARTIFACT.file).is_file() else b""
    model = load(folder)
    served = ServedModel(name, f"sha256:{hashlib.sha256(manifest).hexdigest()[:16]}", folder, model)
    served.rules, served.excludes_seen, served.names, served.index, served.ids, served.states  # noqa: B018 (computed once, now)
    served.seconds = _warm_up(served)
    logger.info("%s %s answers in %.2f ms", name, served.version, 1000 * served.seconds)
    return served


def _warm_up(served: ServedModel) -> float:
    """Return the median time of an answer."""
    numbers = np.random.default_rng(0)
    ids = served.ids[1:]
    times = []
    for round_ in range(_WARM_UP):
        length = int(numbers.integers(1, 20))
        session = [ids[place] for place in numbers.integers(0, len(ids), length)]
        for k in {20, min(500, len(ids))} if round_ < 3 else {20}:
            start = time.perf_counter()
            rank(served, [Query(session, k=k, exclude=session[:1], exclude_seen=bool(round_ % 2))])
            times.append(time.perf_counter() - start)
    rank(served, [Query(ids[:2], k=20)] * 8)
    return float(np.median(times))


class ModelSet:
    """The models in service. Loading a model again switches to it when it has proved itself; else the old one stays.

    Args:
        folders: folder of each model by name; no others are ever read.
        default: name of the model of requests that name none.
        pool: threads for models that are not called by the event loop.
        telemetry: what is counted.
    """

    def __init__(
        self, folders: Mapping[str, Path], default: str, pool: ThreadPoolExecutor, telemetry: Telemetry
    ) -> None:
        self.folders, self.default, self._pool, self._telemetry = folders, default, pool, telemetry
        self._rankers: dict[str, Ranker] = {}
        self.problems: dict[str, str] = {}
        self._locks = {name: threading.Lock() for name in folders}

    @property
    def ready(self) -> bool:
        """Whether every model has been loaded."""
        return len(self._rankers) == len(self.folders)

    @property
    def rankers(self) -> Mapping[str, Ranker]:
        """The models that are loaded, by name."""
        return self._rankers

    def forget(self, session_id: str) -> None:
        """Forget what models keep of a session."""
        for ranker in self._rankers.values():
            if ranker.served.states is not None:
                ranker.served.states.forget(session_id)

    def refusals(self) -> list[str]:
        """Return why models were not loaded again, if they were not."""
        return [f"{name}: {why}" for name, why in self.problems.items()]

    def ranker(self, name: str | None) -> Ranker:
        """Return a model.

        Raises:
            Refused: there is none of this name, or it is not loaded yet.
        """
        ranker = self._rankers.get(self.default if name is None else name)
        if ranker is None:
            if name is not None and name not in self.folders:
                raise Refused(404, "unknown-model", f"there is no model {name!r}; there are {', '.join(self.folders)}")
            raise Refused(503, "starting", "the model is being loaded", retry_after=1)
        return ranker

    def load(self, name: str) -> ServedModel:
        """Load a model, for the first time or again; called outside of the event loop.

        Raises:
            Refused: there is no such model, it is being loaded, or what is in its folder is not a valid model.
        """
        if name not in self.folders:
            raise Refused(404, "unknown-model", f"there is no model {name!r}; there are {', '.join(self.folders)}")
        lock = self._locks[name]
        if not lock.acquire(blocking=False):
            raise Refused(409, "reload-refused", f"{name} is being loaded already")
        try:
            require_memory(self.folders[name])
            served = load_model(name, self.folders[name])
        except (SegueError, MemoryError) as error:
            self.problems[name] = str(error) or "not enough memory"
            logger.error("%s was not loaded: %s", name, self.problems[name])
            self._telemetry.refused(name)
            raise Refused(409, "reload-refused", self.problems[name]) from error
        finally:
            lock.release()
        self.problems.pop(name, None)
        self._rankers[name] = Ranker(served, self._pool, self._telemetry)
        self._telemetry.loaded(served)
        return served


def require_memory(folder: Path) -> None:
    """Check that a second version of a model fits into memory beside the first.

    Raises:
        ArtifactError: it does not.
    """
    size = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
    free = available_memory()
    if 3 * size > free:
        raise ArtifactError(
            f"{folder}: needs about {3 * size >> 20:,} MiB while it is loaded, and {free >> 20:,} MiB are free"
        )
