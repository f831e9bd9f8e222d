"""States that a recurrent model carries from click to click: a click costs one step, not the whole session."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64

from segue.data.sessions import Prefixes
from segue.models.recommendation import State, Stateful

MAX_STEPS = 50
"""A session of which a model must read more events than this is better read whole, as one sequence."""

_MOST = 20_000
"""Sessions whose states are kept."""


class CarriedStates:
    """States by session, of one version of a model.

    They are a cache: a state is used only if the session begins with the very items that the state has read, so a late
    event, another catalogue or a deleted session cannot leave a wrong one.

    Args:
        model: the model.
    """

    def __init__(self, model: Stateful) -> None:
        self._model = model
        self._kept: OrderedDict[str, tuple[list[int], State]] = OrderedDict()

    def top_k(
        self,
        sessions: Sequence[tuple[str, list[int]]],
        k: int,
        *,
        allowed: Bool[np.ndarray, "M"] | None = None,
        exclude: Prefixes | None = None,
    ) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items of sessions; see ``Model.top_k``.

        Args:
            sessions: id and item indices of each session.
            k: length of the lists.
            allowed: mask of the items that may be listed.
            exclude: items that must not be listed, for each session.
        """
        model = self._model
        found = [self._longest(key, items) for key, items in sessions]
        states, done = [state for state, _ in found], [count for _, count in found]
        while going := [row for row, (_, items) in enumerate(sessions) if done[row] < len(items)]:
            events = np.array([sessions[row][1][done[row]] for row in going], dtype=np.int64)
            stepped = model.split(model.step(model.join([states[row] for row in going]), events))
            for row, state in zip(going, stepped, strict=True):
                states[row] = state
                done[row] += 1
        for (key, items), state in zip(sessions, states, strict=True):
            self._kept.pop(key, None)  # The event loop may forget it at any moment.
            self._kept[key] = items, state
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return model.top_k_of_state(model.join(states), k, allowed=allowed, exclude=exclude)

    def missing(self, key: str, items: list[int]) -> int:
        """Return how many events of a session the model has yet to read."""
        return len(items) - self._longest(key, items)[1]

    def forget(self, key: str) -> None:
        """Forget a session."""
        self._kept.pop(key, None)

    def _longest(self, key: str, items: list[int]) -> tuple[State, int]:
        """Return the state that has read a beginning of a session, and how many events that is."""
        read, state = self._kept.get(key, ([], None))
        if state is not None and len(read) <= len(items) and items[: len(read)] == read:
            return state, len(read)
        return self._model.initial_state(), 0
