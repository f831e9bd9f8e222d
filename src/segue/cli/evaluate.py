"""`segue evaluate`: test an artifact again, on the same log or on another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli.reading import Columns, Format, Log, log_options, model_folder
from segue.cli.terminal import terminal
from segue.errors import ArtifactError, ParameterError


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
    segue evaluate runs/clicks-1/gru4rec prepared/clicks
    """
    from segue.artifact import EVERYTHING, Artifact
    from segue.cli.tables import evaluation_table, title
    from segue.experiment.recipe import load_recipe, read_log
    from segue.experiment.source import with_prepared
    from segue.progress import progress_for
    from segue.strict_json import dumps

    facts = Artifact.read(model_folder(artifact)).about
    if not {"protocol", "seed"} <= facts.keys():
        raise ArtifactError(f"{artifact}: names no protocol, so it was not written by a run; evaluate it from Python")
    protocol = segue.Protocol.of(facts["protocol"], artifact)
    model = segue.load(artifact)
    if whole:
        protocol = protocol.on_whole_log()
    recipe, opened = with_prepared(load_recipe(None, log_options(log, log_format, columns)))
    source = opened or read_log(recipe)
    if facts.get("trained_on") == EVERYTHING and not whole:
        raise ParameterError(_nothing_to_test_on(artifact, log, facts, source))
    if isinstance(source, segue.Dataset):
        data = _as_prepared(source, model, protocol, log, whole)
    else:
        data = segue.prepare(source, protocol, vocabulary=model.vocabulary)
    evaluation = segue.evaluate(model, data, seed=facts["seed"], progress=progress_for())
    ties = evaluation.tie_note(data.protocol.ranking.headline)
    notes = [*data.notes, *([ties] if ties else []), *_comparison(facts, data, whole)]
    if as_json:
        shown = {"model": model.name, "hash": data.hash, "cases": len(data.test), "notes": notes}
        shown |= {"sampled": evaluation.sampled}
        typer.echo(dumps({**shown, "metrics": evaluation.metrics, "confidence": evaluation.confidence}))
        return
    for note in notes:
        typer.echo(f"· {note}")
    typer.echo(title(model.name, len(data.test), data.describe()))
    terminal().print(evaluation_table(evaluation, data.protocol.decimals))


def _as_prepared(
    data: "segue.Dataset", model: "segue.Model", protocol: "segue.Protocol", log: str, whole: bool
) -> "segue.Dataset":
    """Return a prepared data set, measured as the protocol of the model says.

    Raises:
        ParameterError: its catalogue is not that of the model, or all of its log was asked for.
    """
    if whole:
        raise ParameterError(f"--all: needs the log, and {log} is prepared already; name the log")
    if data.vocabulary.hash != model.vocabulary.hash:
        raise ParameterError(
            f"LOG: must be prepared with the catalogue of the model, {len(model.vocabulary):,} items with hash "
            f"{model.vocabulary.hash}, and {log} has {len(data.vocabulary):,} items with hash {data.vocabulary.hash}; "
            "name the log itself, which is encoded with the catalogue of the model"
        )
    return data.measured_as(protocol)


def _comparison(facts: Mapping[str, Any], data: "segue.Dataset", whole: bool) -> list[str]:
    """Say how these figures stand to those of the run, or to what the model was trained on."""
    if "trained_on" in facts:
        return [_seen(facts["data"], data)]
    if facts["protocol"]["fingerprint"] != data.fingerprint:
        return ["this is not the log that the model was trained on: the figures are not those of the run's table"]
    if not whole and facts["protocol"]["hash"] != data.hash:
        return ["the data set was prepared with another protocol: the figures are not those of the run's table"]
    if whole:
        return ["the model was trained on a part of this very log: figures on all of it are too good"]
    return []


def _nothing_to_test_on(
    artifact: Path, log: str, facts: Mapping[str, Any], source: "segue.Events | segue.Dataset"
) -> str:
    """Say why a model that was trained on everything is not tested on a part of a log."""
    from segue.data.fingerprint import fingerprint

    tested = (facts["like"] or {}).get("path")
    held_out = f"; for figures on held-out data evaluate {tested}" if tested else ""
    mark = source.fingerprint if isinstance(source, segue.Dataset) else fingerprint(source.frame)
    if mark == facts["data"]["fingerprint"]:
        return (
            f"LOG: {artifact} was trained on everything in {log}, so figures on it would be too good; "
            f"test it on a later log with --all{held_out}"
        )
    return (
        f"--all: must be given, for {artifact} was trained on everything and {log} may hold the same events before its "
        f"test part; test it on a log of later events with --all{held_out}"
    )


def _seen(trained: Mapping[str, Any], data: "segue.Dataset") -> str:
    """Say what a model that was trained on everything has seen of the log that it is tested on."""
    if trained["fingerprint"] == data.fingerprint:
        return "the model was trained on all of this log: the figures are too good and say nothing of new sessions"
    last, first = trained["last_time"], data.stages[0].statistics.first_time
    if last is None or first is None:
        return "this is not the log that the model was trained on; make sure that it holds none of its events"
    if first <= last:
        return f"events from {first} on are tested and the model was trained until {last}: it may have seen some"
    return f"all events are later than those that the model was trained on, until {last}"
