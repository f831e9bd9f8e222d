"""`segue export`: write a network for other runtimes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from segue.cli import options
from segue.cli.terminal import echo


def export(
    artifact: options.ModelFolder,
    out: Annotated[Path, typer.Option(help="File to write; an existing file is replaced.")],
    format_: Annotated[Literal["onnx"], typer.Option("--format", help="Format: onnx.")] = "onnx",
    top_k: Annotated[
        int | None, typer.Option(help="Write the best items of this number, not the scores of all.", min=1)
    ] = None,
) -> None:
    """Write a network as an ONNX file, and check it in onnxruntime.

    Examples:
    segue export runs/first/sasrec --format onnx --out sasrec.onnx
    segue export production --format onnx --top-k 20 --out top20.onnx
    """
    from segue.errors import require_extra
    from segue.models.export import EXTRA, PACKAGES, export_onnx
    from segue.models.registry import restore
    from segue.storage import check_file

    require_extra(PACKAGES, "segue export", EXTRA)
    from segue.artifact import Artifact

    options.model_folder(artifact)
    check_file(out)
    read = Artifact.read(artifact)
    difference = export_onnx(restore(read, artifact), out, top_k=top_k, version=f"sha256:{read.version}")
    echo(f"Wrote {out}. On 100 random sessions, onnxruntime gives the scores of segue (difference {difference:.0e}).")
