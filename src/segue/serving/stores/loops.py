"""What a store does again and again beside its requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.5


class Loop:
    """Does something regularly. An error that nobody expected is logged and told, and does not end the loop.

    Args:
        work: what to do.
        seconds: time to wait before it.
        failed: is told each unexpected error.

    Attributes:
        problem: the error; None when the work was done again without one.
    """

    def __init__(
        self, work: Callable[[], Awaitable[None]], seconds: float, failed: Callable[[str], None] = lambda _: None
    ) -> None:
        self._work, self._seconds, self._failed = work, seconds, failed
        self.problem: str | None = None

    def start(self) -> None:
        """Begin, in the event loop of the caller."""
        self._task = asyncio.create_task(self._run())

    def cancel(self) -> None:
        """End the loop, wherever it is."""
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds if self.problem is None else max(self._seconds, _AGAIN_SECONDS))
            await self.step()

    async def step(self) -> None:
        """Do the work once."""
        try:
            await self._work()
        except Exception as error:
            reason = described(error)
            if reason != self.problem:
                logger.exception("an unexpected error")
            self.problem = reason
            self._failed(reason)
        else:
            self.problem = None


def described(error: Exception) -> str:
    """Return an error in words."""
    return str(error) or type(error).__name__
