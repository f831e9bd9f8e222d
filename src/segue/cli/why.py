"""`segue why`: explain the scores of items in a session."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import segue
from segue.cli import options
from segue.cli.recommend import parse_context, parse_listed, parse_session, parse_upcoming, whole_session
from segue.cli.terminal import echo, echo_json, terminal

if TYPE_CHECKING:
    from rich.table import Table

    from segue.models.why.answer import Why
    from segue.models.why.words import NameOf


def why(
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
        typer.Option(
            "-k", "--k", help="Number of recommended items to explain; by default 5, or all that the model knows."
        ),
    ] = None,
    of: Annotated[
        list[str] | None,
        typer.Option(help="Explain these items instead, ids or names separated by commas; repeat for more."),
    ] = None,
    exclude_seen: Annotated[bool, typer.Option("--exclude-seen", help="Exclude items of the session.")] = False,
    context: Annotated[
        list[str] | None,
        typer.Option(help="Further values of each event, for models that read them: shop=a,b or user=anna."),
    ] = None,
    upcoming: Annotated[
        list[str] | None,
        typer.Option(help="What is known of the event to predict, for models that read it: time=2026-01-31T20:10."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Picture or page to write (.png, .svg or .html).", show_default=False)
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Explain recommended items: by the events of the session, similar sessions, rules and attention.

    Examples:
    segue why runs/shop-1/v-sknn --items 17,204,31
    segue why runs/shop-1/sasrec --items 17,204,31 --out why.png
    segue why runs/shop-1/markov --item "Pan, 24 cm" --of "Glass lid" --json
    """
    from segue.models.recommendation import list_length
    from segue.models.requests import known_items
    from segue.models.why.picture import checked_output, write_why
    from segue.models.why.words import names_of
    from segue.storage import check_file

    session = parse_session(items, item or [])
    if out is not None:
        check_file(checked_output(out))
    model = segue.load(options.model_folder(artifact))
    vocabulary = model.vocabulary
    wanted = parse_listed(of, vocabulary)
    length = list_length(k, model.vocabulary, 5, "--k")
    known_items(vocabulary, wanted, "--of")
    found = segue.why(
        model,
        whole_session(items, session, vocabulary),
        wanted,
        k=length,
        exclude_seen=exclude_seen,
        context=parse_context(context or []),
        upcoming=parse_upcoming(upcoming),
    )
    if out is not None:
        write_why(found, out, title=f"Why these items: {model.name}", name_of=names_of(vocabulary))
    if as_json:
        echo_json(found.to_dict())
        return
    for table in _tables(found, names_of(vocabulary)):
        terminal().print(table)
    for one in found.unknown:
        echo(f"Ignored, as it is not in the training data: '{one}'")
    if out is not None:
        echo(f"Wrote {out}.")


def _tables(found: "Why", name_of: "NameOf") -> "list[Table]":
    """Show the items with the events of the largest effects, the parts of their scores, and the attention weights."""
    from rich.table import Column

    from segue.cli.tables import plain_table
    from segue.models.why.words import because, named, part_lines

    number = Column("#", justify="right")
    effects = plain_table(number, "item", Column("score", justify="right"), "because of", "despite")
    parts = plain_table("item", Column("part of the score", justify="right"), "from")
    for rank, item in enumerate(found.items, start=1):
        effects.add_row(str(rank), named(item), f"{item.score:.4g}", *because(found, item))
        for line, (value, words) in enumerate(part_lines(found, item, name_of)):
            parts.add_row("" if line else named(item), f"{value:+.3g}", words)
    tables = [effects, *([parts] if parts.row_count else [])]
    if found.attention is not None:
        heads = (Column(row.name, justify="right") for row in found.attention)
        attention = plain_table(Column("#", justify="right"), "attention to", *heads)
        for place, event in enumerate(found.events):
            weights = (f"{row.weights[place]:.3f}" for row in found.attention)
            attention.add_row(str(found.older + place + 1), named(event), *weights)
        tables.append(attention)
    return tables
