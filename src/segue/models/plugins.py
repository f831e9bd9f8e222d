"""Models of other packages: entry points of the group ``segue.models``, imported when their name is asked for."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract

from segue.errors import PluginError
from segue.models.base import Model

GROUP = "segue.models"

_DECLARED = ("name", "paper", "Config")


def find_plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points by model name, without importing anything; several if packages share a name."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_plugin(entries: Sequence[EntryPoint]) -> type[Model]:
    """Import the model that the entry points of one name stand for.

    Raises:
        PluginError: there are several, the import fails, or what is imported is no model of that name.
    """
    if len(entries) > 1:
        raise PluginError(f"{origin(entries)}: have the same name; uninstall all packages but one")
    (entry,) = entries
    try:
        model = entry.load()
    except Exception as error:
        raise PluginError(
            f"{origin(entries)}: cannot be imported ({type(error).__name__}: {error}); repair or uninstall the package"
        ) from error
    if not (isinstance(model, type) and issubclass(model, Model)) or isabstract(model):
        raise PluginError(
            f"{origin(entries)}: must be a subclass of segue.Model that implements its methods, got {model!r}; "
            "correct the package"
        )
    if missing := [name for name in _DECLARED if not hasattr(model, name)]:
        raise PluginError(f"{origin(entries)}: must declare {', '.join(missing)}; correct the package")
    if model.name != entry.name:
        raise PluginError(
            f"{origin(entries)}: must be named as its entry point, '{entry.name}', got name = '{model.name}'; "
            "correct the package"
        )
    return model


def origin(entries: Sequence[EntryPoint]) -> str:
    """Return the text that names entry points and their packages in messages."""
    return " and ".join(f"model '{entry.name}' ({entry.value}) of {_package(entry)}" for entry in entries)


def _package(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else f"package {entry.dist.name} {entry.dist.version}"
