"""`--search`: measured when a model is loaded, shown by the API, and refused where it does not pay."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import memory_store, problem, run, serving
from processes import Process, environment

from segue.errors import SegueError
from segue.models import measured_search
from segue.serving.models import load_model
from segue.serving.schema.messages import Refused


@pytest.fixture
def gru4rec(artifact: Callable[..., Path], tmp_path: Path) -> Path:
    folder = tmp_path / "gru4rec"
    shutil.copytree(artifact("gru4rec"), folder)
    return folder


def speed(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(measured_search, "_speed", lambda *_: value)


def requests(folder: Path, tmp_path: Path, search: str, *calls: Any) -> list[Any]:
    async def work() -> list[Any]:
        client = await serving({"gru4rec": folder}, memory_store(), tmp_path, search=search)
        return [await client(*call) if isinstance(call, tuple) else call() for call in calls]

    return run(work())


def test_the_api_shows_what_a_search_gains(
    gru4rec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    speed(monkeypatch, 2.0)
    ask = ("POST", "/v1/recommend", {"items": ["101", "102"], "k": 5})
    with caplog.at_level("INFO"):
        models, answer = requests(gru4rec, tmp_path, "int8", ("GET", "/v1/models"), ask)
    expected = {"kind": "int8", "speed_1": 2.0, "speed_32": 2.0, "recall_20": 1.0, "reason": None}
    assert models.json["models"][0]["search"] == expected
    assert "gru4rec searches int8: 2.0 times as fast for 1 session, 2.0 times" in caplog.text
    models, exactly = requests(gru4rec, tmp_path, "exact", ("GET", "/v1/models"), ask)
    assert models.json["models"][0]["search"] == {**expected, "kind": "exact", "speed_1": 1.0, "speed_32": 1.0}
    assert [one["item"] for one in answer.json["items"]] == [one["item"] for one in exactly.json["items"]]


def test_auto_says_why_it_searches_exactly(gru4rec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed(monkeypatch, 0.5)
    (models,) = requests(gru4rec, tmp_path, "auto", ("GET", "/v1/models"))
    search = models.json["models"][0]["search"]
    assert (search["kind"], search["reason"]) == ("exact", "int8 is 0.50 times as fast as exact search for 1 session")


def test_a_new_version_for_which_the_search_does_not_pay_is_refused(
    gru4rec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed(monkeypatch, 2.0)
    reload = ("POST", "/v1/models/gru4rec/reload")
    answers = requests(
        gru4rec, tmp_path, "int8", reload, lambda: speed(monkeypatch, 0.5), reload, ("GET", "/v1/models")
    )
    assert answers[0].status == 200
    assert "--search: int8 is 0.50 times as fast" in problem(answers[2], 409, "reload-refused")["detail"]
    assert answers[3].json["models"][0]["search"]["kind"] == "int8"  # The old version.


def test_a_service_does_not_start_with_a_search_that_does_not_pay(
    gru4rec: Path, artifact: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed(monkeypatch, 0.5)
    with pytest.raises(Refused, match=r"--search: int8 is 0.50 times as fast .* \(gru4rec, "):
        requests(gru4rec, tmp_path, "int8")
    with pytest.raises(SegueError, match="--search: must be 'exact' or 'auto' for markov, got 'int8': markov does not"):
        load_model("markov", artifact("markov"), "int8")
    assert load_model("markov", artifact("markov"), "auto").model.search_report.reason is not None


def test_the_command_ends_with_one_message(artifact: Callable[..., Path], tmp_path: Path) -> None:
    process = Process(tmp_path, [artifact("markov")], "--search", "int8", env=environment())
    assert process.process.wait(120) == 2
    (said,) = [line for line in process.log.read_text(encoding="utf-8").splitlines() if line.startswith("error: ")]
    assert "--search: must be 'exact' or 'auto' for markov, got 'int8'" in said
