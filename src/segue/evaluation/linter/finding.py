"""What the linter says, and how its checks are listed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Severity = Literal["error", "warning", "note"]
"""An error makes the figures wrong, a warning doubtful; a note is a known property of the protocol."""

LOG = "log"
"""Subject of a finding about the prepared log."""


class Finding(BaseModel):
    """Something that makes a result doubtful."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    code: str
    """Short name of the check, such as ``overlap-in-time``."""
    severity: Severity
    """An error makes the figures wrong, a warning doubtful; a note is a known property of the protocol."""
    subject: str
    """The label of a model, or ``log``."""
    message: str
    """What was found, in numbers, and what to do."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.message} ({self.severity} {self.code})"


@dataclass(frozen=True)
class Found:
    """What a check answers if there is something to say.

    Attributes:
        message: what was found, in numbers, and what to do.
        severity: how bad it is, where that depends; None is the severity of the check.
    """

    message: str
    severity: Severity | None = None


T = TypeVar("T")


@dataclass(frozen=True)
class Check(Generic[T]):
    """A check.

    Attributes:
        code: its name, under which docs/linter.md explains it.
        severity: how bad it is what it finds.
        look: finds it, or returns None.
    """

    code: str
    severity: Severity
    look: Callable[[T], Found | None]

    def about(self, subject: str, thing: T) -> list[Finding]:
        """Return what is found, as a list of one or none."""
        found = self.look(thing)
        if found is None:
            return []
        severity = found.severity or self.severity
        return [Finding(code=self.code, severity=severity, subject=subject, message=found.message)]


def run_all(checks: Iterable[Check[T]], subject: str, thing: T) -> list[Finding]:
    """Run checks of one thing, in their order."""
    return [finding for check in checks for finding in check.about(subject, thing)]
