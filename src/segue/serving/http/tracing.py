"""Spans of OpenTelemetry: one per request, if the environment asks for them."""

import os
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from segue.errors import ParameterError

_EXPORTER, _ENDPOINT = "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_"


class Tracing:
    """Makes spans. Attributes are those of the semantic conventions for HTTP; none names a session.

    Args:
        processors: where spans go.
    """

    def __init__(self, *processors: Any) -> None:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 (an extra)

        self._provider = TracerProvider()
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("segue.serving")

    @classmethod
    def of_environment(cls) -> "Tracing | None":
        """Return what the variables of OpenTelemetry ask for: ``OTEL_TRACES_EXPORTER``, or an endpoint for OTLP.

        Raises:
            ParameterError: an exporter is not installed.
        """
        asked = os.environ.get(_EXPORTER) or any(name.startswith(_ENDPOINT) for name in os.environ)
        names = os.environ.get(_EXPORTER, "otlp").split(",")
        if not asked or names == ["none"]:
            return None
        if find_spec("opentelemetry.sdk" if find_spec("opentelemetry") else "opentelemetry") is None:
            raise ParameterError(
                f"{_EXPORTER}: spans need further packages; install them with: pip install 'segue[otel]'"
            )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 (an extra)

        processors = []
        for name in names:
            found = list(entry_points(group="opentelemetry_traces_exporter", name=name.strip()))
            if not found:
                raise ParameterError(
                    f"{_EXPORTER}: no exporter {name!r} is installed; install otlp with: pip install 'segue[otel]'"
                )
            processors.append(BatchSpanProcessor(found[0].load()()))
        return cls(*processors)

    def record(self, method: str, route: str, status: int, headers: Mapping[bytes, bytes], seconds: float) -> None:
        """Make the span of a request that has just been answered, as a child of its ``traceparent``."""
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 (an extra)
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 (an extra)

        end = time.time_ns()
        carrier = {name: headers.get(name.encode(), b"").decode("latin-1") for name in ("traceparent", "tracestate")}
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        }
        span = self._tracer.start_span(
            f"{method} {route}",
            tracecontext.TraceContextTextMapPropagator().extract(carrier),
            SpanKind.SERVER,
            attributes,
            start_time=end - int(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
