"""The models that the folders on the command line hold."""

from collections.abc import Mapping, Sequence
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
        inside = {path.name or path.resolve().name: path} if is_artifact(path) else _models_of_run(path)
        if not inside:
            raise ArtifactError(f"{path}: is neither a model nor a run with models; name the folder of one")
        for name, folder in inside.items():
            if name in found:
                raise ParameterError(f"{folder}: is called like {found[name]}; serve one of them, or rename it")
            found[name] = folder
    return found


def _models_of_run(run: Path) -> dict[str, Path]:
    if not run.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(run.iterdir()) if is_artifact(folder)}


def best_of(paths: Sequence[Path], models: Mapping[str, Path]) -> str:
    """Return the name of the model with the best headline metric of its run, else of the first model."""

    def quality(name: str) -> float:
        about = ARTIFACT.read_manifest(models[name]).about
        result, ranking = about.get("result") or {}, (about.get("protocol") or {}).get("ranking") or {}
        headline = next(iter(ranking.get("metrics") or ()), None)
        value = (result.get("metrics") or {}).get(headline)
        return value if isinstance(value, int | float) else 0.0

    return max(models, key=quality)
