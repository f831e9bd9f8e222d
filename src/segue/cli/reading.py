"""What the commands read: options of a log, and folders of models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.errors import ArtifactError, ParameterError

if TYPE_CHECKING:
    from segue.experiment.recipe import Recipe
    from segue.protocols.dataset import Dataset

Log = Annotated[
    str, typer.Argument(help="File or folder of the log, the name of one in $SEGUE_DATA, or a prepared data set.")
]
PlainLog = Annotated[str, typer.Argument(help="File or folder of the log, or the name of one in $SEGUE_DATA.")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the log, if it is not recognised.")]
Columns = Annotated[list[str] | None, typer.Option("--columns", help="Column names: session=sid,item=iid,time=ts.")]
Precision = Annotated[
    str | None,
    typer.Option(help="auto, fp32 or bf16; auto is fp32 on a CPU, and bf16 on a GPU that has instructions for it."),
]
Items = Annotated[str | None, typer.Option("--items", help="Table of the items: their ids and metadata.")]


def log_options(
    log: str | None, log_format: str | None, columns: list[str] | None, items: str | None = None
) -> dict[str, Any]:
    """Return the options that say how a log is read, as a recipe calls them; None for what was not given."""
    from segue.experiment.recipe import parse_assignments

    parsed = parse_assignments("--columns", columns) if columns else None
    return {"log": log, "format": log_format, "columns": parsed, "items": items}


def read_data(options: Mapping[str, Any], settings: list[str] | None) -> "tuple[Recipe, Dataset]":
    """Prepare the log that the options name, or open the data set.

    Args:
        options: values of the options that are called as in a recipe.
        settings: values of ``--set``, all of the protocol.
    """
    from segue.experiment.recipe import PROTOCOL, load_recipe, parse_settings
    from segue.experiment.source import prepare_log, with_prepared

    tree = parse_settings(settings or [])
    if others := sorted(tree.keys() - {PROTOCOL}):
        raise ParameterError(
            "--set: must name parameters of the protocol here, such as protocol.cleaning.k_core=5, got "
            f"{', '.join(others)}"
        )
    recipe, opened = with_prepared(load_recipe(None, {**options, "set": tree}))
    return recipe, opened or prepare_log(recipe)


def model_folder(path: Path) -> Path:
    """Return the folder of a model as it was named, or say what is there instead.

    Raises:
        ArtifactError: there is no such folder, or it is one of a run.
    """
    from segue.artifact import is_artifact

    if not path.exists():
        raise ArtifactError(f"{path}: does not exist; name the folder of a model that a run wrote")
    inside = sorted(folder for folder in path.iterdir() if is_artifact(folder)) if path.is_dir() else []
    if inside and not is_artifact(path):
        raise ArtifactError(
            f"{path}: must be one model, and is a whole run; name one of its models: {', '.join(map(str, inside))}"
        )
    return path


def names(texts: list[str]) -> list[str]:
    """Return the names in texts that each hold several, separated by commas."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]
