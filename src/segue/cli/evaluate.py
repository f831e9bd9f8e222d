"""`segue evaluate`: test an artifact again, on the same log or on another."""

from pathlib import Path
from typing import Annotated

import typer

import segue
from segue.cli.reading import Columns, Format, Log, model_folder, read_log
from segue.cli.terminal import terminal
from segue.errors import ArtifactError


def evaluate(
    artifact: Annotated[Path, typer.Argument(help="Folder that a run wrote, one model.")],
    log: Log,
    whole: Annotated[bool, typer.Option("--all", help="Test on the whole log instead of its test part.")] = False,
    log_format: Format = None,
    columns: Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test an artifact under its own protocol, on the test part of a log or on all of it.

    Examples:
    segue evaluate runs/clicks-1/gru4rec clicks.csv
    segue evaluate runs/clicks-1/gru4rec next-week.csv --all --json
    """
    from segue.artifact import Artifact
    from segue.cli.tables import evaluation_table, title
    from segue.progress import progress_for
    from segue.strict_json import dumps

    facts = Artifact.read(model_folder(artifact)).about
    if not {"protocol", "seed"} <= facts.keys():
        raise ArtifactError(f"{artifact}: names no protocol, so it was not written by a run; evaluate it from Python")
    about = facts["protocol"]
    protocol = segue.Protocol.of(about)
    model = segue.load(artifact)
    if whole:
        protocol = protocol.on_whole_log()
    events, _ = read_log(log, log_format, columns)
    data = segue.prepare(events, protocol, vocabulary=model.vocabulary)
    evaluation = segue.evaluate(model, data, seed=facts["seed"], progress=progress_for())
    notes = [*data.notes, *evaluation.tie_notes(data.protocol.headline), *_comparison(about, data, whole)]
    if as_json:
        shown = {"model": model.name, "hash": data.hash, "cases": len(data.test), "notes": notes}
        shown |= {"sampled": evaluation.sampled}
        typer.echo(dumps({**shown, "metrics": evaluation.metrics, "confidence": evaluation.confidence}))
        return
    for note in notes:
        typer.echo(f"· {note}")
    typer.echo(title(model.name, len(data.test), data.describe()))
    terminal().print(evaluation_table(evaluation, data.protocol.decimals))


def _comparison(about: dict[str, str], data: "segue.Dataset", whole: bool) -> list[str]:
    """Say how these figures stand to those of the run."""
    if about["fingerprint"] != data.fingerprint:
        return ["this is not the log that the model was trained on: the figures are not those of the run's table"]
    if whole:
        return ["the model was trained on a part of this very log: figures on all of it are too good"]
    return []
