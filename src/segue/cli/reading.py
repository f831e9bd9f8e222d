"""What the commands read: options of a log, and folders of models."""

from pathlib import Path
from typing import Annotated

import typer

from segue.artifact import is_artifact
from segue.data.events import Events
from segue.errors import ArtifactError
from segue.experiment.recipe import Recipe, load_recipe, parse_assignments
from segue.experiment.recipe import read_log as read_log_of

Log = Annotated[str, typer.Argument(help="File or folder of the log, or the name of one in $SEGUE_DATA.")]
Format = Annotated[str | None, typer.Option("--format", help="Format of the log, if it is not recognised.")]
Columns = Annotated[list[str] | None, typer.Option("--columns", help="Column names: session=sid,item=iid,time=ts.")]
Precision = Annotated[
    str | None,
    typer.Option(help="auto, fp32 or bf16; auto is fp32 on a CPU, and bf16 on a GPU that has instructions for it."),
]
Items = Annotated[str | None, typer.Option("--items", help="Table of the items: their ids and metadata.")]


def read_log(
    log: str, log_format: str | None, columns: list[str] | None, items: str | None = None
) -> tuple[Events, Recipe]:
    """Read the log that the options name; return it with the recipe that says so."""
    options = {"log": log, "format": log_format, "columns": parse_assignments("--columns", columns or [])}
    recipe = load_recipe(None, {**options, "items": items})
    return read_log_of(recipe), recipe


def model_folder(path: Path) -> Path:
    """Return the folder of a model as it was named, or say what is there instead.

    Raises:
        ArtifactError: there is no such folder, or it is one of a run.
    """
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
