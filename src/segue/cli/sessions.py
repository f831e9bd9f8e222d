"""`segue sessions`: delete what a service has stored."""

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.terminal import echo
from segue.errors import ParameterError, UnknownNameError, require_extra


def sessions(
    action: Annotated[str, typer.Argument(help="What to do.", metavar="forget")],
    session_id: Annotated[
        str | None, typer.Argument(help="The session to forget.", metavar="ID", show_default=False)
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(help="Forget sessions without events for this many days, and older rows of the journal.", min=0),
    ] = None,
    state: Annotated[Path, typer.Option(help="Folder of the service.", envvar="SEGUE_STATE")] = Path("segue-state"),
    store: Annotated[
        str, typer.Option(help="Where its sessions are: sqlite or redis://HOST:PORT.", envvar="SEGUE_STORE")
    ] = "sqlite",
) -> None:
    """Forget a session of a service, or all that are older than some days.

    The store and the journal are covered, and a session takes no events for 30 days. With SQLite the service must not
    run; while it does, DELETE /v1/sessions/ID forgets a session.

    Examples:
    segue sessions forget 4f0c11
    segue sessions forget --older-than 30 --state production
    segue sessions forget 4f0c11 --store redis://127.0.0.1:6379
    """
    if action != "forget":
        raise UnknownNameError("action", action, ["forget"])
    if (session_id is None) == (older_than is None):
        raise ParameterError("ID: give either a session, such as segue sessions forget 4f0c11, or --older-than DAYS")
    require_extra(("msgspec", "redis"), "segue sessions", "serve")
    from urllib.parse import quote

    from segue.serving.forgetting import forget, forget_older

    server = None if store in ("memory", "sqlite") else store
    if session_id is not None:
        path = f"/v1/sessions/{quote(session_id, safe='')}"
        remedy = f"while the service runs, use: curl -X DELETE http://127.0.0.1:8000{path}"
        place = state if server is None else "the server"
        if not forget(state, session_id, server, remedy=remedy):
            raise ParameterError(
                f"ID: must be a session in {place} or the journal, got {session_id!r}; check it, --state and --store"
            )
        echo(f"Deleted the session {session_id} from {place} and the journal.")
    elif older_than is not None:
        count, rows = forget_older(
            state, older_than, server, remedy="stop the service first, or let it do this: --retention-days"
        )
        echo(f"Deleted {count:,} sessions and {rows:,} rows of the journal that were older than {older_than:g} days.")
