"""`segue serve`: answer recommendations for live sessions over HTTP."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segue.cli import options
from segue.cli.terminal import echo
from segue.errors import ParameterError, require_extra

if TYPE_CHECKING:
    from segue.serving.settings import ServeSettings

_PACKAGES = ("httptools", "msgspec", "prometheus_client", "uvicorn", "uvloop")


def serve(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folder of a run, or of single models.", envvar="SEGUE_MODELS"),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model of requests that name none; by default the best of the first run, or what segue best chose.",
            envvar="SEGUE_MODEL",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar="SEGUE_HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", envvar="SEGUE_PORT", min=0, max=65535)] = 8000,
    state: Annotated[Path, typer.Option(help="Folder for sessions and accepted events.", envvar="SEGUE_STATE")] = Path(
        "segue-state"
    ),
    store: Annotated[
        str, typer.Option(help="Where sessions are kept: memory, sqlite or redis://HOST:PORT.", envvar="SEGUE_STORE")
    ] = "sqlite",
    search: Annotated[
        str, typer.Option(help="How the best items are found: exact, int8, faiss or auto.", envvar="SEGUE_SEARCH")
    ] = "exact",
    workers: Annotated[
        int, typer.Option(help="Processes; more than one needs Redis or Valkey.", envvar="SEGUE_WORKERS", min=1)
    ] = 1,
    tokens: Annotated[
        Path | None,
        typer.Option(help="File with lines of scopes and a token: read,write TOKEN.", envvar="SEGUE_TOKENS_FILE"),
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="YAML file with rules for lists.", envvar="SEGUE_RULES")] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(help="YAML file that divides the traffic among models.", envvar="SEGUE_EXPERIMENT"),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Origin whose pages may read recommendations; repeat for more.", envvar="SEGUE_CORS_ORIGIN"),
    ] = None,
    session_minutes: Annotated[
        float | None,
        typer.Option(help="Minutes without events that end a session.", envvar="SEGUE_SESSION_MINUTES"),
    ] = None,
    retention_days: Annotated[
        float, typer.Option(help="Days that accepted events are kept.", envvar="SEGUE_RETENTION_DAYS")
    ] = 30.0,
    journal: Annotated[
        bool, typer.Option(help="Keep accepted events as Parquet files.", envvar="SEGUE_JOURNAL")
    ] = True,
    journal_seconds: Annotated[
        float, typer.Option(help="Seconds between two of these files.", envvar="SEGUE_JOURNAL_SECONDS")
    ] = 600.0,
    update_every: Annotated[
        str | None,
        typer.Option(
            help="Learn from accepted events this often: 30m, 1h, 1d. The models must be updatable.",
            envvar="SEGUE_UPDATE_EVERY",
        ),
    ] = None,
    max_in_flight: Annotated[
        int, typer.Option(help="Requests at once; more are refused with 503.", envvar="SEGUE_MAX_IN_FLIGHT", min=1)
    ] = 256,
    deadline: Annotated[
        float, typer.Option(help="Seconds after which a request fails with 504.", envvar="SEGUE_DEADLINE")
    ] = 1.0,
    drain: Annotated[
        float, typer.Option(help="Seconds of listening after the signal to stop.", envvar="SEGUE_DRAIN")
    ] = 1.0,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log every request.", envvar="SEGUE_ACCESS_LOG")
    ] = False,
    page: Annotated[bool, typer.Option(help="Serve a page at / to try the models.", envvar="SEGUE_PAGE")] = True,
) -> None:
    """Serve recommendations for live sessions over HTTP.

    Examples:
    segue serve segue-demo
    segue serve runs/first --model gru4rec --port 9000
    segue serve runs/first --experiment experiment.yaml
    segue serve production --host 0.0.0.0 --tokens tokens.txt
    segue serve production --rules rules.yaml
    segue serve production --update-every 1h
    segue serve production --store redis://127.0.0.1:6379 --workers 2
    """
    require_extra(_PACKAGES, "segue serve", "serve")
    if search == "faiss":
        require_extra(("faiss",), "--search faiss", "faiss")
    import os

    from segue.serving.catalogue.rules import Rules
    from segue.serving.experiments import experiments_of
    from segue.serving.http.access import Tokens, is_loopback
    from segue.serving.logs import start_logging
    from segue.serving.settings import ServeSettings
    from segue.serving.supervisor import Supervisor, bind
    from segue.storage import make_folder
    from segue.validation import build

    models, default = _models(folders, model)
    settings = build(
        ServeSettings,
        "serve",
        parameters={
            "models": {name: folder.absolute() for name, folder in models.items()},
            "default": default,
            "state": state.absolute(),
            "store": store,
            "host": host,
            "port": port,
            "search": search,
            "workers": workers,
            "tokens": None if tokens is None else tokens.absolute(),
            "rules": None if rules is None else rules.absolute(),
            "experiment": None if experiment is None else experiment.absolute(),
            "cors_origin": tuple(cors_origin or ()),
            "session_minutes": session_minutes,
            "retention_days": retention_days,
            "journal": journal,
            "journal_seconds": journal_seconds,
            "update_every": None if update_every is None else options.parse_duration("--update-every", update_every),
            "max_in_flight": max_in_flight,
            "deadline": deadline,
            "drain": drain,
            "access_log": access_log,
            "page": page,
        },
    )
    if workers > 1 and settings.store_kind != "redis":
        raise ParameterError(
            f"--workers: must be 1 with --store {store}, which one process keeps, got {workers}: a session would be "
            "divided between the processes; use --store redis://127.0.0.1:6379"
        )
    if settings.store_kind == "redis":
        from segue.serving.stores.redis_journal import check_url

        check_url(store)
    experiments_of(settings)
    known = (
        Tokens.read(tokens) if tokens is not None else Tokens.parse(os.environ.get("SEGUE_TOKENS", ""), "SEGUE_TOKENS")
    )
    if not known and not is_loopback(host):
        raise ParameterError(
            f"--host: {host} is reached from other machines, so it needs tokens; write a line such as "
            "'read,write TOKEN' into a file and add --tokens FILE"
        )
    if rules is not None:
        Rules.read(rules)
    make_folder(settings.state)
    if settings.update_every is not None:
        _check_updates(settings)
    listening = bind(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    echo(f"serving {', '.join(models)} on {address} (default: {default}, state: {settings.state}); loading ...")
    start_logging()
    raise typer.Exit(Supervisor(settings, listening).run())


def _check_updates(settings: "ServeSettings") -> None:
    """Let the process that updates the models check whether it can."""
    from segue.serving.updates import start

    if not settings.journal:
        raise ParameterError(
            "--update-every: needs the events that a service accepts, and --no-journal does not keep them; remove one"
        )
    if code := start(settings, "check").wait():
        raise typer.Exit(code)


def _models(folders: list[Path], model: str | None) -> tuple[dict[str, Path], str]:
    from segue.errors import UnknownNameError
    from segue.experiment.candidates import chosen_in
    from segue.serving.folders import find_models, runs_beside_models

    models = find_models(folders)
    if model is not None and model not in models:
        raise UnknownNameError("model", model, models)
    for run in runs_beside_models(folders):
        echo(f"· {run}: is a run beside models, and is not served; to serve it as well, add {run}")
    chosen = chosen_in(folders[0])
    return models, model or (chosen if chosen in models else next(iter(models)))
