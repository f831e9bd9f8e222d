"""How a log was read, kept with what is made of it, so that a later log is read in the same way."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

Unit = Literal["session", "user"]
Quoting = Literal["auto", "double", "none"]


class Reading(BaseModel):
    """How a log was read."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    columns: dict[str, str]
    """Column of the source by role; ``user`` and no ``session`` if sessions are user histories."""
    unit: Unit
    """What one session is, ``session`` (a visit) or ``user`` (a history)."""
    time_format: str | None = None
    """Requested format of the times; None if it was detected."""
    quoting: Quoting = "auto"
    """How double quotes in delimited text were read."""
    format: str | None = None
    """Requested format of the files; None if it was detected."""

    @field_validator("columns")
    @classmethod
    def _has_sessions(cls, columns: dict[str, str]) -> dict[str, str]:
        if not columns.keys() & {"session", "user"}:
            raise ValueError("must name the column of the session or of the user")
        return columns
