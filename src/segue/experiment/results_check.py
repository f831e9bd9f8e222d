"""What readers take from results.json beyond the types of its fields: parts of the protocol, statistics and metrics."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.metrics import lower_is_better
from segue.printable import visible


class _Ranking(BaseModel):
    candidates: str
    ties: str
    metrics: list[str] = Field(min_length=1)


class _Cases(BaseModel):
    targets: str


class _Protocol(BaseModel):
    hash: str
    fingerprint: str
    name: str
    headline: list[str] = Field(min_length=1)
    decimals: int = Field(4, ge=0, le=15)
    ranking: _Ranking
    cases: _Cases


class _Stage(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | int | float | None] = Field(init=False)

    step: str
    part: str
    dropped: int
    events: int
    items: int
    equal_times: int | None = None
    first_time: str | None = None
    last_time: str | None = None


class _Data(BaseModel):
    test_cases: int
    stages: list[_Stage] = Field(min_length=1)


def check_content(
    protocol: Mapping[str, Any], data: Mapping[str, Any], rows: Mapping[str, Mapping[str, float]]
) -> None:
    """Check what readers of results take from them.

    Args:
        protocol: the protocol.
        data: the statistics of the log.
        rows: the metrics of each model.

    Raises:
        ValueError: something is missing, or of another type.
    """
    headline = _Protocol.model_validate(protocol).headline
    _Data.model_validate(data)
    if len({frozenset(stage) for stage in data["stages"]}) > 1:
        raise ValueError("data.stages: must have the same statistics in each stage")
    if not rows:
        raise ValueError("models: must have at least one row")
    measured = next(iter(rows.values()))
    for metric in measured:
        lower_is_better(metric)
    for label, metrics in rows.items():
        if missing := {*headline, *measured} - metrics.keys():
            raise ValueError(f"models: {label} has no metric {min(missing)}")


def problem_of(error: ValueError) -> str:
    """Return the first problem that pydantic or a parser found, in one line."""
    if not isinstance(error, ValidationError):
        return visible(" ".join(str(error).split())[:300])
    first = error.errors()[0]
    return visible(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
