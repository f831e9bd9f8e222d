"""What every model holds, configuration, vocabulary and learnt arrays, and how it is saved, moved and extended."""

import copy
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from segue.artifact import Artifact
from segue.data.array_schema import ArraySpec, check_arrays, specs_of
from segue.data.arrays import read_only
from segue.data.cold_items import ColdItems
from segue.data.readers.read import read_item_vectors, read_items
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.docstrings import docstring
from segue.errors import ParameterError, SegueError
from segue.models.measured_search import SearchReport, check_search
from segue.models.recent import UPDATES, Given, check_recent, describe_update, facts_of
from segue.spaces import Around, Space
from segue.training.config import UpdatePlan
from segue.training.runtime import Runtime
from segue.validation import build


class ModelConfig(BaseModel):
    """The parameters of a model, each declared once, with default, bounds and meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named sets of parameters, for example those of a paper."""
    search: ClassVar[Mapping[str, Space | Around]] = {}
    """Search spaces for tuning, by dotted name of a parameter; within its bounds."""


class ModelBase(ABC):
    """The base of every model: configuration, vocabulary and learnt arrays."""

    name: ClassVar[str]
    """Name on the command line and in artifacts."""
    paper: ClassVar[str]
    """Source: authors, year, arXiv number or venue."""
    Config: ClassVar[type[ModelConfig]]
    array_names: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes with the learnt arrays."""
    ranks_by_popularity: ClassVar[bool] = False
    """Whether it ranks by popularity by design, so that the linter does not flag it as popularity in disguise."""
    fits_in_ranges: ClassVar[bool] = False
    """Whether a fit reads the events in ranges of sessions, so that it may run on an engine; see ``map_ranges``."""

    config: ModelConfig
    vocabulary: Vocabulary
    search_report: SearchReport = SearchReport()
    """How the best items are found, and what that gains; see ``with_search``."""
    notes: tuple[str, ...] = ()
    """Remarks on the last fit for the reader of its results."""
    about: Mapping[str, Any] = {}
    """Facts about the training, such as the protocol, from the manifest of a loaded model."""
    optimizer_state: Mapping[str, np.ndarray] = {}
    """What an update needs of the optimizer, by name; empty if it needs nothing."""
    diagnostics: Mapping[str, float] = {}
    """Diagnostics of the last fit, such as ``train_auc``, which the linter checks."""

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

    def __repr__(self) -> str:
        """Show the parameters that differ from the defaults, as they are written in Python."""
        changed = self.config.model_dump(mode="json", exclude_defaults=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    @classmethod
    def description(cls) -> str:
        """Return the first sentence of the model's documentation."""
        return " ".join(docstring(cls).split("\n\n")[0].split())

    def stored_names(self) -> tuple[str, ...]:
        """Return the names of the attributes that the ``arrays`` of this configuration are."""
        return self.array_names

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the learnt arrays by name; they are read-only."""
        return {name: getattr(self, name) for name in self.stored_names()}

    def array_specs(self) -> Mapping[str, ArraySpec]:
        """Return what the ``arrays`` of this configuration and vocabulary must look like."""
        return specs_of(type(self), self.stored_names())

    def array_sizes(self) -> dict[str, int]:
        """Return the sizes in ``array_specs`` that do not depend on the arrays: N, the number of items, and others."""
        return {"N": len(self.vocabulary)}

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Turn an unfitted model into a fitted model, from the ``arrays`` of another model, which are checked first.

        Raises:
            ParameterError: an array is missing, unknown or invalid, see ``array_specs``; the model stays unfitted.
        """
        self.vocabulary = vocabulary
        try:
            check_arrays(arrays, self.array_specs(), self.array_sizes(), self.name)
        except BaseException:
            del self.vocabulary
            raise
        for name in self.stored_names():
            setattr(self, name, read_only(arrays[name]))
        return self

    def save(self, path: str | Path, **about: Any) -> Path:
        """Write an artifact folder atomically.

        Args:
            path: the folder; an existing artifact is replaced.
            **about: further facts for the manifest, for example the protocol and its hash.

        Raises:
            ArtifactError: ``path`` exists and is not an artifact.
            StorageError: the write failed; an existing artifact is unchanged.
        """
        self._require_fitted()
        facts = {**self.about, **about}
        config, state = self.config.model_dump(mode="json"), self.optimizer_state
        return Artifact(self.name, config, self.vocabulary, self.arrays(), facts, state).write(Path(path))

    def to(self, device: torch.device) -> Self:
        """Return the model on a device: itself, or a copy if it is a network on another device."""
        return self

    @property
    def device(self) -> torch.device:
        """The device on which scores are computed."""
        return torch.device("cpu")

    def with_search(self, search: str) -> Self:
        """Return the model with another way to find the best items, if it pays on this machine.

        It is timed against exact search, for 1 and for 32 sessions, and its share of the exact top 20 is measured, on
        random sessions; ``search_report`` has the results. All proposed items are scored exactly.

        Args:
            search: ``"exact"`` over all items, ``"int8"`` by a table of whole numbers, ``"faiss"`` by an index of
                clusters (extra ``faiss``), or ``"auto"`` for the fastest that is accepted.

        Raises:
            UnknownNameError: there is no such search.
            ParameterError: the model has no item table, or the search is slower than exact search for 1 or for 32
                sessions, or finds less than 99% of the exact top 20.
            MissingExtraError: faiss is not installed.
        """
        self._require_fitted()
        check_search(search)
        reason = f"{self.name} does not compare a state with a table of items"
        if search not in {"exact", "auto"}:
            raise ParameterError(f"search: must be 'exact' or 'auto' for {self.name}, got '{search}': {reason}")
        model = copy.copy(self)
        model.search_report = SearchReport(reason=reason if search == "auto" else None)
        return model

    def add_items(self, items: object, *, by: str | Sequence[str] | None = None, vectors: object | None = None) -> Self:
        """Return a model that also recommends items added to the catalogue after training, without further training.

        A new item with a vector gets the embedding that a ridge regression predicts, fitted on vectors and embeddings
        of the training items. Any other one gets the mean embedding of the training items that share its values in all
        columns of ``by``; if there are none, of those that share all but the last column, and so on. An item that
        shares no value is ranked behind all others, by popularity. ``Recommendation.cold`` tells the two apart.

        Args:
            items: a file or a frame with one row per item: its id, the columns of ``by``, and any other metadata of
                the training items. An optional column ``support`` is the number of events since. Known items are
                left unchanged.
            by: metadata columns of the training items, the most general one first.
            vectors: vectors of the new items, as for ``segue.read(..., item_vectors=)``; and of the training items, if
                the model was not trained with vectors.

        Returns:
            The new model.

        Raises:
            LogError: ``items`` cannot be read, or has no column of ids.
            ParameterError: a column of ``by`` is missing, the vectors do not fit, or the model learns no embeddings of
                items.
        """
        self._require_fitted()
        rows = self.per_item_arrays()
        if not rows:
            raise ParameterError(
                f"{self.name}: learns no embeddings of items, so it cannot score items that training has not seen; "
                "fit it again on a log that contains them, or use a model with embeddings"
            )
        columns = [by] if isinstance(by, str) else by or ()
        table = None if vectors is None else read_item_vectors(vectors)
        cold = ColdItems.match(self.vocabulary, read_items(items), columns, table)
        arrays = {name: cold.extend(array) if name in rows else array for name, array in self.arrays().items()}
        return self._copy(arrays, cold.vocabulary)

    def per_item_arrays(self) -> Set[str]:
        """Return the names of the ``arrays`` with one row per item index (embeddings, biases), for ``add_items``."""
        return frozenset()

    @property
    def uses_item_vectors(self) -> bool:
        """Whether a fit learns from vectors of the items; the model then keeps them."""
        return False

    def update(
        self,
        recent: Sessions,
        plan: UpdatePlan | None = None,
        *,
        history: Sessions | None = None,
        seed: int = 0,
        runtime: Runtime | None = None,
    ) -> Self:
        """Return a model that has learnt from later sessions as well; see ``segue.prepare_recent``.

        Models that count or compare sessions become equal to a fit on all sessions; they need ``updatable``. Networks
        are trained further on the recent sessions.

        Args:
            recent: sessions after the end of training; their catalogue is that of the model, with new items behind.
            plan: epochs, learning rate and replayed sessions of a network.
            history: sessions that a network has learnt from, encoded as ``recent``. Some of them are learnt again, so
                that it does not forget them; see ``segue.prepare_history``.
            seed: seed of every random draw.
            runtime: device, precision and progress.

        Returns:
            The new model, with an entry for ``recent`` in ``about["updates"]``.

        Raises:
            ParameterError: ``recent`` is not later than the training, does not fit the model or its catalogue, or the
                model cannot be updated.
        """
        self._require_fitted()
        self.check_updatable()
        check_recent(recent, self.vocabulary, self.about)
        given = Given(recent, plan, history, seed, runtime or Runtime())
        self._check_update(given)
        model = type(self)(self.config)
        with model._fitting(recent), given.runtime.algorithms():
            model._update(self, given)
        entry = describe_update(self.vocabulary, recent)
        model.about = {**self.about, **model.about, UPDATES: [*self.about.get(UPDATES, ()), entry]}
        return model

    def _unfitted(self) -> Self:
        """Return the model itself, or a new one of the same configuration if it is already fitted."""
        return type(self)(self.config) if hasattr(self, "vocabulary") else self

    def _copy(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        model = type(self)(self.config).restore(arrays, vocabulary)
        model.about, model.notes, model.diagnostics = self.about, self.notes, self.diagnostics
        return model

    def check_updatable(self) -> None:
        """Check that the model can be updated.

        Raises:
            ParameterError: it cannot.
        """
        raise ParameterError(f"{self.name}: cannot be updated; fit it again on all events")

    def _check_update(self, given: Given) -> None:
        """Check the arguments of an update; see ``update``."""
        raise NotImplementedError(f"{self.name}: _check_update")

    def _update(self, before: Self, given: Given) -> None:
        """Learn what another model has learnt, and from checked later sessions; see ``update``."""
        raise NotImplementedError(f"{self.name}: _update")

    @contextmanager
    def _fitting(self, train: Sessions) -> Iterator[None]:
        """Record the end of the training, and drop vectors that it did not use; if it fails, leave it unfitted."""
        self.about, self.notes, self.diagnostics = facts_of(train), (), {}
        try:
            yield
            if not self.uses_item_vectors:
                self.vocabulary = self.vocabulary.without_vectors()
        except BaseException:
            self.__dict__.pop("vocabulary", None)
            raise

    def _require_fitted(self) -> None:
        if not hasattr(self, "vocabulary"):
            raise SegueError(f"{self.name}: the model is not fitted; call fit first")
