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
    user: Annotated[
        str | None,
        typer.Option(help="Forget what was recommended to this user, and seen of it.", show_default=False),
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
    """Forget a session of a service, what was recommended to a user, or all that is older than some days.

    The store and the journal are covered, and a session takes no events for 30 days. Of users, the journal keeps what
    was recommended; their sessions are forgotten by ID. With SQLite the service must not run; while it does,
    DELETE /v1/sessions/ID and DELETE /v1/users/ID do the same.

    Examples:
    segue sessions forget 4f0c11
    segue sessions forget --user 815
    segue sessions forget --older-than 30 --state production
    segue sessions forget 4f0c11 --store redis://127.0.0.1:6379
    """
    if action != "forget":
        raise UnknownNameError("action", action, ["forget"])
    if sum(one is not None for one in (session_id, user, older_than)) != 1:
        raise ParameterError(
            "ID: give either a session, such as segue sessions forget 4f0c11, or --user, or --older-than DAYS"
        )
    require_extra(("msgspec", "redis"), "segue sessions", "serve")
    from urllib.parse import quote

    from segue.serving.forgetting import forget, forget_older

    server = None if store in ("memory", "sqlite") else store
    place = state if server is None else "the server"
    if (name := session_id if user is None else user) is not None:
        kind, option = ("session", "ID") if user is None else ("user", "--user")
        path = f"/v1/{kind}s/{quote(name, safe='')}"
        remedy = f"while the service runs, use: curl -X DELETE http://127.0.0.1:8000{path}"
        if not forget(state, name, server, user=user is not None, remedy=remedy):
            raise ParameterError(
                f"{option}: must be a {kind} in {place} or the journal, got {name!r}; check it, --state and --store"
            )
        echo(f"Deleted the {kind} {name} from {place} and the journal.")
    elif older_than is not None:
        count, rows = forget_older(
            state, older_than, server, remedy="stop the service first, or let it do this: --retention-days"
        )
        echo(f"Deleted {count:,} sessions and {rows:,} rows of the journal that were older than {older_than:g} days.")
