"""The models that the folders on the command line hold."""

from collections.abc import Sequence
from pathlib import Path

from segue.artifact import ARTIFACT, is_artifact
from segue.errors import ArtifactError, ParameterError


def find_models(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of the models that runs and model folders hold, by name.

    Raises:
        ArtifactError: there is no model.
        ParameterError: two have the same name.
    """
    found: dict[str, Path] = {}
    for path in paths:
        inside = _models_at(path)
        if not inside:
            raise ArtifactError(f"{path}: {_what(path)}")
        for name, folder in inside.items():
            if name in found and not found[name].samefile(folder):
                raise ParameterError(f"{folder}: is called like {found[name]}; serve one of them, or rename it")
            found[name] = folder
    return found


def _models_at(path: Path) -> dict[str, Path]:
    if is_artifact(path):
        return {path.name or path.resolve().name: path}
    if not path.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(path.iterdir()) if is_artifact(folder)}


def _what(path: Path) -> str:
    """Say what a path without a model is, and what to name instead."""
    if not path.exists():
        return "does not exist; name the folder of a model, or of a run"
    if not path.is_dir():
        return "is a file; name the folder of a model, or of a run"
    if runs := [folder for folder in sorted(path.iterdir()) if folder.is_dir() and _models_at(folder)]:
        return f"holds runs, and no models; name one of them, such as {runs[0]}"
    return "is neither a model nor a run with models; name the folder of one"


def best_of(paths: Sequence[Path]) -> str:
    """Return the name of the first model; of a run, that of the model with the best headline metric."""
    models = _models_at(paths[0])

    def quality(name: str) -> float:
        about = ARTIFACT.read_manifest(models[name]).about
        result, ranking = about.get("result") or {}, (about.get("protocol") or {}).get("ranking") or {}
        headline = next(iter(ranking.get("metrics") or ()), None)
        value = (result.get("metrics") or {}).get(headline)
        return value if isinstance(value, int | float) else 0.0

    return max(models, key=quality)
