"""The checks and findings of the linter."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Int64
from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning", "note"]
"""An error makes the metrics wrong, a warning makes them doubtful; a note is a known property of the protocol."""

MIN_TEST_SESSIONS = 30
"""Test sessions below which models are not judged by their metrics: intervals of so few mean little."""

LOG = "log"
"""Subject of a finding about the prepared log."""


class Finding(BaseModel):
    """Something that makes a result doubtful."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    code: str
    """Short name of the check, such as ``overlap-in-time``."""
    severity: Severity
    """An error makes the metrics wrong, a warning makes them doubtful; a note is a known property of the protocol."""
    subject: str
    """The label of a model, or ``log``."""
    message: str
    """The finding, in numbers, and the remedy."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.message} ({self.severity} {self.code})"


@dataclass(frozen=True)
class Issue:
    """Result of a check: a message, and a severity if it differs from the severity of the check."""

    message: str
    severity: Severity | None = None


T = TypeVar("T")


@dataclass(frozen=True)
class Check(Generic[T]):
    """A function that looks for one issue.

    Attributes:
        code: name of the check, under which docs/linter.md explains it.
        severity: default severity of what it finds.
        find: returns the issue, or None.
    """

    code: str
    severity: Severity
    find: Callable[[T], Issue | None]


def run_checks(checks: Iterable[Check[T]], subject: str, target: T) -> list[Finding]:
    """Run checks on one target in order; ``subject`` names it in the findings."""
    found = ((check, check.find(target)) for check in checks)
    return [
        Finding(code=check.code, severity=issue.severity or check.severity, subject=subject, message=issue.message)
        for check, issue in found
        if issue is not None
    ]


def evenly_spaced(size: int, most: int) -> Int64[np.ndarray, "_"]:
    """Return at most ``most`` of ``size`` positions, evenly spaced."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).astype(np.int64)) if size else np.zeros(0, np.int64)
