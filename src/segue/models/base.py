"""The contract of every model: configure, fit, score, list, recommend, save and load."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self, overload

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int64
from torch import Tensor

from segue.data.cases import Cases
from segue.data.indices import item_indices, whole_number
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING
from segue.errors import ParameterError
from segue.evaluation.ranking import top_k
from segue.models.persistence import ModelBase
from segue.models.recommendation import Listed, Recommendation, list_length, recommend_sessions
from segue.models.requests import (
    Allowed,
    EventContext,
    Excluded,
    Session,
    allowed_items,
    check_training,
    encode_upcoming,
    event_context,
    item_filters,
    session_lists,
)
from segue.models.why.answer import AttentionWeights, Part
from segue.training.runtime import Runtime


class Model(ModelBase):
    """A recommender.

    A fitted model is immutable and safe to share between threads: methods that would change it return a new one. It
    contains its configuration, the vocabulary and read-only arrays, but no training data.

    Args:
        config: the whole configuration, instead of a preset and parameters.
        preset: name of one of ``Config.presets`` to start from; None starts from the defaults.
        **parameters: single parameters, on top of the preset.

    Raises:
        ParameterError: a parameter is unknown or breaks its rule; all problems are reported together.
    """

    def check(self, train: Sessions) -> None:
        """Check that training sessions have what the parameters need, before any computation.

        Raises:
            ParameterError: they do not.
        """

    @property
    def micro_batches(self) -> int | None:
        """Number of parts of a training step, which processes may share; None for a model without them."""
        return getattr(getattr(self.config, "training", None), "micro_batches", None)

    @classmethod
    def chosen_parameters(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what validation chose in a fit with some parameters and arrays, for a changed fit without it."""
        return {}

    def depends_on_threads(self, runtime: Runtime) -> bool:
        """Return whether a fit rounds differently with another number of threads."""
        return False

    def fit(
        self, train: Sessions, *, valid: Cases | None = None, seed: int = 0, runtime: Runtime | None = None
    ) -> Self:
        """Fit the model on ``train``. If it is already fitted, it is not changed; a new model is fitted and returned.

        Args:
            train: the training sessions.
            valid: validation cases; models trained in epochs keep the best epoch on these cases.
            seed: equal seeds give equal models, in equal numbers of threads; on a GPU, with ``runtime.deterministic``.
            runtime: device, precision, checkpoints and progress.

        Returns:
            The model itself, or a new model with the same configuration if it was already fitted.

        Raises:
            ParameterError: ``train`` or ``valid`` are not sessions or cases, their catalogues differ, or ``check``
                fails.
        """
        check_training(train, valid)
        model = self._unfitted()
        model.check(train)
        runtime = runtime or Runtime()
        runtime.group.check(model.name, model.micro_batches)
        with model._fitting(train), runtime.algorithms():
            model._fit(train, valid, seed, runtime)
        return model

    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item as the next event of each prefix.

        Column ``j`` belongs to item index ``j``; column 0 (padding) is undefined and never ranked. Higher is better;
        unknown items score no higher than other items.

        Raises:
            ParameterError: the prefixes were encoded with another catalogue.
        """
        self._require_prefixes(prefixes)
        return self._score(prefixes)

    def score_items(self, prefixes: Prefixes, items: Int[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Score given items as the next event of each prefix: selected columns of ``score``.

        Args:
            prefixes: B current sessions.
            items: item indices, C for each prefix; the score of padding (0) is minus infinity.

        Raises:
            ParameterError: prefixes or items are of another catalogue, ``items`` contains values that are not integers,
                or there is not one row of items per prefix.
        """
        self._require_prefixes(prefixes)
        items = item_indices(items, "items", 2, (PADDING, len(self.vocabulary)))
        if len(items) != len(prefixes):
            raise ParameterError(f"items: must have one row per prefix, {len(prefixes)}, got the shape {items.shape}")
        scores = self._score_items(prefixes, items)
        return scores.masked_fill(torch.from_numpy(items == PADDING).to(scores.device), -torch.inf)

    def top_k(
        self, prefixes: Prefixes, k: int, *, allowed: Allowed | None = None, exclude: Excluded | None = None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items for each prefix, as served and as evaluated.

        Items are in order of ``score``; ties go to the item with more training events, then to the lower index.

        Args:
            prefixes: B current sessions.
            k: length of the lists.
            allowed: the items that may be listed, a mask [N+1] or a list of item indices; None for all.
            exclude: items that must not be listed, for each row: prefixes, or lists of item indices.

        Returns:
            Item indices, best first, and their scores. A row with fewer than k candidates ends in item 0 with -inf.

        Raises:
            ParameterError: ``k`` is not an integer or below 1, or an argument is of another catalogue, has another
                number of rows, or contains values that are not integers.
        """
        k = whole_number(k, "k", "must be at least 1", 1)
        self._require_prefixes(prefixes)
        return self._top_k(prefixes, k, *item_filters(self.vocabulary, len(prefixes), allowed, exclude))

    @abstractmethod
    def _fit(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Learn from checked training sessions; see ``fit``."""

    @abstractmethod
    def _score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item for checked prefixes; see ``score``."""

    def _score_items(self, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[Tensor, "B C"]:
        """Score given items for checked prefixes; the score of padding is undefined."""
        scores = self._score(prefixes)
        return scores.gather(1, torch.from_numpy(items).to(scores.device))

    def _top_k(
        self, prefixes: Prefixes, k: int, allowed: Bool[np.ndarray, "M"] | None, exclude: Prefixes | None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items for checked arguments; see ``top_k``."""
        return top_k(self._score(prefixes), k, order=self.vocabulary.order, allowed=allowed, exclude=exclude)

    def _listed(self, prefixes: Prefixes, k: int) -> Listed:
        """List the best items as ``_top_k`` does, to score others for the same prefixes later."""
        return Listed(*self._top_k(prefixes, k, None, None), partial(self._score_items, prefixes))

    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> Sequence[list[Part] | None]:
        """Return the summands of the score of each item in one session that is not empty; None if it is no sum.

        Items and events are given by index; of many parts, all but the ``most`` largest may be added up.
        """
        return [None] * len(items)

    def _attention(self, prefixes: Prefixes) -> list[AttentionWeights]:
        """Return the attention weights for one session that is not empty, one per event that was read."""
        return []

    def item_vectors(self) -> Float32[np.ndarray, "M D"] | None:
        """Return the output embeddings, without biases; None for a model without embeddings.

        Row ``j`` belongs to item index ``j``; row 0 (padding) is undefined. The array is read-only.
        """
        return None

    @property
    def scores_are_logits(self) -> bool:
        """Whether the softmax of the scores gives probabilities; else the scores are proportional to them."""
        return False

    @property
    def context_columns(self) -> Sequence[str]:
        """What the model reads of each event: ``time`` and columns of the log."""
        return ()

    @property
    def upcoming_columns(self) -> Sequence[str]:
        """What the model reads of the event to predict: ``time`` and columns of the log."""
        return ()

    @overload
    def recommend(
        self,
        sessions: Session,
        k: int | None = None,
        *,
        exclude_seen: bool = False,
        allowed: Session | None = None,
        exclude: Session | None = None,
        context: EventContext | None = None,
        upcoming: EventContext | None = None,
    ) -> Recommendation: ...

    @overload
    def recommend(
        self,
        sessions: Sequence[Session],
        k: int | None = None,
        *,
        exclude_seen: bool = False,
        allowed: Session | None = None,
        exclude: Session | None = None,
        context: EventContext | None = None,
        upcoming: EventContext | None = None,
    ) -> list[Recommendation]: ...

    def recommend(
        self,
        sessions: Session | Sequence[Session],
        k: int | None = None,
        *,
        exclude_seen: bool = False,
        allowed: Session | None = None,
        exclude: Session | None = None,
        context: EventContext | None = None,
        upcoming: EventContext | None = None,
    ) -> Recommendation | list[Recommendation]:
        """Recommend the next items of current sessions, which need not occur in the training log.

        Args:
            sessions: item ids or unique item names, oldest first: one session, or a list of sessions. ``[]`` is a
                list without sessions; a session without events is ``[[]]``.
            k: number of items; by default 10, or all that the model knows if these are fewer.
            exclude_seen: whether to exclude the items of the current session.
            allowed: ids or names of the items that may be recommended; None for all.
            exclude: ids or names of items that must not be recommended.
            context: further values of each event, for models that read them: ``time`` and columns of the log, each
                a list as long as the session or one value for all its events; for a list of sessions, one of these
                per session. Missing values are unknown and contribute nothing.
            upcoming: what is known of the event to predict, such as its time, for models that read it
                (``upcoming_columns``): one value per name; for a list of sessions one per session, or one for all.

        Returns:
            One ``Recommendation`` for one session, a list for a list of sessions. Unknown items are dropped from
            a session and listed in ``unknown`` (``vocabulary.suggest`` finds similar names); if no item is left,
            the most popular items are returned and ``source`` is ``"popularity"``.

        Raises:
            ParameterError: ``k`` is below 1 or above the number of items, ``sessions`` is neither one session nor a
                list of sessions, ``allowed`` or ``exclude`` holds an unknown item, or ``context`` or ``upcoming`` does
                not fit.
        """
        self._require_fitted()
        k = list_length(k, self.vocabulary, 10)
        raw, several = session_lists(sessions)
        columns = event_context(context, several=several, model=self.name, known=self.context_columns)
        ahead = encode_upcoming(upcoming, len(raw), several=several, model=self.name, known=self.upcoming_columns)
        answers = recommend_sessions(
            self.vocabulary,
            self._top_k,
            raw,
            k,
            exclude_seen=exclude_seen,
            allowed=allowed_items(self.vocabulary, allowed, exclude),
            context=columns,
            upcoming=ahead,
        )
        return answers if several else answers[0]

    def _require_prefixes(self, prefixes: Prefixes) -> None:
        self._require_fitted()
        if not isinstance(prefixes, Prefixes):
            raise ParameterError(
                f"prefixes: must be Prefixes, got {type(prefixes).__name__}; recommend takes lists of item ids"
            )
        prefixes.require_valid(self.vocabulary)
