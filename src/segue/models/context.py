"""What networks read of events besides their items: features of past events, and of the one to predict."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
from jaxtyping import Shaped

from segue.data.arrays import read_only
from segue.data.content_vectors import ContentVectors
from segue.data.context import Context, check_features, check_upcoming, depend_on_item
from segue.data.events import TIME
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.models.neural import NeuralConfig, NeuralModel
from segue.models.recent import Given


class ContextConfig(NeuralConfig):
    """Parameters of a network that reads features."""

    features: tuple[str, ...] = ()
    """Inputs of an event in addition to its item: hour, weekday, gap (time since the previous event), and columns of
    the log or of the item metadata. Text and integers are categories and decimals are numbers, unless the name ends in
    :number or :category."""
    upcoming: tuple[str, ...] = ()
    """What is known of the event to predict before it happens: hour, weekday, and columns of the log, such as the
    weather. Metadata of items would give the item away and are refused."""
    item_vectors: Literal["initial", "features"] | None = None
    """Use of the vectors of the items (--item-vectors). initial: their principal components are the initial embeddings.
    features: a learned linear map of an item's vector is added to its embedding, in the input and in the scores."""


_FEATURES, _UPCOMING = "features/", "upcoming/"
"""Prefixes of the names of the arrays of the features."""


class ContextModel(NeuralModel):
    """A network that reads features of past events, and of the event to predict."""

    config: ContextConfig
    context: Context
    upcoming: Context

    def data_problems(self, train: Sessions) -> Iterator[str]:
        """Yield messages on parameters that need what the log does not have."""
        yield from (f"{self.name}.features: {problem}" for problem in check_features(self.config.features, train))
        yield from (f"{self.name}.upcoming: {problem}" for problem in check_upcoming(self.config.upcoming, train))

        yield from self._vector_problems(train.vocabulary)

    def _vector_problems(self, vocabulary: Vocabulary) -> Iterator[str]:
        if self.uses_item_vectors and ContentVectors.of(vocabulary) is None:
            yield (
                f"{self.name}.item_vectors: '{self.config.item_vectors}' needs vectors of the items, and there are "
                "none; give them: --item-vectors vectors.parquet, in Python segue.read(..., item_vectors=)"
            )

    def _check_update(self, given: Given) -> None:
        super()._check_update(given)
        logs = {"recent": given.recent} if given.history is None else {"recent": given.recent, "history": given.history}
        if problems := [f"{name}: {problem}" for name, log in logs.items() for problem in self.data_problems(log)]:
            raise ParameterError(*problems)

    @property
    def uses_item_vectors(self) -> bool:
        """Whether the configuration says how; see ``ModelBase.uses_item_vectors``."""
        return self.config.item_vectors is not None

    @property
    def content(self) -> ContentVectors:
        """The vectors of the items.

        Raises:
            ParameterError: the catalogue has none.
        """
        if problems := list(self._vector_problems(self.vocabulary)):
            raise ParameterError(*problems)
        found = ContentVectors.of(self.vocabulary)
        assert found is not None
        return found

    def remarks(self, train: Sessions) -> Iterator[str]:
        """Yield columns that may give the item to predict away; see ``NeuralModel.remarks``."""
        for name in depend_on_item(self.config.upcoming, train):
            yield (
                f"upcoming: '{name}' has one value per item; if it describes the item and not the moment, it gives the "
                "item to predict away: leave it out"
            )

    @property
    def features(self) -> tuple[str, ...]:
        """Features of an event that are read besides its item."""
        return self.config.features

    def fit_preprocessing(self, train: Sessions) -> None:
        """Learn the vocabulary and the features."""
        super().fit_preprocessing(train)
        self.context = Context.fit(self.features, train)
        self.upcoming = Context.fit(self.config.upcoming, train)

    @property
    def context_columns(self) -> Sequence[str]:
        """What is read of each event; see ``Model.context_columns``."""
        return _read_by(self.context)

    @property
    def upcoming_columns(self) -> Sequence[str]:
        """What is read of the event to predict; see ``Model.upcoming_columns``."""
        return _read_by(self.upcoming)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights, and what was learnt of the features."""
        pairs = ((_FEATURES, self.context), (_UPCOMING, self.upcoming))
        features = {start + name: read_only(one) for start, some in pairs for name, one in some.arrays().items()}
        return super().arrays() | features

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take both back."""
        self.context, self.upcoming = (
            Context.restore(names, _of(start, arrays), vocabulary, f"{self.name}.{start[:-1]}")
            for names, start in ((self.features, _FEATURES), (self.config.upcoming, _UPCOMING))
        )
        weights = {name: one for name, one in arrays.items() if not name.startswith((_FEATURES, _UPCOMING))}
        return super().restore(weights, vocabulary)

    def _with_context(self, train: Sessions) -> Sessions:
        return replace(train, context=self.context.transform(train.as_prefixes())) if self.context.encoders else train

    def upcoming_features(self, train: Sessions) -> Mapping[str, Shaped[np.ndarray, "n"]]:
        """Return the encoded features of each event that are known before it is predicted."""
        return self.upcoming.transform(train.as_prefixes()) if self.upcoming.encoders else {}


def _of(start: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(start): one for name, one in arrays.items() if name.startswith(start)}


def _read_by(context: Context) -> Sequence[str]:
    columns = context.columns
    return [TIME, *columns] if len(columns) < len(context.encoders) else columns
