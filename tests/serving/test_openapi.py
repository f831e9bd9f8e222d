"""The description of the API is true: schemathesis makes requests from it, and every answer is one that it names."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from jsonschema import Draft202012Validator
from live import NOW, memory_store
from schemathesis import checks

from segue.serving.http.access import Tokens
from segue.serving.http.app import App
from segue.serving.models import ModelSet
from segue.serving.service import Service
from segue.serving.settings import ServeSettings
from segue.serving.telemetry import Telemetry

NAMES = {
    "recommend", "recommend_batch", "add_events", "read_session", "delete_session", "list_items", "read_item",
    "similar_items", "change_items", "read_rules", "list_models", "reload_model", "read_liveness", "read_readiness",
    "read_metrics", "read_openapi", "add_exposures", "list_experiments", "delete_user",
}  # fmt: skip
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.allow_header_conformance,
]
LOCAL = {"host": "127.0.0.1"}


@pytest.fixture(scope="module")
def app(artifact: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> App:
    models = {"popular": artifact("popularity")}
    chosen = ServeSettings(models=models, default="popular", state=tmp_path_factory.mktemp("state"), deadline=60.0)
    telemetry = Telemetry()
    app = App(chosen, telemetry, Tokens({}))
    found = ModelSet(models, "popular", ThreadPoolExecutor(1), telemetry)
    found.load("popular")
    app.service = Service(found, memory_store(), telemetry, lambda: float(NOW))
    return app


@pytest.fixture(scope="module")
def schema(app: App) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers=LOCAL)


def test_names_and_statuses(schema: Any) -> None:
    document = schema.raw_schema
    assert document["openapi"] == "3.1.0"
    operations = {one["operationId"]: one for methods in document["paths"].values() for one in methods.values()}
    assert set(operations) == NAMES
    assert " ".join(operations["recommend"]["responses"]) == "200 400 401 403 404 408 413 415 422 500 503 504"
    assert operations["read_liveness"]["security"] == []
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) == known
    for one in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(one)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _references(inner)


@pytest.mark.parametrize(
    "examples", [pytest.param(15, id="short"), pytest.param(160, id="long", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("name", sorted(NAMES - {"read_openapi"}))  # The description itself is left out.
def test_every_answer_is_described(schema: Any, name: str, examples: int) -> None:
    found = {one.ok().definition.raw["operationId"]: one.ok() for one in schema.get_all_operations()}
    operation = found[name]
    raw = operation.definition.raw
    modes = list(schemathesis.GenerationMode) if raw["parameters"] or "requestBody" in raw else [None]
    strategy = st.one_of([operation.as_strategy(**({"generation_mode": mode} if mode else {})) for mode in modes])

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(strategy)
    def call(case: Any) -> None:
        case.call_and_validate(headers=LOCAL, checks=CHECKS)

    call()


@pytest.mark.parametrize("examples", [pytest.param(5, id="short"), pytest.param(40, id="long", marks=pytest.mark.soak)])
def test_sequences_of_requests(schema: Any, examples: int) -> None:
    class Requests(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> Any:
            return {"headers": LOCAL}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    run_state_machine_as_test(
        Requests,
        settings=settings(
            max_examples=examples,
            stateful_step_count=6,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


@pytest.mark.soak
def test_a_generated_client_passes_mypy(app: App, schema: Any, tmp_path: Path) -> None:
    """A client of openapi-python-client, in an environment of its own."""
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(schema.raw_schema), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    packages = ["openapi-python-client", "mypy", "types-python-dateutil"]
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], capture_output=True, check=False)
    if installed.returncode:
        pytest.skip(f"{packages[0]} cannot be installed: {installed.stderr.decode()[-200:]}")
    client = tmp_path / "client"
    config = tmp_path / "config.yaml"
    config.write_text("post_hooks: []", encoding="utf-8")
    generate = [python, "-m", "openapi_python_client", "generate", "--path", document, "--output-path", client]
    made = subprocess.run(
        [*generate, "--meta", "none", "--config", config], capture_output=True, check=False, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning" not in (made.stdout + made.stderr).lower(), made.stdout + made.stderr
    modules = {file.stem for file in client.glob("api/*/*.py")} - {"__init__"}
    assert modules == NAMES
    checked = subprocess.run(
        [python, "-m", "mypy", "--strict", client], capture_output=True, check=False, text=True, cwd=tmp_path
    )
    assert checked.returncode == 0, checked.stdout
