"""Models that are made of other models: how their parts are built, checked, fitted, moved and stored."""

import copy
import logging
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Float32

from segue.data.cases import Cases
from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError, InputError, ParameterError
from segue.models.base import Model
from segue.models.persistence import ModelConfig
from segue.models.recent import Given
from segue.models.registry import single_model
from segue.models.updating import UpdatableModel
from segue.training.runtime import Runtime
from segue.validation import build

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a configuration describes a part.

    Attributes:
        name: of the part.
        model: name of its model.
        named_by: the parameter that names the model.
        parameters: parameters of the model.
        owner: the parameter that contains them.
    """

    name: str
    model: str
    named_by: str
    parameters: Mapping[str, Any]
    owner: str


class CompositeModel(Model):
    """A model made of others, which are fitted on the same sessions.

    Attributes:
        parts: the models, by name.
    """

    parts: dict[str, Model]

    def __init__(self, config: ModelConfig | None = None, *, preset: str | None = None, **parameters: Any) -> None:
        super().__init__(config, preset=preset, **parameters)
        self.parts, problems = {}, []
        for place in self.places():
            try:
                self.parts[place.name] = self._build(place)
            except InputError as error:
                problems += error.lines
        if problems := problems or self.mismatches():
            raise ParameterError(*problems)
        whole = self.with_parameters({name: part.config.model_dump(mode="json") for name, part in self.parts.items()})
        if any(getattr(self.config, name) != value for name, value in whole.items()):
            # All parameters are kept, so that an artifact does not depend on the defaults of a later version.
            self.config = self.config.model_copy(update=whole)

    @abstractmethod
    def places(self) -> Sequence[Place]:
        """Return where the configuration describes each part."""

    @abstractmethod
    def with_parameters(self, parameters: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the parameters of the configuration that contain those of the parts."""

    def mismatches(self) -> list[str]:
        """Return what is wrong about the parts together."""
        return []

    def _build(self, place: Place) -> Model:
        try:
            kind = single_model(place.model)
        except InputError as error:
            raise ParameterError(f"{self.name}.{place.named_by}: {error}") from None
        config = build(kind.Config, f"{self.name}.{place.owner}", parameters=place.parameters)
        try:
            return kind(config)
        except ParameterError as error:
            raise ParameterError(*self.placed(error, place.name, kind.name)) from None

    def placed(self, error: InputError, part: str, model: str) -> list[str]:
        """Return the lines of an error of a part, with the parameters as they are called here."""
        owner = next(place.owner for place in self.places() if place.name == part)
        return [re.sub(rf"^{re.escape(model)}\.", f"{self.name}.{owner}.", line) for line in error.lines]

    @property
    def uses_item_vectors(self) -> bool:
        """Whether any part does; see ``ModelBase.uses_item_vectors``."""
        return any(part.uses_item_vectors for part in self.parts.values())

    @property
    def context_columns(self) -> Sequence[str]:
        """What any part reads of each event."""
        return tuple(dict.fromkeys(column for part in self.parts.values() for column in part.context_columns))

    @property
    def upcoming_columns(self) -> Sequence[str]:
        """What any part reads of the event to predict."""
        return tuple(dict.fromkeys(column for part in self.parts.values() for column in part.upcoming_columns))

    def depends_on_threads(self, runtime: Runtime) -> bool:
        """Return whether any part does; see ``Model.depends_on_threads``."""
        return any(part.depends_on_threads(runtime) for part in self.parts.values())

    def check(self, train: Sessions) -> None:
        """Check the training sessions for all parts; see ``Model.check``."""
        problems = []
        for name, part in self.parts.items():
            try:
                part.check(train)
            except (ParameterError, EmptyDataError) as error:
                problems += self.placed(error, name, part.name)
        if problems:
            raise ParameterError(*problems)

    def fit_parts(self, train: Sessions, valid: Cases | None, seed: int, runtime: Runtime) -> None:
        """Fit all parts."""
        for name, part in self.parts.items():
            logger.info(_titled(name, part))
            self.parts[name] = part.fit(train, valid=valid, seed=seed, runtime=runtime.part(name))
        self.vocabulary = train.vocabulary

    def notes_of_parts(self) -> tuple[str, ...]:
        """Return the remarks on the fits of the parts."""
        return tuple(f"{_titled(name, part)}: {note}" for name, part in self.parts.items() for note in part.notes)

    def item_vectors(self) -> Float32[np.ndarray, "M D"]:
        """Raise a ``ParameterError``, since each part has vectors of its own."""
        names = [name if name == part.name else f"{name} ({part.name})" for name, part in self.parts.items()]
        raise ParameterError(
            f"{self.name}: is made of models, each with vectors of its own; name one of them, "
            f"{', '.join(names[:-1])} or {names[-1]}"
        )

    def to(self, device: torch.device) -> Self:
        """Return the model with all parts on a device; see ``Model.to``."""
        moved = {name: part.to(device) for name, part in self.parts.items()}
        if all(moved[name] is part for name, part in self.parts.items()):
            return self
        model = copy.copy(self)
        model.parts = moved
        return model

    def per_item_arrays(self) -> Set[str]:
        """Return the arrays with one row per item; none unless all parts have some. See ``Model.per_item_arrays``."""
        found = {name: part.per_item_arrays() for name, part in self.parts.items()}
        return {f"{name}/{array}" for name, arrays in found.items() for array in arrays if all(found.values())}

    def add_items(self, items: object, *, by: str | Sequence[str] | None = None, vectors: object | None = None) -> Self:
        """Return a model that also recommends further items, if all parts can; see ``ModelBase.add_items``."""
        self._require_fitted()
        if without := [part.name for part in self.parts.values() if not part.per_item_arrays()]:
            raise ParameterError(
                f"{self.name}: cannot score items that training has not seen, because {' and '.join(without)} learns "
                "no embeddings of items; fit it again on a log that contains them"
            )
        return super().add_items(items, by=by, vectors=vectors)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the own arrays, and those of the parts with the name of the part before theirs."""
        of_parts = {f"{name}/{key}": array for name, part in self.parts.items() for key, array in part.arrays().items()}
        return super().arrays() | of_parts

    def restore(self, arrays: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> Self:
        """Take the arrays of all parts back; see ``ModelBase.restore``."""
        found, own = self._by_part(arrays)
        if foreign := own.keys() - set(self.stored_names()):
            raise ParameterError(f"{self.name}.{min(foreign)}: is unknown; it must begin with {' or '.join(found)}")
        for name, model in self.parts.items():
            model.restore(found[name], vocabulary)
        return super().restore(own, vocabulary)

    @property
    def optimizer_state(self) -> Mapping[str, np.ndarray]:
        """What updates need of the optimizers of all parts."""
        return {
            f"{name}/{key}": array for name, part in self.parts.items() for key, array in part.optimizer_state.items()
        }

    @optimizer_state.setter
    def optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        found, own = self._by_part(state)
        if own:
            name = f"{self.name}.optimizer_state.{min(own)}"
            raise ParameterError(f"{name}: is unknown; it must begin with {' or '.join(found)}")
        for name, part in self.parts.items():
            part.optimizer_state = found[name]

    def _by_part(
        self, arrays: Mapping[str, np.ndarray]
    ) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, np.ndarray]]:
        """Return the arrays of each part, and all others."""
        found: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.parts}
        own = {}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            if part in found and rest:
                found[part][rest] = array
            else:
                own[name] = array
        return found, own

    def check_updatable(self) -> None:
        """Check that all parts can be updated; see ``ModelBase.check_updatable``."""
        problems, settings = [], []
        for name, part in self.parts.items():
            if isinstance(part, UpdatableModel) and not part.config.updatable:
                (owner,) = (place.owner for place in self.places() if place.name == name)
                settings.append(f"--set {self.name}.{owner}.updatable=true")
                continue
            try:
                part.check_updatable()
            except ParameterError as error:
                problems += [f"{self.name}: {line}" for line in error.lines]
        if settings:
            problems.append(
                f"{self.name}: was fitted without what an update needs; fit it once more, with {' '.join(settings)}"
            )
        if problems:
            raise ParameterError(*problems)

    def _check_update(self, given: Given) -> None:
        for part in self.parts.values():
            part._check_update(self._for_part(part, given))

    def _update(self, before: Self, given: Given) -> None:
        """Update each part; the own arrays stay."""
        for name, part in before.parts.items():
            own = self._for_part(part, replace(given, runtime=given.runtime.part(name)))
            with self.parts[name]._fitting(given.recent):
                self.parts[name]._update(part, own)
        self.vocabulary = given.recent.vocabulary
        for name in self.stored_names():
            setattr(self, name, getattr(before, name))

    def _for_part(self, part: Model, given: Given) -> Given:
        """Return what an update of one part is given: a plan and a history are for those that learn in epochs."""
        learns = any(not isinstance(one, UpdatableModel) for one in self.parts.values())
        return replace(given, plan=None, history=None) if learns and isinstance(part, UpdatableModel) else given


def _titled(name: str, part: Model) -> str:
    """Name a part and its model."""
    return name if name == part.name else f"{name} {part.name}"
