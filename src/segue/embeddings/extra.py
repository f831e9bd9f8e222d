"""Libraries of the extra ``plot``, imported when they are first needed: some take seconds."""

from importlib import import_module
from typing import Any

from segue.errors import MissingExtraError


def library(name: str) -> Any:
    """Import a module of the extra.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError("a picture of item vectors", "plot") from error
