"""Results of runs that never were."""

from segue.experiment.results import ModelResult, Results, Slice

PROTOCOL = {
    "name": "session-next",
    "hash": "0123456789ab",
    "fingerprint": "f",
    "headline": ["recall@20", "mrr@20"],
    "ranking": {"candidates": "full", "ties": "served", "metrics": ["recall@20", "mrr@20"]},
    "cases": {"targets": "every-next"},
}
"""What the readers of results take from a protocol."""


def row(label: str, value: float, *, baseline: bool = False, **more: object) -> ModelResult:
    """A row with two metrics and an interval of the first one."""
    return ModelResult(
        model=label,
        label=label,
        baseline=baseline,
        config={},
        metrics={"recall@20": value, "mrr@20": value / 2, "coverage@20": 0.123456},
        confidence={"recall@20": (value - 0.01, value + 0.01)},
        fit_seconds=1.0,
        evaluate_seconds=2.0,
        peak_memory_mb=300.0,
        parameters=12_345,
        latency_ms=value,
    ).model_copy(update=more)


def results(*rows: ModelResult, protocol: dict[str, object] | None = None, **more: object) -> Results:
    """A run whose optional fields are empty, but for those given."""
    stage = {"step": "read", "part": "log", "why": "", "dropped": 0, "events": 1234, "items": 7, "first_time": None}
    told = {**PROTOCOL, **(protocol or {})}
    return Results(
        segue="0.1.0",
        log="clicks",
        seed=3,
        protocol=told,
        data={"test_cases": 4321, "stages": [stage]},
        notes=[],
        models=list(rows) or [row("gru4rec", 0.4)],
        verdicts=[],
    ).model_copy(update=more)


def parts(values: dict[str, float], dimension: str = "session length") -> list[Slice]:
    return [
        Slice(dimension=dimension, label=label, cases=50, metrics={"recall@20": value}, confidence={})
        for label, value in values.items()
    ]
