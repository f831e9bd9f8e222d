"""Plots of the item vectors that a model has learnt, and measures of whether the plots can be trusted."""

from typing import Any

from segue.errors import import_extra


def library(name: str) -> Any:
    """Import a module of the extra ``plot`` when it is first needed; some take seconds."""
    return import_extra(name, "a plot of item vectors", "plot")
