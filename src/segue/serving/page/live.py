"""How the service does: rate, latencies and errors of the last minutes, the store, and the models."""

import os
import time
from collections import defaultdict
from typing import Any

import numpy as np

from segue.serving.ranking import Fallback
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.telemetry import Telemetry

SPAN, STEP = 300, 2
"""Seconds that are shown, and seconds of one point."""

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_COUNTERS = {
    "segue_recommendations_total": "answers",
    "segue_fallbacks_total": "fallbacks",
    "segue_unknown_items_total": "unknown_items",
}

_EXPECTED: Fallback = "empty-session"
"""The fallback that is no fault: there is nothing to rank by yet."""


class Live:
    """Reads the metrics of this process.

    Args:
        settings: the settings of the service.
        telemetry: the metrics, which keep recent requests.
    """

    def __init__(self, settings: ServeSettings, telemetry: Telemetry) -> None:
        self._settings, self._telemetry, self._start = settings, telemetry, time.monotonic()

    def read(self, service: Service) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        store, samples = service.store, self._samples()
        counts: dict[str, dict[str, float]] = defaultdict(dict)
        arms: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
        experiments = service.experiments
        if experiments is not None:
            split = experiments.split
            for arm, about in split.experiment.arms.items():
                arms[split.experiment.name, arm] = {"model": about.model, "share": split.shares[arm]}
        plain: dict[str, float] = {}
        events: dict[str, float] = {}
        for name, labels, value in samples:
            if "arm" in labels:
                arms[labels.get("experiment", ""), labels["arm"]][name.removeprefix("segue_").removeprefix("arm_")] = (
                    value
                )
            elif name in _COUNTERS and "model" in labels and labels.get("reason") != _EXPECTED:
                found = counts[labels["model"]]
                found[_COUNTERS[name]] = found.get(_COUNTERS[name], 0) + value
            elif name == "segue_events_total":
                events[labels["status"]] = value
            elif not labels:
                plain[name] = value
        return {
            "process": os.getpid(),
            "workers": self._settings.workers,
            "uptime": round(time.monotonic() - self._start, 1),
            **self._recent(),
            "in_flight": int(plain.get("segue_requests_in_flight", 0)),
            "max_in_flight": self._settings.max_in_flight,
            "shed": int(plain.get("segue_requests_shed_total", 0)),
            "events": events,
            "store": {
                "kind": self._settings.store_kind,
                "problem": store.problem,
                "warning": store.warning,
                "lag": round(store.lag, 3),
            },
            "models": [
                {
                    "name": name,
                    "model": ranker.served.model.name,
                    "version": ranker.served.version,
                    "default": name == service.models.default,
                    "ms": round(1000 * ranker.served.seconds, 2),
                    "waiting": ranker.waiting,
                    "problem": service.models.problems.get(name),
                    **dict.fromkeys(_COUNTERS.values(), 0),
                    **counts[name],
                }
                for name, ranker in list(service.models.rankers.items())
            ],
            "arms": [{"experiment": key[0], "arm": key[1], **values} for key, values in sorted(arms.items())],
            "experiment_problem": getattr(experiments, "problem", None),
        }

    def _samples(self) -> list[tuple[str, dict[str, str], float]]:
        return [
            (one.name, one.labels, one.value)
            for family in self._telemetry.registry.collect()
            if family.type != "histogram"
            for one in family.samples
        ]

    def _recent(self) -> dict[str, Any]:
        """Return the series of the last minutes, and the figures of the last one; None for forgotten points."""
        assert self._telemetry.recent is not None
        now = time.monotonic()
        end = now // STEP * STEP  # Points keep their values while they move to the left.
        begin = end - SPAN
        kept = self._telemetry.recent.begin
        times, seconds, status = self._telemetry.recent.since(begin)
        bounds = np.searchsorted(times, begin + STEP * np.arange(SPAN // STEP + 1))
        errors = np.concatenate([[0], np.cumsum(status >= 500)])
        series: dict[str, list[float | None]] = {"rate": [], "errors": [], **{name: [] for name in _QUANTILES}}
        for place, (low, high) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            if begin + STEP * place < kept:
                for values in series.values():
                    values.append(None)
                continue
            series["rate"].append((high - low) / STEP)
            series["errors"].append(int(errors[high] - errors[low]) / STEP)
            for name, value in _quantiles(seconds[low:high]).items():
                series[name].append(value)
        last = times >= now - 60
        covered = min(60.0, now - max(self._start, kept))
        minute = {
            "requests": int(last.sum()),
            "rate": round(float(last.sum()) / max(covered, 1.0), 3),
            "errors": int((status[last] >= 500).sum()),
            "refused": int(((status[last] >= 400) & (status[last] < 500)).sum()),
            **_quantiles(seconds[last]),
        }
        return {"now": time.time(), "span": SPAN, "step": STEP, "series": series, "minute": minute}


def _quantiles(seconds: Any) -> dict[str, float | None]:
    """Return quantiles in milliseconds; None where there are no requests."""
    if not len(seconds):
        return dict.fromkeys(_QUANTILES)
    values = np.quantile(seconds, list(_QUANTILES.values()), method="inverted_cdf")
    return {name: round(1000 * float(value), 3) for name, value in zip(_QUANTILES, values, strict=True)}
