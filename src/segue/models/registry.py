"""Model name -> class: the models of segue, and those that other packages register as plugins.

A model's module is imported when its class is requested.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from pathlib import Path

from segue.artifact import Artifact
from segue.errors import ArtifactError, ParameterError, PluginError, UnknownNameError
from segue.models.base import Model
from segue.validation import build

BUILT_IN = {
    "popularity": ("popularity", "Popularity"),
    "session-popularity": ("session_popularity", "SessionPopularity"),
    "markov": ("markov", "Markov"),
    "sequential-rules": ("sequential_rules", "SequentialRules"),
    "item-knn": ("item_knn", "ItemKNN"),
    "v-sknn": ("v_sknn", "VSKNN"),
    "stan": ("stan", "STAN"),
    "vstan": ("vstan", "VSTAN"),
    "als": ("als", "ALS"),
    "bpr": ("bpr", "BPR"),
    "fpmc": ("fpmc", "FPMC"),
    "gru4rec": ("gru4rec", "GRU4Rec"),
    "improved-gru4rec": ("improved_gru4rec", "ImprovedGRU4Rec"),
    "narm": ("narm", "NARM"),
    "stamp": ("stamp", "STAMP"),
    "sr-gnn": ("sr_gnn", "SRGNN"),
    "gce-gnn": ("gce_gnn", "GCEGNN"),
    "core": ("core", "CORE"),
    "sasrec": ("sasrec", "SASRec"),
    "bert4rec": ("bert4rec", "BERT4Rec"),
    "fmlp-rec": ("fmlp_rec", "FMLPRec"),
    "attention-clustering": ("attention_clustering", "AttentionClustering"),
    "gsasrec": ("gsasrec", "GSASRec"),
    "esasrec": ("esasrec", "ESASRec"),
    "hstu": ("hstu", "HSTU"),
    "two-stage": ("two_stage", "TwoStage"),
    "blend": ("blend", "Blend"),
}
"""Module below ``segue.models`` and class of each model of segue, in the order of its documentation."""

COMPOSED = frozenset({"two-stage", "blend"})
"""Models that are made of other models."""

PLUGIN_GROUP = "segue.models"
"""Entry points of other packages: model name -> class."""

_DECLARED = ("name", "paper", "Config")


def model_names() -> list[str]:
    """Return the names of all models, first of segue, then of other packages; nothing is imported."""
    return list(dict.fromkeys((*BUILT_IN, *find_plugins())))


def model_class(name: str) -> type[Model]:
    """Return the model of a name; its module is imported now. A name of segue always means the model of segue.

    Raises:
        UnknownNameError: there is none.
        PluginError: another package provides it, and it cannot be used.
    """
    if name in BUILT_IN:
        module, kind = BUILT_IN[name]
        built_in: type[Model] = getattr(import_module(f"segue.models.{module}"), kind)
        return built_in
    plugins = find_plugins()
    if name not in plugins:
        raise UnknownNameError("model", name, (*BUILT_IN, *plugins))
    return load_plugin(plugins[name])


def single_model(name: str) -> type[Model]:
    """Return the class of a model that is not made of other models; see ``model_class``."""
    if name not in COMPOSED:
        with suppress(UnknownNameError):
            return model_class(name)
    raise UnknownNameError("model", name, set(model_names()) - COMPOSED)


def usable_models() -> tuple[list[type[Model]], list[str]]:
    """Import every model: first of segue, in the order of its documentation, then of other packages.

    Returns:
        The models, and for each model of another package that is left out a message why.
    """
    models, problems = [model_class(name) for name in BUILT_IN], []
    for name, entries in find_plugins().items():
        if name in BUILT_IN:
            problems.append(f"{origin(entries)}: is ignored, because segue has a model of this name; rename it")
            continue
        try:
            models.append(load_plugin(entries))
        except PluginError as error:
            problems += error.lines
    return models, problems


def model_classes() -> list[type[Model]]:
    """Return every model, as ``usable_models`` does; a warning is issued for each that is left out."""
    models, problems = usable_models()
    for problem in problems:
        warnings.warn(problem, RuntimeWarning, stacklevel=2)
    return models


def load(path: str | Path) -> Model:
    """Load a fitted model that ``Model.save`` wrote; no other model is imported.

    Raises:
        ArtifactError: the folder is missing, foreign or damaged.
        UnknownNameError: its model is unknown, for example because its package is not installed.
        PluginError: another package provides its model, and it cannot be used.
    """
    return restore(Artifact.read(Path(path)), path)


def restore(artifact: Artifact, path: str | Path) -> Model:
    """Return the model of an artifact that was read from a path; see ``load``."""
    kind = model_class(artifact.model)
    try:
        model = kind(build(kind.Config, kind.name, parameters=artifact.config))
        model.about, model.optimizer_state = artifact.about, artifact.optimizer_state
        return model.restore(artifact.arrays, artifact.vocabulary)
    except (ParameterError, UnknownNameError) as error:
        reason = ", ".join(error.lines)
        raise ArtifactError(f"{path}: is not a valid {kind.name} model: {reason}; train it again") from error
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:  # Torch, on sizes that no tensor has.
        raise ArtifactError(f"{path}: is not a valid {kind.name} model ({error}); train it again") from error


def find_plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points by model name, without importing anything; several if packages share a name."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=PLUGIN_GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_plugin(entries: Sequence[EntryPoint]) -> type[Model]:
    """Import the model of the entry points of one name.

    Raises:
        PluginError: there are several, the import fails, or the imported object is not a model of that name.
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
    """Name entry points and their packages in messages."""
    return " and ".join(f"model '{entry.name}' ({entry.value}) of {_package(entry)}" for entry in entries)


def _package(entry: EntryPoint) -> str:
    return "an unknown package" if entry.dist is None else f"package {entry.dist.name} {entry.dist.version}"
