"""A span per request, as a child of the caller's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import memory_store, run, serving

from segue.errors import ParameterError
from segue.serving.http.tracing import Tracing

sdk = pytest.importorskip("opentelemetry.sdk.trace.export")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_spans(artifact: Callable[..., Path], tmp_path: Path) -> None:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    tracing = Tracing(sdk.SimpleSpanProcessor(exporter))

    async def work() -> None:
        client = await serving({"popular": artifact("popularity")}, memory_store(), tmp_path)
        client.app.tracing = tracing
        await client("GET", "/v1/sessions/secret", headers={"traceparent": TRACE})
        await client("POST", "/v1/recommend", {"items": ["104"], "consent": False})
        client.app.service = None
        await client("POST", "/v1/recommend", {"items": ["104"]}, {"traceparent": "nonsense"})

    run(work())
    found, starting = exporter.get_finished_spans()
    assert found.name == "GET /v1/sessions/{session_id}"
    assert found.attributes["http.response.status_code"] == 404
    assert f"{found.context.trace_id:032x}" == TRACE.split("-")[1]
    assert f"{found.parent.span_id:016x}" == TRACE.split("-")[2]
    assert found.end_time > found.start_time
    assert (starting.parent, starting.status.is_ok, found.status.is_ok) == (None, False, True)
    assert "secret" not in found.to_json()


@pytest.mark.parametrize(
    ("variables", "there"),
    [({}, False), ({"OTEL_TRACES_EXPORTER": "none"}, False), ({"OTEL_TRACES_EXPORTER": "console"}, True)],
)
def test_the_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any], there: bool) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tracing = Tracing.of_environment()
    assert (tracing is not None) == there
    if tracing is not None:
        tracing.close()


def test_an_exporter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "smoke")
    with pytest.raises(ParameterError, match=r"no exporter 'smoke' is installed.*segue\[otel\]"):
        Tracing.of_environment()
