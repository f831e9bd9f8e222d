"""The models that are made of no other model."""

from contextlib import suppress

from segue.errors import UnknownNameError
from segue.models.base import Model
from segue.models.catalog import model_class, model_names

_COMPOSED = frozenset({"two-stage"})


def single_model(name: str) -> type[Model]:
    """Return the class of a model that is made of no other model; its module is imported now.

    Raises:
        UnknownNameError: there is none.
        PluginError: another package brings it, and it cannot be used.
    """
    if name not in _COMPOSED:
        with suppress(UnknownNameError):
            return model_class(name)
    raise UnknownNameError("model", name, set(model_names()) - _COMPOSED)
