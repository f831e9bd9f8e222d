"""`segue recommend`: ask an artifact."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import segue
from segue.cli.reading import model_folder
from segue.cli.terminal import terminal
from segue.errors import ParameterError


def recommend(
    artifact: Annotated[Path, typer.Argument(help="Folder that a run wrote, one model.")],
    items: Annotated[
        str | None,
        typer.Option(help="Items of the running session by id or name, oldest first, separated by commas."),
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(help="One item of the session; repeated for each, instead of --items. It may hold commas."),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", help="How many items.")] = 10,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="Leave out the items of the session itself.")
    ] = False,
    context: Annotated[
        list[str] | None,
        typer.Option(help="What else is known of each item, for models that read it: shop=a,b or user=anna."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recommend the next items of one running session.

    Examples:
    segue recommend runs/shop-1/gru4rec --items 17,204,31
    segue recommend runs/shop-1/v-sknn --item "Pan, 24 cm" --item "Glass lid" -k 5
    segue recommend runs/shop-1/sasrec --items 17,204 --context time=2026-01-31T20:00,2026-01-31T20:05
    """
    from segue.cli.tables import recommendation_table
    from segue.strict_json import dumps

    session = _session(items, item or [])
    model = segue.load(model_folder(artifact))
    vocabulary = model.vocabulary
    answer = model.recommend(session, k, exclude_seen=exclude_seen, context=_told(context or []))
    if as_json:
        typer.echo(dumps(asdict(answer)))
        return
    terminal().print(recommendation_table(answer, vocabulary))
    for unknown in answer.unknown:
        guess = "" if vocabulary.index([unknown])[0] else vocabulary.names.did_you_mean(str(unknown))
        typer.echo(f"Not in the training data, so ignored: '{unknown}'{guess}")
    if answer.cold:
        typer.echo(f"Added after training: {', '.join(f'{item} ({way})' for item, way in answer.cold.items())}")
    if answer.source == "popularity":
        typer.echo("No item of the session is known, so the most popular items answer.")


def _session(items: str | None, each: list[str]) -> list[str]:
    """Return the items that either option names."""
    if items is not None and each:
        raise ParameterError("--item: stands in for --items; give one of them")
    if items is None and not each:
        raise ParameterError("--items: is missing; name the session's items: --items 17,204,31, or --item for each")
    session = [text.strip() for text in (each if items is None else items.split(","))]
    if items is None and not all(session):
        raise ParameterError("--item: must be the id or name of an item, got ''")
    if not any(session):
        raise ParameterError(f"--items: must name at least one item such as 17,204,31, got '{items}'")
    return [text for text in session if text]


def _told(context: list[str]) -> dict[str, Any]:
    """Turn ``["shop=a,b"]`` into a mapping; a value that is left out is not known, a single one is that of all."""
    told: dict[str, Any] = {}
    for entry in context:
        name, separator, values = entry.partition("=")
        if not separator:
            raise ParameterError(f"--context: must be NAME=VALUE,VALUE,..., got '{entry}'")
        each = [value.strip() or None for value in values.split(",")]
        told[name.strip()] = each if len(each) > 1 else each[0]
    return told
