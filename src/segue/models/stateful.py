"""Models that read a session event by event, and keep what they read of it."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int64

from segue.models.filters import Allowed, Excluded

State = Any
"""What a recurrent model carries from event to event; only the model itself looks into it."""


@runtime_checkable
class Stateful(Protocol):
    """A model that can take a session event by event and answer at any moment, without reading the session again.

    States are immutable: ``step`` returns a new one. What ``answer`` returns equals ``top_k`` of the whole session, up
    to the rounding of float32.
    """

    def start(self, rows: int = 1) -> State:
        """Return the state of sessions without events."""

    def step(self, state: State, items: Int[np.ndarray, "B"]) -> State:
        """Return the state after one more event of each session."""

    def answer(
        self, state: State, k: int, *, allowed: Allowed | None = None, exclude: Excluded | None = None
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items of each session; see ``Model.top_k``."""
