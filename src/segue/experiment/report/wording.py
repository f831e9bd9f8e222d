"""How numbers and findings are written, in every report."""

from collections.abc import Sequence
from math import isfinite

from segue.evaluation.linter.checks import Finding
from segue.experiment.results import ModelResult, Results
from segue.metrics import lower_is_better

_SEVERITIES = ("error", "warning", "note")
_FEW = 10


def sampled(results: Results) -> str | None:
    """Return which drawn candidates the figures belong to; None if all items were ranked."""
    candidates: str = results.protocol.get("candidates", "full")
    return None if candidates in ("full", "labeled") else candidates


def headed(metric: str) -> str:
    """Return a metric as the head of a column or picture, which says so where lower values are better."""
    return f"{metric} (lower is better)" if lower_is_better(metric) else metric


def number(value: float | None, decimals: int) -> str:
    """Return a figure with so many decimal places; a dash for none, and for what is no number."""
    return "–" if value is None or not isfinite(value) else f"{value:.{decimals}f}"


def shown(value: object) -> str:
    """Return a statistic as a reader wants to see it."""
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def few(names: Sequence[str]) -> list[str]:
    """Return the first names, and how many more there are."""
    more = len(names) - _FEW
    return list(names) if more <= 0 else [*names[:_FEW], f"and {more} more"]


def part_sizes(rows: Sequence[ModelResult]) -> dict[tuple[str, str], int]:
    """Return the cases of each part, by what tells cases apart and by the part's own name."""
    return {(part.dimension, part.label): part.cases for row in rows for part in row.slices}


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, the gravest first."""
    return sorted(findings, key=lambda finding: _SEVERITIES.index(finding.severity))
