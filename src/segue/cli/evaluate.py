"""`segue evaluate`: evaluate a model again, on the same log or on another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli import engines, options
from segue.cli.terminal import echo, echo_json, terminal
from segue.errors import ArtifactError, ParameterError


@options.with_log_options
def evaluate(
    artifact: options.ModelFolder,
    log: options.Log,
    whole: Annotated[bool, typer.Option("--all", help="Evaluate on the whole log instead of its test part.")] = False,
    engine: engines.EngineName = None,
    as_json: options.AsJson = False,
    *,
    log_options: dict[str, Any],
) -> None:
    """Evaluate a model under its own protocol, on the test part of a log or on all of it.

    Examples:
    segue evaluate runs/clicks-1/gru4rec clicks.csv
    segue evaluate runs/clicks-1/gru4rec next-week.csv --all --json
    segue evaluate runs/clicks-1/gru4rec prepared/clicks
    segue evaluate runs/clicks-1/v-sknn prepared/clicks --engine ray
    """
    from segue.artifact import EVERYTHING, Artifact
    from segue.cli.progress import progress_shown
    from segue.cli.tables import evaluation_table, title
    from segue.experiment.config import load_config
    from segue.experiment.prepared_data import read_log, with_prepared
    from segue.experiment.training_facts import check_facts, reading_of

    address = engines.check_engine(engine)
    facts = Artifact.read(options.model_folder(artifact)).about
    if not {"protocol", "seed"} <= facts.keys():
        raise ArtifactError(f"{artifact}: has no protocol, so it was not written by a run; evaluate it from Python")
    check_facts(artifact, facts)
    protocol = segue.Protocol.of(facts["protocol"], artifact)
    model = segue.load(artifact)
    if whole:
        protocol = protocol.on_whole_log()
    config, opened = with_prepared(load_config(None, {"log": log, **log_options}))
    source = opened or read_log(config, reading_of(artifact))
    if facts.get("trained_on") == EVERYTHING and not whole:
        raise ParameterError(_nothing_to_test_on(artifact, log, facts, source))
    if isinstance(source, segue.Dataset):
        data = as_prepared(source, model, protocol, log, whole)
    else:
        data = segue.prepare(source, protocol, vocabulary=model.vocabulary)
    with progress_shown() as progress, engines.cluster_at(address) as cluster:
        rank = engines.ranking_on(cluster, artifact)
        evaluation = segue.evaluate(model, data, seed=facts["seed"], progress=progress, rank=rank)
    ties = evaluation.tie_note(data.protocol.ranking.headline)
    notes = [*data.notes, *([ties] if ties else []), *_comparison(facts, data, whole)]
    if as_json:
        shown = {"model": model.name, "hash": data.hash, "cases": len(data.test), "notes": notes}
        shown |= {"sampled": evaluation.sampled}
        echo_json({**shown, "metrics": evaluation.metrics, "confidence": evaluation.confidence})
        return
    for note in notes:
        echo(f"· {note}")
    echo(title(model.name, len(data.test), data.describe()))
    terminal().print(evaluation_table(evaluation, data.protocol.decimals))


def as_prepared(
    data: "segue.Dataset", model: "segue.Model", protocol: "segue.Protocol", log: str, whole: bool
) -> "segue.Dataset":
    """Return a prepared data set with the metrics and ranking of the model's protocol.

    Raises:
        ParameterError: its catalogue differs from the catalogue of the model, or ``--all`` was given.
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
    """Return a note on the relation of the metrics to those of the run, or to the training data."""
    if "trained_on" in facts:
        return [_seen(facts["data"], data)]
    if facts["protocol"]["fingerprint"] != data.fingerprint:
        return ["this is not the log of the run: the metrics cannot be compared with those of the run"]
    if not whole and facts["protocol"]["hash"] != data.hash:
        return ["the data set was prepared with another protocol: the metrics cannot be compared with those of the run"]
    if whole:
        return ["the model was trained on a part of this log: metrics on all of it are too optimistic"]
    return []


def _nothing_to_test_on(
    artifact: Path, log: str, facts: Mapping[str, Any], source: "segue.Events | segue.Dataset"
) -> str:
    """Explain why a model that was trained on a whole log is not tested on a part of one."""
    from segue.data.fingerprint import fingerprint

    tested = (facts["like"] or {}).get("path")
    held_out = f"; for metrics on held-out data evaluate {tested}" if tested else ""
    mark = source.fingerprint if isinstance(source, segue.Dataset) else fingerprint(source.frame)
    if mark == facts["data"]["fingerprint"]:
        return (
            f"LOG: {artifact} was trained on everything in {log}, so metrics on it would be too optimistic; "
            f"test it on a later log with --all{held_out}"
        )
    return (
        f"--all: is required, because {artifact} was trained on a whole log and {log} may contain the same events; "
        f"test it on a log of later events with --all{held_out}"
    )


def _seen(trained: Mapping[str, Any], data: "segue.Dataset") -> str:
    """Return a note on the overlap of the test log with the training data of a model trained on a whole log."""
    if trained["fingerprint"] == data.fingerprint:
        return "the model was trained on all of this log: the metrics are too optimistic for new sessions"
    last, first = trained["last_time"], data.stages[0].statistics.first_time
    if last is None or first is None:
        return "this is not the log that the model was trained on; make sure that the two have no events in common"
    if first <= last:
        return f"the tested events start at {first} and the model was trained until {last}: it may have seen some"
    return f"all events are later than those that the model was trained on, until {last}"
