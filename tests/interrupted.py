"""Interrupts a training as Ctrl-C would, at a moment that a test names."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class _Stop(logging.Handler):
    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._left = epoch

    def emit(self, record: logging.LogRecord) -> None:
        self._left -= record.getMessage().startswith("epoch")
        if self._left == 0:
            raise KeyboardInterrupt


@contextmanager
def stop_at(epoch: int) -> Iterator[None]:
    """Interrupt what trains in the block at the end of its n-th epoch, before the epoch is saved."""
    logger, handler = logging.getLogger("segue.training"), _Stop(epoch)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
