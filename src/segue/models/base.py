"""The contract of every model: configured, fitted on sessions, asked for items, saved and loaded."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self, overload

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int64
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from segue.artifact import Artifact
from segue.data.cases import Cases
from segue.data.cold_items import ColdItems
from segue.data.events import TIME
from segue.data.indices import item_indices, whole_number
from segue.data.readers.read import read_items
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING, RawId, Vocabulary
from segue.errors import ParameterError, SegueError
from segue.evaluation.ranking import top_k
from segue.models.filters import Allowed, Excluded, filters
from segue.models.recommendation import Recommendation, recommendations
from segue.models.requests import Session, Told, running_sessions, session_lists
from segue.parameters import build
from segue.spaces import Around, Space
from segue.training.runtime import Runtime


class ModelConfig(BaseModel):
    """What a model is. Each subclass declares its parameters once, with default, bounds and meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of parameters, for example those of a paper."""
    search: ClassVar[Mapping[str, Space | Around]] = {}
    """Where it pays to look for a better value, by dotted name; within the bounds of the parameter."""


class Model(ABC):
    """A recommender.

    A fitted model is immutable, and any number of threads may ask it: what would change it returns a new one. It holds
    its configuration, the vocabulary and learnt arrays, and no training data.

    Args:
        config: the whole configuration, instead of what follows.
        preset: name of one of ``Config.presets`` to start from; None starts from the defaults.
        **parameters: single parameters, on top of the preset.

    Raises:
        ParameterError: a parameter is unknown or breaks its rule; all mistakes are reported together.
    """

    name: ClassVar[str]
    """Name on the command line and in artifacts."""
    paper: ClassVar[str]
    """Source: authors, year, arXiv number or venue."""
    Config: ClassVar[type[ModelConfig]]
    learnt: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold the learnt arrays."""
    popular: ClassVar[bool] = False
    """Whether it ranks by popularity openly, so that the linter does not call it popularity in disguise."""
    embeddings: ClassVar[Set[str]] = frozenset()
    """Those of them that hold an embedding or a bias per item index."""

    config: ModelConfig
    vocabulary: Vocabulary
    notes: tuple[str, ...] = ()
    """What a reader of the results should know about the last fit."""
    about: Mapping[str, Any] = {}
    """Facts about the training, such as the protocol: those of the manifest that the model was loaded from."""
    diagnostics: Mapping[str, float] = {}
    """Numbers that tell how the last fit went, such as ``train_auc``; the linter looks at them."""

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: Any) -> None:
        if config is not None and (preset is not None or parameters):
            raise ParameterError(
                f"{self.name}.config: is the whole configuration; give no preset or parameters with it"
            )
        if config is not None and type(config) is not self.Config:
            raise ParameterError(
                f"{self.name}.config: must be of type {self.Config.__name__}, got {type(config).__name__}"
            )
        self.config = config or build(self.Config, self.name, preset=preset, parameters=parameters)

    @classmethod
    def summary(cls) -> str:
        """Return the first sentence of the model's documentation."""
        return " ".join((cls.__doc__ or "").split("\n\n")[0].split())

    def check(self, train: Sessions) -> None:  # noqa: B027 (most models learn from any sessions)
        """Refuse training sessions that do not suit the parameters, before anything is computed.

        Raises:
            ParameterError: a parameter asks for what the sessions do not have.
        """

    def fit(
        self, train: Sessions, *, valid: Cases | None = None, seed: int = 0, runtime: Runtime | None = None
    ) -> Self:
        """Learn from ``train``; a model that is fitted already stays as it is, and a new one is fitted and returned.

        Args:
            train: the training sessions.
            valid: validation cases; models that learn in epochs keep the epoch that is best on them.
            seed: equal seeds give equal models.
            runtime: device, precision, checkpoints and progress.

        Returns:
            The model itself, or a new one of the same configuration if it was fitted before.

        Raises:
            ParameterError: ``train`` or ``valid`` are no sessions or cases, they are of different catalogues, or
                ``check`` refuses ``train``.
        """
        self._require_training(train, valid)
        model = self._unfitted()
        model.check(train)
        with model._learning():
            model._fit(train, valid, seed, runtime or Runtime())
        return model

    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item as the next event of each prefix.

        Column ``j`` belongs to item index ``j``; column 0 (padding) has no meaning and is never ranked. Higher is
        better; an item the model knows nothing for gets a score no higher than any item it knows something for.

        Raises:
            ParameterError: the prefixes were encoded with another catalogue.
        """
        self._require_own(prefixes)
        return self._score(prefixes)

    def score_items(self, prefixes: Prefixes, items: Int[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Score given items as the next event of each prefix: the columns of ``score`` that ``items`` names.

        Args:
            prefixes: B running sessions.
            items: item indices, C for each prefix; the score of padding (0) is minus infinity.

        Raises:
            ParameterError: prefixes or items are of another catalogue, ``items`` holds anything but integers, or
                there is not one row of items per prefix.
        """
        self._require_own(prefixes)
        items = item_indices(items, "items", 2, (PADDING, len(self.vocabulary)))
        if len(items) != len(prefixes):
            raise ParameterError(f"items: must have one row per prefix, {len(prefixes)}, got the shape {items.shape}")
        scores = self._score_items(prefixes, items)
        return scores.masked_fill(torch.from_numpy(items == PADDING).to(scores.device), -torch.inf)

    def top_k(
        self, prefixes: Prefixes, k: int, *, allowed: Allowed | None = None, exclude: Excluded | None = None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items for each prefix: what is served, and what evaluation ranks.

        Items are in order of ``score``; of equal scores the item with more training events leads, then the one with
        the lower index.

        Args:
            prefixes: B running sessions.
            k: length of the lists.
            allowed: the items that may be listed, a mask [N+1] or a list of item indices; None for all.
            exclude: items that must not be listed, for each row: prefixes, or lists of item indices.

        Returns:
            Item indices, best first, and their scores. A row with fewer than k candidates ends in item 0 with -inf.

        Raises:
            ParameterError: ``k`` is no integer or below 1, or an argument is of another catalogue, has another number
                of rows, or holds anything but integers.
        """
        k = whole_number(k, "k", "must be at least 1", 1)
        self._require_own(prefixes)
        mask, barred = filters(self.vocabulary, len(prefixes), allowed, exclude)
        return self._top_k(prefixes, k, mask, barred)

    @abstractmethod
    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Learn from training sessions that were checked; see ``fit``."""

    @abstractmethod
    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item for prefixes that were checked; see ``score``."""

    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Score some items for prefixes, both of which were checked; what padding gets has no meaning."""
        scores = self._score(prefixes)
        return scores.gather(1, torch.from_numpy(items).to(scores.device))

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items for arguments that were checked; see ``top_k``."""
        return top_k(self._score(prefixes), k, order=self.vocabulary.order, allowed=allowed, exclude=exclude)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the learnt arrays by name."""
        return {name: getattr(self, name) for name in self.learnt}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Make a new model a fitted one by the arrays that ``arrays`` of another one returned."""
        self.vocabulary = vocabulary
        for name in self.learnt:
            setattr(self, name, arrays[name])
        return self

    def save(self, path: str | Path, **about: Any) -> Path:
        """Write an artifact folder atomically.

        Args:
            path: the folder; an artifact that is there is replaced.
            **about: facts to keep in the manifest besides those in ``about``, for example the protocol and its hash.

        Raises:
            ArtifactError: ``path`` exists and is no artifact.
            StorageError: the write failed; what was at ``path`` is still there.
        """
        self._require_fitted()
        facts = {**self.about, **about}
        artifact = Artifact(self.name, self.config.model_dump(mode="json"), self.vocabulary, self.arrays(), facts)
        return artifact.write(Path(path))

    def to(self, device: torch.device) -> Self:
        """Return the model on a device: itself, or a copy if it is a network on another device."""
        return self

    @property
    def device(self) -> torch.device:
        """Where scores are computed."""
        return torch.device("cpu")

    def add_items(self, items: object, *, by: str | Sequence[str]) -> Self:
        """Return a model that also knows items which were added to the catalogue after training.

        This model stays as it is, and neither is trained further.

        A new item gets the mean of what was learnt of the training items that share its values in all columns of
        ``by``; if there are none, of those that share all but the last column, and so on. An item that shares nothing
        is ranked behind all others, by popularity. ``Recommendation.cold`` says which is which.

        Args:
            items: a file or a frame with one row per item: its id, the columns of ``by``, and any other metadata that
                the training items have. ``support``, if it is there, is the number of events since. Items that are
                known already stay what they are.
            by: columns of the metadata that the model was trained with, the most general one first.

        Returns:
            The new model.

        Raises:
            LogError: ``items`` cannot be read, or has no column of ids.
            ParameterError: a column of ``by`` is missing, or the model learns nothing that a new item could share.
        """
        self._require_fitted()
        cold = ColdItems.match(self.vocabulary, read_items(items), [by] if isinstance(by, str) else by)
        rows = self.rows_per_item()
        if not rows:
            raise ParameterError(
                f"{self.name}: learns no embeddings of items, so it cannot score items that training has not seen; "
                "fit it again on a log that holds them, or use a model with embeddings"
            )
        arrays = {name: cold.extend(array) if name in rows else array for name, array in self.arrays().items()}
        return self._copy(arrays, cold.vocabulary)

    def rows_per_item(self) -> Set[str]:
        """Return which of ``arrays`` hold an embedding or a bias per item, so that they grow with the catalogue."""
        return self.embeddings

    def item_vectors(self) -> Float32[np.ndarray, "M D"] | None:
        """Return what sessions are compared with when they are scored, without biases; None if there is no such table.

        Row ``j`` belongs to item index ``j``; row 0 (padding) has no meaning.
        """
        return None

    @property
    def scores_are_logits(self) -> bool:
        """Whether the model takes the softmax of its scores for how likely items are; else in proportion to them."""
        return False

    @property
    def reads(self) -> Sequence[str]:
        """Columns of the log, besides the time, that the model reads of each event."""
        return ()

    @overload
    def recommend(
        self, sessions: Session, k: int = 10, *, exclude_seen: bool = False, context: Told | None = None
    ) -> Recommendation: ...

    @overload
    def recommend(
        self, sessions: Sequence[Session], k: int = 10, *, exclude_seen: bool = False, context: Told | None = None
    ) -> list[Recommendation]: ...

    def recommend(
        self,
        sessions: Session | Sequence[Session],
        k: int = 10,
        *,
        exclude_seen: bool = False,
        context: Told | None = None,
    ) -> Recommendation | list[Recommendation]:
        """Recommend the next items of running sessions, which need not have been seen in training.

        Args:
            sessions: item ids, or names of items that no two items share, oldest first: one session, or a list of
                sessions. ``[]`` is a list of no sessions; a session without events is ``[[]]``.
            k: how many items.
            exclude_seen: leave out the items of the running session.
            context: what else is known of each event, for models that read it: ``time`` and columns of the log, each
                a list as long as the session or one value for all its events; for a list of sessions, a list of that.
                What is missing is unknown to the model, and contributes nothing.

        Returns:
            One ``Recommendation`` for one session, a list of them for a list of sessions. Items that training has
            not seen are left out of a session and listed in ``unknown`` (``vocabulary.suggest`` finds similar names);
            where none is left, the most popular items answer and ``source`` says so.

        Raises:
            ParameterError: ``k`` is below 1 or above the number of items, ``sessions`` is neither one session nor a
                list of sessions, or ``context`` does not fit.
        """
        self._require_fitted()
        known = len(self.vocabulary)
        k = whole_number(k, "k", f"must be between 1 and the {known} known items", 1, known)
        raw, several = session_lists(sessions)
        if context is not None and not isinstance(context, Mapping):
            raise ParameterError(f"context: must be values by the name of their column, got {context!r}")
        told = dict(context or {})
        for name in told:
            if name not in (TIME, *self.reads):
                read = ", ".join((TIME, *self.reads))
                raise ParameterError(f"context: {self.name} can read {read} of a session, got '{name}'; leave it out")
        if told and not several:
            told = {name: [values] for name, values in told.items()}
        answers = self._recommend(raw, k, exclude_seen, told)
        return answers if several else answers[0]

    def _recommend(
        self, sessions: list[Sequence[RawId]], k: int, exclude_seen: bool, told: Told
    ) -> list[Recommendation]:
        vocabulary = self.vocabulary
        encoded = [vocabulary.index(session) for session in sessions]
        prefixes = running_sessions(encoded, vocabulary, told)
        seen = [[item for item in one if item] for one in encoded]
        exclude = Prefixes.from_lists([np.array(one, dtype=np.int32) for one in seen]) if exclude_seen else None
        empty = prefixes.lengths == 0
        if empty.any():
            items = np.zeros((len(prefixes), k), dtype=np.int64)
            scores = np.zeros((len(prefixes), k), dtype=np.float32)
            full = np.flatnonzero(~empty)
            if len(full):
                barred = None if exclude is None else exclude[full]
                items[full], scores[full] = self._top_k(prefixes[full], k, None, barred)
            for place in np.flatnonzero(empty).tolist():
                best = self._most_popular(k, seen[place] if exclude_seen else [])
                items[place, : len(best)], scores[place, : len(best)] = best, self.vocabulary.support[best]
        else:
            items, scores = self._top_k(prefixes, k, None, exclude)
        return recommendations(vocabulary, sessions, encoded, items, scores, empty)

    def _most_popular(self, k: int, seen: Sequence[int]) -> list[int]:
        """Return the k items with most training events, without those seen."""
        leading: list[int] = self.vocabulary.order.items[: k + len(seen)].tolist()
        return [item for item in leading if item not in seen][:k]

    def _unfitted(self) -> Self:
        """Return the model itself if it can be fitted, else a new one of its configuration: others may ask this one."""
        return type(self)(self.config) if hasattr(self, "vocabulary") else self

    def _copy(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Return a model with the configuration and the facts of this one, and with other arrays."""
        model = type(self)(self.config).restore(arrays, vocabulary)
        model.about, model.notes, model.diagnostics = self.about, self.notes, self.diagnostics
        return model

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Surround the computations of a fit: where one fails, the model does not count as fitted."""
        self.about, self.notes, self.diagnostics = {}, (), {}
        try:
            yield
        except BaseException:
            self.__dict__.pop("vocabulary", None)
            raise

    def _require_fitted(self) -> None:
        if not hasattr(self, "vocabulary"):
            raise SegueError(f"{self.name}: the model is not fitted; call fit first")

    def _require_training(self, train: Sessions, valid: Cases | None) -> None:
        """Refuse what no model can be trained on."""
        if not isinstance(train, Sessions):
            raise ParameterError(f"train: must be Sessions, got {type(train).__name__}; of a data set, pass data.train")
        if valid is not None and not isinstance(valid, Cases):
            raise ParameterError(f"valid: must be Cases, got {type(valid).__name__}; of a data set, pass data.valid")
        train.require_valid("train")
        if valid is not None:
            valid.require_valid(train.vocabulary, "valid")

    def _require_own(self, prefixes: Prefixes) -> None:
        """Refuse prefixes that are not of this model's catalogue."""
        self._require_fitted()
        if not isinstance(prefixes, Prefixes):
            raise ParameterError(
                f"prefixes: must be Prefixes, got {type(prefixes).__name__}; recommend takes lists of item ids"
            )
        prefixes.require_valid(self.vocabulary)
