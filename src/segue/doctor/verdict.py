"""A rule of the checklist, and what it says of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from segue.doctor.finished_run import FinishedRun

Status = Literal["ok", "look", "cannot tell"]
"""look: something to check; cannot tell: the folder lacks what the rule needs."""


class Verdict(BaseModel):
    """What a rule says of a run."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    rule: str
    """Name of the rule, such as ``under-trained``."""
    status: Status
    """ok, look or cannot tell."""
    found: list[str]
    """What was found, in numbers, and what to do about it."""
    topic: str
    """Topic of ``segue explain`` that explains the rule."""


@dataclass(frozen=True)
class Answer:
    """The answer of a rule: its status, and a line for each thing that was found."""

    status: Status
    found: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """A rule of the checklist.

    Attributes:
        name: its name, under which docs/doctor.md describes it.
        topic: the topic that explains it.
        check: looks at a run.
    """

    name: str
    topic: str
    check: Callable[[FinishedRun], Answer]

    def verdict(self, run: FinishedRun) -> Verdict:
        """Apply the rule to a run."""
        answer = self.check(run)
        return Verdict(rule=self.name, status=answer.status, found=list(answer.found), topic=self.topic)


def ok(text: str) -> Answer:
    """Return that all is well."""
    return Answer("ok", (text,))


def cannot_tell(text: str) -> Answer:
    """Return that the folder lacks what the rule needs."""
    return Answer("cannot tell", (text,))


def look(found: Sequence[str], otherwise: str) -> Answer:
    """Return what was found; ok with another text if nothing was."""
    return Answer("look", tuple(found)) if found else ok(otherwise)
