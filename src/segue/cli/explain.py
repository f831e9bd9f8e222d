"""`segue explain`: explanations of models, losses and protocols, with worked examples."""

from typing import Annotated

import typer

from segue.cli import options
from segue.cli.terminal import echo, echo_json, terminal


def explain(
    topic: Annotated[
        str | None, typer.Argument(help="Name of a topic, such as attention or recall; none: list all.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Explain a model, a loss, a metric or a protocol, with a worked example; without a name list all.

    The numbers of the example are computed when it is shown, by the functions that training and evaluation use.

    Examples:
    segue explain
    segue explain negative-sampling
    segue explain recall
    """
    from segue.explain.catalogue import CHAPTERS, find

    if topic is None:
        if as_json:
            echo_json({chapter.title: {one.name: one.title for one in chapter.topics} for chapter in CHAPTERS})
            return
        _list()
        return
    found = find(topic)
    if as_json:
        echo_json(found.to_dict())
        return
    console, text = terminal(), found.markdown()
    if console.is_terminal:
        from rich.markdown import Markdown

        console.print(Markdown(text, code_theme="ansi_dark"))
    else:
        typer.echo(text.rstrip("\n"))


def _list() -> None:
    from segue.explain.catalogue import CHAPTERS

    for chapter in CHAPTERS:
        echo(chapter.title)
        for topic in chapter.topics:
            echo(f"  {topic.name:<28} {topic.title}")
        echo()
    echo("To read one: segue explain TOPIC")
