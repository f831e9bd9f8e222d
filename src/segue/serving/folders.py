"""The models that the folders on the command line hold."""

from collections.abc import Sequence
from pathlib import Path

from segue.artifact import ARTIFACT, is_artifact
from segue.errors import ArtifactError, ParameterError
from segue.metrics import order_key


def find_models(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of the models that runs and model folders hold, by name; those of a run from best to worst.

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


def runs_beside_models(paths: Sequence[Path]) -> list[Path]:
    """Return the runs in folders that hold models, too: of such a folder only the models are served."""
    beside = (folder for path in paths if not is_artifact(path) and _models_at(path) for folder in _runs_in(path))
    return list(beside)


def _models_at(path: Path) -> dict[str, Path]:
    if is_artifact(path):
        return {path.name or path.resolve().name: path}
    if not path.is_dir():
        return {}
    found = [folder for folder in sorted(path.iterdir()) if is_artifact(folder)]
    return {folder.name: folder for folder in sorted(found, key=_rank)}


def _runs_in(path: Path) -> list[Path]:
    folders = (folder for folder in sorted(path.iterdir()) if folder.is_dir() and not is_artifact(folder))
    return [folder for folder in folders if _models_at(folder)]


def _rank(folder: Path) -> tuple[bool, float]:
    """Return what orders models from best to worst by their headline metric; those without one come last."""
    about = ARTIFACT.read_manifest(folder).about
    result, ranking = about.get("result") or {}, (about.get("protocol") or {}).get("ranking") or {}
    headline = next(iter(ranking.get("metrics") or ()), None)
    value = (result.get("metrics") or {}).get(headline)
    if not isinstance(headline, str) or not isinstance(value, int | float):
        return True, 0.0
    return order_key(headline, value)


def _what(path: Path) -> str:
    """Say what a path without a model is, and what to name instead."""
    if not path.exists():
        return "does not exist; name the folder of a model, or of a run"
    if not path.is_dir():
        return "is a file; name the folder of a model, or of a run"
    if runs := _runs_in(path):
        return f"holds runs, and no models; name one of them, such as {runs[0]}"
    return "is neither a model nor a run with models; name the folder of one"
