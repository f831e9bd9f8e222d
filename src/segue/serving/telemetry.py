"""What a service counts and measures, for Prometheus."""

import time
from array import array
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from segue.serving.sessions import Status

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)

_SMOOTHING = 0.02


class Recent:
    """The last requests of the API, for figures of the last minutes: a ring of 262,144, at 0.3 us a request."""

    SIZE = 1 << 18

    def __init__(self) -> None:
        self._times, self._seconds = array("d", bytes(8 * self.SIZE)), array("d", bytes(8 * self.SIZE))
        self._status = array("h", bytes(2 * self.SIZE))
        self._count = 0

    def add(self, status: int, seconds: float) -> None:
        """Note an answered request."""
        place = self._count & (self.SIZE - 1)
        self._times[place], self._seconds[place], self._status[place] = time.monotonic(), seconds, status
        self._count += 1

    @property
    def begin(self) -> float:
        """Moment since which all requests are kept, by the monotonic clock."""
        return 0.0 if self._count <= self.SIZE else self._times[self._count & (self.SIZE - 1)]

    def since(self, moment: float) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
        """Return the times, by the monotonic clock, the durations and the status of the requests after a moment."""
        count = min(self._count, self.SIZE)
        times, seconds = (np.array(one[:count], dtype=np.float64) for one in (self._times, self._seconds))
        later = np.flatnonzero(times >= moment)
        later = later[np.argsort(times[later], kind="stable")]
        return times[later], seconds[later], np.array(self._status[:count], dtype=np.int64)[later]


class Telemetry:
    """Metrics of one process. No session, item or event is named in them.

    Attributes:
        seconds_per_session: recent average time to rank one session.
        recent: the last requests; None keeps none.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "segue_request_duration_seconds",
            "Time from the arrival of a request to the end of its answer.",
            ("route", "status"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._shed = Counter("segue_requests_shed", "Requests refused for overload.", registry=registry)
        self._events = Counter(
            "segue_events", "Events received, by what became of them.", ("status",), registry=registry
        )
        self._fallbacks = Counter(
            "segue_fallbacks", "Answers of popular items, by reason.", ("model", "reason"), registry=registry
        )
        self._unknown = Counter(
            "segue_unknown_items", "Items of sessions that the model does not know.", ("model",), registry=registry
        )
        self._answers = Counter("segue_recommendations", "Sessions ranked.", ("model",), registry=registry)
        self._arms = Counter("segue_arm_answers", "Answers by arm.", ("experiment", "arm"), registry=registry)
        self._batch = Histogram(
            "segue_batch_sessions", "Sessions ranked at once.", buckets=(1, 2, 4, 8, 16, 32), registry=registry
        )
        self._ranking = Histogram(
            "segue_ranking_seconds", "Time to rank the sessions of a batch.", buckets=_BUCKETS, registry=registry
        )
        self._store = Histogram(
            "segue_store_seconds",
            "Time to read or change the session of a request.",
            buckets=(0.0001, 0.0002, 0.0005, *_BUCKETS),
            registry=registry,
        )
        self.seconds_per_session = 0.0
        self.recent: Recent | None = None
        self._version = Gauge("segue_model_info", "Version of each model.", ("model", "version"), registry=registry)
        self._reloads = Counter("segue_reloads", "Attempts to load a model.", ("model", "result"), registry=registry)
        self._versions: dict[str, str] = {}
        self._children: dict[tuple[Counter | Histogram, *tuple[str, ...]], Any] = {}

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Measure something each time the metrics are read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def _labelled(self, metric: Counter | Histogram, *values: str) -> Any:
        """Return a metric with values of its labels, without the search by which the library finds it."""
        child = self._children.get((metric, *values))
        if child is None:
            child = self._children[metric, *values] = metric.labels(*values)
        return child

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._labelled(self._seconds, route, str(status)).observe(seconds)
        if self.recent is not None and route.startswith("/v1"):
            self.recent.add(status, seconds)

    def shed(self) -> None:
        """Count a request that was refused for overload."""
        self._shed.inc()

    def events(self, statuses: Iterable[Status]) -> None:
        """Count events."""
        for status in statuses:
            self._labelled(self._events, status).inc()

    def ranked(self, model: str, fallback: str | None, unknown: int) -> None:
        """Count an answer.

        Args:
            model: name of the model.
            fallback: why the model did not rank the items; None if it did.
            unknown: items of the session that the model does not know.
        """
        self._labelled(self._answers, model).inc()
        if fallback is not None:
            self._labelled(self._fallbacks, model, fallback).inc()
        if unknown:
            self._labelled(self._unknown, model).inc(unknown)

    def arm(self, experiment: str, arm: str) -> None:
        """Count an answer of an arm of an experiment; of two interleaved arms, as ``a + b``."""
        self._labelled(self._arms, experiment, arm).inc()

    def batch(self, size: int, seconds: float) -> None:
        """Count sessions that were ranked at once."""
        self._batch.observe(size)
        self._ranking.observe(seconds)
        self.seconds_per_session += _SMOOTHING * (seconds / size - self.seconds_per_session)

    def stored(self, seconds: float) -> None:
        """Measure the store."""
        self._store.observe(seconds)

    def loaded(self, model: str, version: str) -> None:
        """Note the version of a model."""
        if model in self._versions:
            self._version.remove(model, self._versions[model])
        self._versions[model] = version
        self._version.labels(model, version).set(1)
        self._reloads.labels(model, "loaded").inc()

    def refused(self, model: str) -> None:
        """Count a model that was not loaded."""
        self._reloads.labels(model, "refused").inc()

    def text(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
