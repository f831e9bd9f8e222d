"""Models in service: loaded and tried out beside the old one, then switched in one step."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from segue.artifact import Artifact
from segue.errors import ArtifactError, ParameterError, SegueError
from segue.memory import available_memory
from segue.models.measured_search import EXACT
from segue.models.registry import restore
from segue.serving.catalogue.catalogue import Catalogue
from segue.serving.catalogue.merchandise import Merchandise
from segue.serving.catalogue.rules_file import RulesFile
from segue.serving.engine import Ranker, rank
from segue.serving.explaining import explain
from segue.serving.ranking import Query, Ranked
from segue.serving.schema.answers import ItemsChanged
from segue.serving.schema.messages import ItemsRequest, Mistake, Refused
from segue.serving.served_model import ServedModel
from segue.serving.telemetry import Telemetry
from segue.serving.versions import Versions

logger = logging.getLogger(__name__)

_WARM_UP = 50
"""Sessions that a model answers before it serves."""

_RULES_WARM_UP = 7
"""Sessions that it answers again before new rules apply."""


def load_model(name: str, folder: Path, search: str = EXACT) -> ServedModel:
    """Load a model, check it, and let it answer 50 sessions, which compiles and allocates what it needs.

    Args:
        name: its name in requests.
        folder: where it is.
        search: how it finds the best items; see ``Model.with_search``.

    Raises:
        ArtifactError: it is not a valid model, or its scores are not finite.
        ParameterError: the search does not pay.
    """
    artifact = Artifact.read(folder)
    model = restore(artifact, folder)
    if search != EXACT:
        try:
            model = model.with_search(search)
        except ParameterError as error:
            raise ParameterError(f"--{error.lines[0]} ({name}, {folder})") from error
        logger.info("%s searches %s", name, model.search_report)
    served = ServedModel(name, f"sha256:{artifact.version}", folder, model)
    served.rules, served.excludes_seen, served.names, served.index, served.ids, served.states  # noqa: B018 (computed once, now)
    served.texts, served.columns  # noqa: B018
    served.seconds = _warm_up(served)
    first = Query(served.ids[1:3], k=1)
    explain(served, first, _checked(served, [first])[0])  # What explanations need is compiled before the first one.
    logger.info("%s %s answers in %.2f ms", name, served.version, 1000 * served.seconds)
    return served


def _checked(served: ServedModel, queries: list[Query]) -> list[Ranked]:
    found = []
    for answer in rank(served, queries):
        if isinstance(answer, ArtifactError):
            raise answer
        found.append(answer)
    return found


def _warm_up(served: ServedModel, rounds: int = _WARM_UP) -> float:
    """Return the median time of an answer."""
    numbers = np.random.default_rng(0)
    ids = served.ids[1:]
    times = []
    for round_ in range(rounds):
        length = int(numbers.integers(1, 20))
        session = [ids[place] for place in numbers.integers(0, len(ids), length)]
        for k in {20, min(500, len(ids))} if round_ < 3 else {20}:
            start = time.perf_counter()
            _checked(served, [Query(session, k=k, exclude=session[:1], exclude_seen=bool(round_ % 2))])
            times.append(time.perf_counter() - start)
    _checked(served, [Query(ids[:2], k=20)] * 8)
    return float(np.median(times))


class ModelSet:
    """The models in service. Loading a model again switches to it when it has proved itself; else the old one stays.

    Args:
        folders: folder of each model by name; no others are ever read.
        default: name of the model of requests that name none.
        pool: threads for models that are not called by the event loop.
        telemetry: what is counted.
        merchandise: rules and catalogue; None for a service without.
        versions: the versions that were learnt since, of which the newest is loaded; None loads the given models.
        search: how the models find the best items.

    Attributes:
        problems: why models were not loaded again, by name.
        announce: tells the other processes of the service to load their models again.
        changes: the thread in which items are changed, which waits while models are switched.
        replaced: called when another model is in service under a name.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        default: str,
        pool: ThreadPoolExecutor,
        telemetry: Telemetry,
        merchandise: Merchandise | None = None,
        versions: Versions | None = None,
        search: str = EXACT,
    ) -> None:
        self.merchandise = merchandise or Merchandise(RulesFile(None), Catalogue(), lambda: int(time.time() * 1000))
        self._bases: dict[str, ServedModel] = {}
        self._switching = threading.RLock()
        self._behind = False
        """Whether a file was read and the models do not follow it yet, because that failed: it is tried again."""
        self.folders, self.default, self._pool, self._telemetry = folders, default, pool, telemetry
        self._versions = versions
        self._search = search
        self._rankers: dict[str, Ranker] = {}
        self.problems: dict[str, str] = {}
        self.announce: Callable[[], None] = lambda: None
        self.replaced: Callable[[ServedModel], None] = lambda served: None
        self.changes = ThreadPoolExecutor(1, "segue-items")
        self._locks = {name: threading.Lock() for name in folders}

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
        """Return why models were not loaded again or not updated, and what is wrong with rules and catalogue."""
        not_updated = [] if self._versions is None else self._versions.warnings()
        return [*(f"{name}: {why}" for name, why in self.problems.items()), *not_updated, *self.merchandise.warnings()]

    def refresh(self, *, force: bool = False) -> None:
        """Apply rules and catalogue to the models again if their files have changed; not for the event loop.

        Args:
            force: read the rules even if they seem to be the same.
        """
        with self._switching:
            self._behind |= self.merchandise.refresh(force=force)
            if self._behind:
                self._switch({name: self.merchandise.apply(base) for name, base in self._bases.items()})

    def change_items(self, request: ItemsRequest, wrong: Mapping[int, list[Mistake]]) -> ItemsChanged:
        """Change the catalogue, and switch to models with it over them; not for the event loop.

        Raises:
            StorageError: the catalogue cannot be written; nothing changes.
        """
        with self._switching:
            self._behind = True
            answer, models = self.merchandise.change(request, wrong, self._bases)
            self._switch(models)
        return answer

    def _switch(self, models: Mapping[str, ServedModel]) -> None:
        for name, served in models.items():
            if served is not self._rankers[name].served:
                self._put(name, served)
        self._behind = False

    def _put(self, name: str, served: ServedModel) -> None:
        self._rankers[name] = self._ranker(served)
        self.replaced(served)

    def _ranker(self, served: ServedModel) -> Ranker:
        """Return what calls a model; with rules, it is timed anew, because the event loop calls only fast ones."""
        if served.listing is not None:
            served.seconds = _warm_up(served, _RULES_WARM_UP)
        return Ranker(served, self._pool, self._telemetry)

    def ranker(self, name: str | None) -> Ranker:
        """Return a model.

        Raises:
            Refused: there is none of this name, or it is not loaded yet.
        """
        ranker = self._rankers.get(self.default if name is None else name)
        if ranker is None:
            if name is not None:
                self._require(name)
            raise Refused(503, "starting", "the model is being loaded", retry_after=1)
        return ranker

    def _require(self, name: str) -> None:
        if name not in self.folders:
            raise Refused(404, "unknown-model", f"there is no model {name!r}; there are {', '.join(self.folders)}")

    def load(self, name: str, *, wait: bool = False) -> ServedModel:
        """Load a model, for the first time or again; called outside of the event loop.

        Args:
            name: its name.
            wait: whether to wait while it is being loaded already.

        Raises:
            Refused: there is no such model, it is being loaded, or what is in its folder is not a valid model.
        """
        self._require(name)
        lock = self._locks[name]
        if not lock.acquire(blocking=wait):
            raise Refused(409, "reload-refused", f"{name} is being loaded already")
        try:
            folder = self.folders[name] if self._versions is None else self._versions.newest(name)
            require_memory(folder)
            served = load_model(name, folder, self._search)
            self.problems.pop(name, None)
            with self._switching:
                self._put(name, self.merchandise.apply(served))
                self._bases[name] = served
        except (SegueError, OSError, MemoryError) as error:
            self.problems[name] = str(error) or "not enough memory"
            logger.error("%s was not loaded: %s", name, self.problems[name])
            self._telemetry.refused(name)
            raise Refused(409, "reload-refused", self.problems[name]) from error
        finally:
            lock.release()
        self._telemetry.loaded(name, served.version)
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
