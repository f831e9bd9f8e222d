"""The contract of every model: configured, fitted on sessions, asked for scores, saved and loaded."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast, overload

import numpy as np
import torch
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from segue.artifact import Artifact
from segue.data.cold import ColdItems
from segue.data.events import TIME
from segue.data.readers import read_items
from segue.data.sessions import Cases, Prefixes, Sessions
from segue.data.vocabulary import PADDING, RawId, Vocabulary
from segue.errors import ParameterError, SegueError
from segue.models.running import Told, running_sessions
from segue.nn.ranking import top_k
from segue.parameters import build
from segue.spaces import Around, Space
from segue.training.runtime import Runtime

Session = list[int] | list[str] | list[RawId] | tuple[RawId, ...] | np.ndarray
"""The raw ids of one session, oldest first. Not any sequence, for a text is a sequence of texts too."""


@dataclass(frozen=True)
class Recommendation:
    """The answer to one running session.

    Attributes:
        items: raw item ids, best first.
        scores: their scores, on the model's own scale.
        unknown: items of the session that training has not seen, and that were ignored.
        source: ``"model"``, or ``"popularity"`` where no item of the session is known.
        cold: the recommended items that were added after training, and what their score is taken from: ``"similar
            items"``, or ``"fallback"`` for an item that is like no other, which comes behind all others.
    """

    items: list[RawId]
    scores: list[float]
    unknown: list[RawId]
    source: Literal["model", "popularity"]
    cold: dict[RawId, str] = field(default_factory=dict)


class ModelConfig(BaseModel):
    """What a model is. Each subclass declares its parameters once, with default, bounds and meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of parameters, for example those of a paper."""
    search: ClassVar[Mapping[str, Space | Around]] = {}
    """Where it pays to look for a better value, by dotted name; within the bounds of the parameter."""


class Model(ABC):
    """A recommender.

    ``fit`` returns the model itself, forgets an earlier fit and keeps no training data: a fitted model holds its
    config, the vocabulary and learnt arrays.

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
    diagnostics: Mapping[str, float] = {}
    """Numbers that tell how the last fit went, such as ``train_auc``; the linter looks at them."""

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: Any) -> None:
        if config is not None and (preset is not None or parameters):
            raise ParameterError(
                f"{self.name}.config: is the whole configuration; give no preset or parameters with it"
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

    @abstractmethod
    def fit(
        self, train: Sessions, *, valid: Cases | None = None, seed: int = 0, runtime: Runtime | None = None
    ) -> Self:
        """Learn from ``train``.

        Args:
            train: the training sessions.
            valid: validation cases; models that learn in epochs keep the epoch that is best on them.
            seed: equal seeds give equal models.
            runtime: device, precision, checkpoints and progress.

        Raises:
            ParameterError: ``check`` refuses ``train``.
        """

    @abstractmethod
    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item as the next event of each prefix.

        Column ``j`` belongs to item index ``j``; column 0 (padding) has no meaning and is never ranked. Higher is
        better; an item the model knows nothing for gets a score no higher than any item it knows something for.
        """

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the learnt arrays by name."""
        return {name: getattr(self, name) for name in self.learnt}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays that ``arrays`` returned; the inverse of it."""
        self.vocabulary = vocabulary
        for name in self.learnt:
            setattr(self, name, arrays[name])
        return self

    def save(self, path: str | Path, **about: Any) -> Path:
        """Write an artifact folder, whole or not at all.

        Args:
            path: the folder; an artifact that is there is replaced.
            **about: facts to keep in the manifest, for example the protocol and its hash.

        Raises:
            ArtifactError: ``path`` exists and is no artifact.
            StorageError: the disk refused.
        """
        self._require_fitted()
        artifact = Artifact(self.name, self.config.model_dump(mode="json"), self.vocabulary, self.arrays(), about)
        return artifact.write(Path(path))

    def to(self, device: torch.device) -> Self:
        """Move what is computed with to a device, if it is a network; return the model itself."""
        return self

    def add_items(self, items: object, *, by: str | Sequence[str]) -> Self:
        """Make items known that were added to the catalogue after training; the model itself is not trained further.

        A new item gets the mean of what was learnt of the training items that share its values in all columns of
        ``by``; if there are none, of those that share all but the last column, and so on. An item that shares nothing
        is ranked behind all others, by popularity. ``Recommendation.cold`` says which is which.

        Args:
            items: a file or a frame with one row per item: its id, the columns of ``by``, and any other metadata that
                the training items have. ``support``, if it is there, is the number of events since. Items that are
                known already stay what they are.
            by: columns of the metadata that the model was trained with, the most general one first.

        Returns:
            The model itself.

        Raises:
            LogError: ``items`` cannot be read, or has no column of ids.
            ParameterError: a column of ``by`` is missing, or the model learns nothing that a new item could share.
        """
        self._require_fitted()
        cold = ColdItems.compare(self.vocabulary, read_items(items), [by] if isinstance(by, str) else by)
        rows = self.rows_per_item()
        if not rows:
            raise ParameterError(
                f"{self.name}: learns no embeddings of items, so it cannot score items that training has not seen; "
                "fit it again on a log that holds them, or use a model with embeddings"
            )
        arrays = {name: cold.append_to(array) if name in rows else array for name, array in self.arrays().items()}
        return self.restore(arrays, cold.vocabulary)

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

    def put_last(self, scores: Float32[Tensor, "B N+1"]) -> Float32[Tensor, "B N+1"]:
        """Put the items that the model knows nothing of behind all others, in place; see ``add_items``."""
        readable = torch.from_numpy(self.vocabulary.readable).to(scores.device)
        if not readable[PADDING + 1 :].all():
            least = scores[:, readable].amin(dim=1, keepdim=True)
            behind = torch.nextafter(least, torch.full_like(least, -torch.inf))
            scores[:, ~readable] = behind.expand(-1, int((~readable).sum()))
        return scores

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
            sessions: raw item ids, oldest first: one session, or a list of sessions.
            k: how many items.
            exclude_seen: leave out the items of the running session.
            context: what else is known of each event, for models that read it: ``time`` and columns of the log, each
                a list as long as the session or one value for all its events; for a list of sessions, a list of that.
                What is not told is not known, and contributes nothing.

        Returns:
            One ``Recommendation`` for one session, a list of them for a list of sessions. Items that training has
            not seen are left out of a session and listed in ``unknown``; where none is left, the most popular
            items answer and ``source`` says so.

        Raises:
            ParameterError: ``k`` is below 1 or above the number of items, or ``context`` does not fit.
        """
        self._require_fitted()
        if not 1 <= k <= len(self.vocabulary):
            raise ParameterError(f"k: must be between 1 and the {len(self.vocabulary)} known items, got {k}")
        told = dict(context or {})
        for name in told:
            if name not in (TIME, *self.reads):
                read = ", ".join((TIME, *self.reads))
                raise ParameterError(f"context: {self.name} can read {read} of a session, got '{name}'; leave it out")
        if isinstance(sessions, str):
            raise ParameterError(f"sessions: must be a list of item ids, or a list of such lists, got '{sessions}'")
        if len(sessions) and isinstance(sessions[0], list | tuple | np.ndarray):
            return self._recommend_all(cast(Sequence[Session], sessions), k, exclude_seen, told)
        told = {name: [values] for name, values in told.items()}
        return self._recommend_all([cast(Session, sessions)], k, exclude_seen, told)[0]

    def _recommend_all(
        self, sessions: Sequence[Session], k: int, exclude_seen: bool, told: Told
    ) -> list[Recommendation]:
        raw: list[Sequence[RawId]] = [one.tolist() if isinstance(one, np.ndarray) else one for one in sessions]
        encoded = [self.vocabulary.index(session) for session in raw]
        readable, support = self.vocabulary.readable, self.vocabulary.support
        prefixes = running_sessions(encoded, readable, told)
        scores = self.score(prefixes)
        empty = prefixes.lengths == 0
        scores[torch.from_numpy(empty)] = torch.from_numpy(support).float().to(scores.device)
        items, values = top_k(scores, k, prior=support, exclude=prefixes if exclude_seen else None)
        return [
            Recommendation(
                items=self.vocabulary.decode(row[row != PADDING]),
                scores=value[row != PADDING].tolist(),
                unknown=[item for item, known in zip(session, readable[indices], strict=True) if not known],
                source="popularity" if fallback else "model",
                cold=self.vocabulary.cold(row[row != PADDING], fallback=bool(fallback)),
            )
            for row, value, session, indices, fallback in zip(items, values, raw, encoded, empty, strict=True)
        ]

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Surround the computations of a fit: where one fails, the model does not count as fitted."""
        try:
            yield
        except BaseException:
            self.__dict__.pop("vocabulary", None)
            raise

    def _require_fitted(self) -> None:
        if not hasattr(self, "vocabulary"):
            raise SegueError(f"{self.name}: the model is not fitted; call fit first")
