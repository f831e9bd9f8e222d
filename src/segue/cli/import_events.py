"""`segue import-events`: events from a file or a pipe into a running service."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.terminal import echo
from segue.errors import LogError

_SHOWN = 20


def import_events(
    file: Annotated[str, typer.Argument(help="File of JSON Lines, or - for the standard input.", metavar="FILE")],
    url: Annotated[
        str, typer.Option(help="Address of the service; its token is in SEGUE_TOKEN.", envvar="SEGUE_URL")
    ] = "http://127.0.0.1:8000",
    patience: Annotated[float, typer.Option(help="Seconds for which a busy service is asked again.", min=0)] = 60.0,
) -> None:
    """Send events in JSON Lines from a file or a pipe to a running service.

    A line has the fields of POST /v1/events: {"session_id": "s1", "item": "17"}, and if known time, type, event_id,
    recommendation_id and context. Events are sent in batches of up to 1,000, at least once a second, and are committed
    when the next batch is sent. With an event_id, an event that is imported twice counts once.

    Examples:
    segue import-events clicks.jsonl
    kcat -C -b kafka:9092 -t clicks -u | segue import-events -
    SEGUE_TOKEN=4f0c... segue import-events clicks.jsonl --url https://shop.example
    """
    import os

    from segue.serving.importing import Importer

    importer = Importer(url, os.environ.get("SEGUE_TOKEN"), patience)
    with ExitStack() as stack:
        try:
            lines = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
            report = importer.send_all(lines)
        except OSError as error:
            if error.filename is None or file == "-":
                raise
            raise LogError(f"{file}: cannot be read ({error.strerror or error})") from error
    counts = report.counts
    total = sum(counts.values())
    refused = counts.get("refused", 0) + counts.get("conflict", 0)
    words = [f"{counts.get(name, 0):,} {name}" for name in ("accepted", "duplicate", "ignored") if counts.get(name)]
    echo(f"{total:,} events: {', '.join([*words, f'{refused:,} refused'])}.")
    for line, detail in report.problems[:_SHOWN]:
        echo(f"line {line}: {detail}", err=True)
    if refused:
        more = f", of which the first {_SHOWN} are above" if refused > _SHOWN else ""
        raise LogError(f"{file}: {refused:,} of {total:,} events were refused{more}; correct and send them again")
