"""The settings of a service, which the command line passes to the processes that do the work."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from segue.parameters import Section

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[a-z0-9.\-\[\]:]+$")]
"""Scheme, host and port of a page, such as ``https://shop.example``: as browsers send it."""


class ServeSettings(Section):
    """Settings of ``segue serve``."""

    models: dict[str, Path]
    """Folder of each model, by name."""
    default: str
    """Name of the model of requests that name none."""
    state: Path
    """Folder of the sessions, the journal and the key of hashes."""
    store: str = "sqlite"
    """Where sessions are kept: memory, sqlite, or the address of a Redis or Valkey server (redis://...)."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    search: Literal["exact", "int8", "faiss", "auto"] = "exact"
    """How models find the best items; see ``Model.with_search``."""
    workers: int = Field(1, ge=1, le=256)
    """Processes that answer requests."""
    tokens: Path | None = None
    """File with tokens and their scopes."""
    rules: Path | None = None
    """File with rules."""
    experiment: Path | None = None
    """File that declares an experiment."""
    cors_origin: tuple[Origin, ...] = ()
    """Origins of pages whose scripts may read recommendations: scheme, host and port, such as https://shop.example."""
    session_minutes: float | None = Field(None, gt=0)
    """A session without events for this long is over; none takes the session gap of the protocol, else 30 days."""
    retention_days: float = Field(30.0, gt=0)
    """Days that files of the journal are kept."""
    journal_seconds: float = Field(600.0, gt=0)
    """Time between two files of the journal."""
    journal: bool = True
    """Whether accepted events and exposures are kept for training."""
    update_every: float | None = Field(None, ge=1)
    """Seconds between two updates of the models from accepted events; none never updates them."""
    memory_events: int = Field(2_000_000, ge=1000)
    """Bound on the events of the sessions in memory."""
    max_in_flight: int = Field(256, ge=1)
    """Requests that are answered at once; more are refused with 503."""
    deadline: float = Field(1.0, gt=0)
    """Seconds after which a request is answered with 504."""
    drain: float = Field(1.0, ge=0)
    """Seconds between the signal to stop and the end of listening, in which a load balancer takes note."""
    access_log: bool = False
    """Whether every request is logged."""
    page: bool = True
    """Whether there is a page at /."""

    @property
    def store_kind(self) -> Literal["memory", "sqlite", "redis"]:
        """Kind of the store."""
        if self.store in ("memory", "sqlite"):
            return "memory" if self.store == "memory" else "sqlite"
        return "redis"
