"""`segue recommend`: recommend items for a session."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import segue
from segue.cli import options
from segue.cli.terminal import echo, echo_json, terminal
from segue.errors import ParameterError

if TYPE_CHECKING:
    from segue.data.vocabulary import Vocabulary
    from segue.models.base import Model
    from segue.models.session_attention import SessionAttention


def recommend(
    artifact: options.ModelFolder,
    items: Annotated[
        str | None,
        typer.Option(help="Items of the session by id or name, oldest first, separated by commas."),
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="One item of the session, which may contain commas; repeat for more, in place of --items."),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", "--k", help="Number of items to recommend; by default 10, or all that the model knows."),
    ] = None,
    exclude_seen: Annotated[bool, typer.Option("--exclude-seen", help="Exclude items of the session.")] = False,
    allowed: Annotated[
        list[str] | None,
        typer.Option(help="Recommend only these items, ids or names separated by commas; repeat for more."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Never recommend these items, ids or names separated by commas; repeat for more."),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(help="Further values of each event, for models that read them: shop=a,b or user=anna."),
    ] = None,
    upcoming: Annotated[
        list[str] | None,
        typer.Option(help="What is known of the event to predict, for models that read it: time=2026-01-31T20:10."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show gate, attention and cluster of each event (attention-clustering).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --explain: chart to write (.png or .svg).", show_default=False)
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Recommend the next items for a session.

    Examples:
    segue recommend runs/shop-1/gru4rec --items 17,204,31
    segue recommend runs/shop-1/v-sknn --item "Pan, 24 cm" --item "Glass lid" -k 5
    segue recommend runs/shop-1/sasrec --items 17,204 --context time=2026-01-31T20:00,2026-01-31T20:05
    segue recommend runs/shop-1/attention-clustering --items 17,204,31 --explain --out session.svg
    """
    from segue.charts import checked_picture
    from segue.cli.tables import attention_tables, recommendation_table
    from segue.models.recommendation import list_length
    from segue.storage import check_file

    session, values = parse_session(items, item or []), parse_context(context or [])
    if out is not None and not explain:
        raise ParameterError(f"--out: needs --explain, whose chart it is, got '{out}'")
    if out is not None:
        check_file(checked_picture(out))
    model = segue.load(options.model_folder(artifact))
    vocabulary = model.vocabulary
    length = list_length(k, model.vocabulary, 10, "--k")
    session = whole_session(items, session, vocabulary)
    answer = model.recommend(
        session,
        length,
        exclude_seen=exclude_seen,
        allowed=parse_listed(allowed, vocabulary),
        exclude=parse_listed(exclude, vocabulary),
        context=values,
        upcoming=parse_upcoming(upcoming),
    )
    attention = _attention(model, session, values) if explain else None
    if out is not None and attention is not None:
        attention.write(out)
    if "time" in values and "time" not in model.context_columns:
        echo(f"Ignored, as {model.name} does not read the times of events: --context time", err=True)
    if as_json:
        echo_json({**asdict(answer), **({} if attention is None else {"attention": attention.to_dict()})})
        return
    terminal().print(recommendation_table(answer, vocabulary))
    if attention is not None:
        for table in attention_tables(attention):
            terminal().print(table)
    for unknown in answer.unknown:
        guess = "" if vocabulary.index([unknown])[0] else vocabulary.names.did_you_mean(str(unknown))
        if items is not None and "," in items and _is_quoted(str(unknown)):
            guess = "; --items is split at every comma, also between quotes: name an item with commas by --item"
        echo(f"Ignored, as it is not in the training data: '{unknown}'{guess}")
    if answer.cold:
        echo(f"Added after training: {', '.join(f'{item} ({way})' for item, way in answer.cold.items())}")
    if answer.source == "popularity":
        echo("No item of the session is known: these are the most popular items.")
    if out is not None:
        echo(f"Wrote {out}.")


def _attention(model: "Model", session: list[str], context: dict[str, Any]) -> "SessionAttention":
    from segue.models.attention_clustering import AttentionClustering

    if not isinstance(model, AttentionClustering):
        raise ParameterError(
            f"--explain: needs a model that gates and clusters events, {AttentionClustering.name}, got {model.name}"
        )
    return model.attention(session, context=context)


def parse_session(items: str | None, each: list[str]) -> list[str]:
    """Return the items that ``--items`` or ``--item`` names."""
    if items is not None and each:
        raise ParameterError("--item: cannot be combined with --items; give one of them")
    if items is None and not each:
        raise ParameterError(
            "--items: is missing; name the items of the session: --items 17,204,31, or --item for each"
        )
    session = [text.strip() for text in (each if items is None else items.split(","))]
    if items is None and not all(session):
        raise ParameterError("--item: must be the id or name of an item, got ''")
    if not any(session):
        raise ParameterError(f"--items: must name at least one item such as 17,204,31, got '{items}'")
    return [text for text in session if text]


def _is_quoted(text: str) -> bool:
    """Whether a part of ``--items`` looks like one of an item in quotes."""
    return '"' in text or text[0] == "'" or text[-1] == "'"


def whole_session(items: str | None, session: list[str], vocabulary: "Vocabulary") -> list[str]:
    """Return a session, or what ``--items`` names if that is one item whose id or name contains commas."""
    return [items] if items is not None and vocabulary.index([items])[0] else session


def parse_listed(texts: list[str] | None, vocabulary: "Vocabulary") -> list[str] | None:
    """Split texts at commas, but for the name of an item that contains some."""
    if texts is None:
        return None
    whole = vocabulary.index(texts)
    return [
        part.strip()
        for text, index in zip(texts, whole, strict=True)
        for part in ([text] if index else text.split(","))
    ]


def parse_upcoming(texts: list[str] | None) -> dict[str, str | None] | None:
    """Parse ``["time=2026-01-31T20:10", "shop=a"]``; an empty value is unknown."""
    pairs = [entry.partition("=") for entry in texts or []]
    if wrong := [name for name, separator, _ in pairs if not separator]:
        raise ParameterError(f"--upcoming: must be NAME=VALUE, got '{wrong[0]}'")
    return {name.strip(): value.strip() or None for name, _, value in pairs} or None


def parse_context(texts: list[str]) -> dict[str, Any]:
    """Parse ``["shop=a,b"]``; an empty value is unknown, and a single value applies to all events."""
    context: dict[str, Any] = {}
    for entry in texts:
        name, separator, values = entry.partition("=")
        if not separator:
            raise ParameterError(f"--context: must be NAME=VALUE,VALUE,..., got '{entry}'")
        each = [value.strip() or None for value in values.split(",")]
        context[name.strip()] = each if len(each) > 1 else each[0]
    return context
