"""Model name -> class: the table of all models."""

from pathlib import Path

from segue.artifact import Artifact
from segue.errors import ArtifactError, UnknownNameError
from segue.models.base import Model
from segue.models.single import SINGLE, single_models
from segue.models.two_stage import TwoStage
from segue.parameters import build

_BUILT_IN: tuple[type[Model], ...] = (*SINGLE, TwoStage)


def _table() -> dict[str, type[Model]]:
    return {**single_models(), TwoStage.name: TwoStage}


def model_classes() -> list[type[Model]]:
    """Return every model that can be named: those of segue in the order of its documentation, then foreign ones."""
    return [*_BUILT_IN, *(model for model in _table().values() if model not in _BUILT_IN)]


def model_class(name: str) -> type[Model]:
    """Return the model of a name.

    Raises:
        UnknownNameError: there is none.
    """
    table = _table()
    if name not in table:
        raise UnknownNameError("model", name, table)
    return table[name]


def load(path: str | Path) -> Model:
    """Load a fitted model that ``Model.save`` wrote.

    Raises:
        ArtifactError: the folder is missing, foreign or damaged.
        UnknownNameError: its model is not known here, for example because the package that brings it is not installed.
        ParameterError: its configuration breaks a rule of this version.
    """
    artifact = Artifact.read(Path(path))
    kind = model_class(artifact.model)
    model = kind(build(kind.Config, kind.name, parameters=artifact.config))
    model.about = artifact.about
    try:
        return model.restore(artifact.arrays, artifact.vocabulary)
    except (KeyError, RuntimeError) as error:
        raise ArtifactError(
            f"{path}: does not hold what a {kind.name} model learns ({error}); train it again"
        ) from error
