"""``"explain": true``: the answer says why, as the library does, and nothing else changes."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import memory_store, problem, run, serving

import segue
from segue.serving import explaining
from segue.serving.explaining import MAX_WAITING
from segue.serving.models import load_model

KEYS = ["recommendation_id", "session_id", "model", "version", "fallback", "items", "ignored", "events", "took_ms"]
SESSION = ["103", "104", "106"]
ASK = {"items": SESSION, "k": 4}


def same(found: Any, expected: Any) -> None:
    """Compare the JSON of an explanation with that of the library, whose ids are numbers in this log."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for name, value in expected.items():
            same(found[name], [str(one) for one in value] if name == "items" and _ids(value) else value)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    else:
        assert found in (expected, str(expected))


def _ids(value: Any) -> bool:
    return bool(value) and all(isinstance(one, int) for one in value)


@pytest.mark.parametrize("name", ["markov", "v-sknn", "bpr", "gru4rec", "sasrec", "attention-clustering", "two-stage"])
def test_the_answer_explains_as_the_library_does(name: str, artifact: Callable[..., Path], tmp_path: Path) -> None:
    folder = artifact(name)

    async def work() -> tuple[Any, Any]:
        client = await serving({name: folder}, memory_store(), tmp_path)
        await client.post("/v1/events", {"events": [{"session_id": "s", "item": item} for item in SESSION]})
        given = await client.post("/v1/recommend", {**ASK, "explain": True})
        return given, await client.post("/v1/recommend", {"session_id": "s", "k": 4, "explain": True})

    given, stored = run(work())
    model = segue.load(folder)
    upcoming = {"time": "2024-03-08T16:00:00"} if model.upcoming_columns else None
    expected = segue.why(model, SESSION, [one["item"] for one in given["items"]], upcoming=upcoming).to_dict()
    same(given["explanation"], expected)
    assert list(given) == [*KEYS, "explanation"]
    scores = [one["score"] for one in given["items"]]
    assert [one["score"] for one in given["explanation"]["items"]] == pytest.approx(scores, rel=1e-5)
    assert [one["item"] for one in stored["explanation"]["events"]] == SESSION
    if name not in ("sasrec", "two-stage"):  # The times of the stored session are read by some.
        same(stored["explanation"], expected)


def test_blocked_items_are_not_named(artifact: Callable[..., Path], tmp_path: Path) -> None:
    """The parts name the items of similar sessions; among them are items that may not be listed."""
    rules = tmp_path / "rules.yaml"

    async def work(blocked: str) -> set[str]:
        rules.write_text(f"rules: [{{name: gone, block: true, items: {blocked}}}]", encoding="utf-8")
        client = await serving({"v-sknn": artifact("v-sknn")}, memory_store(), tmp_path, rules=rules)
        why = (await client.post("/v1/recommend", {**ASK, "k": 10, "explain": True}))["explanation"]
        return {item for one in why["items"] for part in one["parts"] for item in part["items"]}

    assert {"105", "107"} <= run(work("[999]"))
    # The visitor knows the items of the session.
    assert {"103", "104"} <= (named := run(work("[103, 105, 107]")))
    assert not {"105", "107"} & named


def test_names_are_those_of_the_catalogue(artifact: Callable[..., Path], tmp_path: Path) -> None:
    async def work() -> Any:
        client = await serving({"markov": artifact("markov")}, memory_store(), tmp_path)
        await client.post("/v1/items", {"items": [{"item": item, "name": f"New {item}"} for item in range(100, 130)]})
        return await client.post("/v1/recommend", {**ASK, "explain": True})

    answer = run(work())
    for shown in (answer["items"], answer["explanation"]["items"], answer["explanation"]["events"]):
        assert [one["name"] for one in shown] == [f"New {one['item']}" for one in shown]


def test_answers_without_it_are_as_they_were(call: Callable[..., Any]) -> None:
    plain, false, explained = call(
        ("POST", "/v1/recommend", ASK),
        ("POST", "/v1/recommend", {**ASK, "explain": False}),
        ("POST", "/v1/recommend", {**ASK, "explain": True}),
    )
    for answer in (plain, false):
        assert list(answer.json) == KEYS
        assert b"explanation" not in answer.body
    same_as_ever = [name for name in KEYS if name not in ("recommendation_id", "took_ms")]
    assert {name: plain.json[name] for name in same_as_ever} == {name: explained.json[name] for name in same_as_ever}


def test_each_request_of_a_batch_says_for_itself(call: Callable[..., Any]) -> None:
    asked = [{**ASK, "explain": True}, ASK, {**ASK, "explain": 1}, {"items": ["never"], "k": 2, "explain": True}]
    (answer,) = call(("POST", "/v1/recommend/batch", {"requests": asked}))
    first, second, third, popular = answer.json["results"]
    assert len(first["explanation"]["items"]) == 4
    assert "explanation" not in second
    assert third["errors"] == [{"pointer": "/explain", "detail": "must be true or false, got 1"}]
    found = popular["explanation"]
    assert (found["source"], found["unknown"], found["events"], len(found["items"])) == ("popularity", ["never"], [], 2)


def test_of_a_long_list_the_first_items_are_explained(call: Callable[..., Any]) -> None:
    long, empty = call(
        ("POST", "/v1/recommend", {"items": SESSION * 300, "k": 500, "explain": True}),
        ("POST", "/v1/recommend", {"session_id": "nobody", "k": 2, "explain": True, "consent": False}),
    )
    found = long.json["explanation"]
    assert [one["item"] for one in found["items"]] == [one["item"] for one in long.json["items"]][:20]
    assert (len(found["events"]), found["older"]) == (100, 800)
    assert empty.json["explanation"]["source"] == "popularity"


def test_it_runs_beside_the_event_loop_and_within_the_deadline(
    call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, real = [], explaining.explain

    def slow(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        time.sleep(0.3)
        return real(*given)

    monkeypatch.setattr(explaining, "explain", slow)
    late, plain = call(
        ("POST", "/v1/recommend", {**ASK, "explain": True}), ("POST", "/v1/recommend", ASK), deadline=0.1
    )
    problem(late, 504, "deadline")
    assert plain.status == 200
    assert len(threads) == 1
    assert threads[0].startswith("segue-why")


def test_a_model_is_explained_once_before_it_serves(
    artifact: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no request waits for a compiler."""
    explained: list[str] = []

    def noted(served: Any, *given: Any) -> Any:
        explained.append(served.name)
        return explaining.explain(served, *given)

    monkeypatch.setattr("segue.serving.models.explain", noted)
    load_model("shop", artifact("v-sknn"))
    assert explained == ["shop"]


def test_many_explanations_leave_room_for_rankings(
    markov: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but 16 are refused before events are stored; a request that asks for none is answered."""
    begun = threading.Event()

    def wait(*given: Any) -> Any:
        assert begun.wait(300)
        return explain(*given)

    async def work() -> None:
        client = await serving(markov, memory_store(), tmp_path)
        ask = [client("POST", "/v1/recommend", {**ASK, "explain": True}) for _ in range(MAX_WAITING)]
        waiting = [asyncio.ensure_future(one) for one in ask]
        assert client.app.service is not None
        while client.app.service._explainer._waiting < MAX_WAITING:
            await asyncio.sleep(0.01)
        event = {"session_id": "s", "append": [{"item": "103"}], "k": 2}
        problem(await client("POST", "/v1/recommend", {**event, "explain": True}), 503, "overloaded")
        problem(await client("GET", "/v1/sessions/s"), 404, "not-found")
        await client.post("/v1/recommend", event)
        begun.set()
        assert [one.status for one in await asyncio.gather(*waiting)] == [200] * MAX_WAITING
        await client.post("/v1/recommend", {**event, "explain": True})

    explain = explaining.explain
    monkeypatch.setattr(explaining, "explain", wait)
    run(work())
