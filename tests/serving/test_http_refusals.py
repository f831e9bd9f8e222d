"""What is refused, and what holds for every answer."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import Answer, Client, memory_store, problem, run, serving

from segue.serving.stores import StoreUnavailableError


class TestRefusals:
    def test_body(self, call: Callable[..., Any]) -> None:
        path, large = "/v1/recommend", b'{"items": [' + b"1, " * 100_000 + b"1]}"
        answers = call(
            ("POST", path, None, None), ("POST", path, [], {"content-type": "text/plain"}),
            ("POST", path, [], {"content-type": "application/jsonx"}),
        )  # fmt: skip
        for answer in answers:
            problem(answer, 415, "unsupported-media-type")

        async def send(**given: Any) -> Answer:
            return await client("POST", path, **given)

        async def work() -> None:
            nonlocal client
            client = await serving(self.models, memory_store(), self.folder)
            problem(await send(raw=large), 413, "body-too-large")
            problem(await send(raw=large, headers={"content-length": "0"}), 413, "body-too-large")
            for length in ("99999999999999999999999", "-1", "x"):
                problem(await send(raw=b"{}", headers={"content-length": length}), 413, "body-too-large")
            problem(await send(raw=b"{"), 400, "malformed-json")
            answer = await send(raw=b'{"items": []}', headers={"content-type": "Application/JSON; charset=utf-8"})
            assert answer.status == 200

        client: Any = None
        run(work())

    @pytest.fixture(autouse=True)
    def _given(self, markov: dict[str, Path], tmp_path: Path) -> None:
        self.models, self.folder = markov, tmp_path

    def test_a_slow_body(self, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("segue.serving.http.app.BODY_SECONDS", 0.05)

        async def work() -> Answer:
            client = await serving(self.models, memory_store(), self.folder)
            return await client("POST", "/v1/recommend", {"items": []}, slow=True)

        answer = run(work())
        problem(answer, 408, "slow-body")
        assert answer.headers["connection"] == "close"

    def test_starting(self, call: Callable[..., Any]) -> None:
        def not_yet(client: Client) -> None:
            client.app.service = None

        ask, ready, live, metrics = call(
            ("POST", "/v1/recommend", {"items": []}), "/health/ready", "/health/live", "/metrics", before=not_yet
        )
        problem(ask, 503, "starting")
        assert ask.headers["retry-after"] == "1"
        assert (ready.status, ready.json["status"]) == (503, "starting")
        assert (live.status, metrics.status) == (200, 200)

    def test_stopping(self, call: Callable[..., Any]) -> None:
        def stop(client: Client) -> None:
            client.app.stopping = True

        ready, ask = call("/health/ready", ("POST", "/v1/recommend", {"items": []}), before=stop)
        assert (ready.status, ready.json["status"]) == (503, "stopping")
        assert (ask.status, ask.headers["connection"]) == (200, "close")

    def test_overload(self, call: Callable[..., Any]) -> None:
        def full(client: Client) -> None:
            client.app.admission.answering.number = 2

        ask, live = call(("POST", "/v1/recommend", {"items": []}), "/health/live", before=full, max_in_flight=2)
        problem(ask, 503, "overloaded")
        assert (ask.headers["retry-after"], live.status) == ("1", 200)

    def test_deadline(self, call: Callable[..., Any]) -> None:
        def stuck(client: Client) -> None:
            async def never(*_: Any) -> None:
                await asyncio.sleep(60)

            assert client.app.service is not None
            client.app.service.store.read = never  # type: ignore[method-assign, assignment]

        (answer,) = call(("POST", "/v1/recommend", {"session_id": "s"}), before=stuck, deadline=0.05)
        problem(answer, 504, "deadline")

    def test_what_may_take_longer_than_the_deadline(self, call: Callable[..., Any]) -> None:
        reload, deleted = call(("POST", "/v1/models/markov/reload"), ("DELETE", "/v1/sessions/s"), deadline=1e-9)
        assert (reload.status, deleted.status) == (200, 204)

    def test_a_store_that_does_not_work(self, call: Callable[..., Any]) -> None:
        def broken(client: Client) -> None:
            async def fail(*_: Any) -> None:
                raise StoreUnavailableError("the disk is full")

            assert client.app.service is not None
            store = client.app.service.store
            for name in ("read", "append", "delete", "committed"):
                setattr(store, name, fail)
            store.__class__ = type("Full", (type(store),), {"problem": "the disk is full"})

        event = {"events": [{"session_id": "s", "item": "104"}]}
        *refused, ready, given = call(
            ("POST", "/v1/recommend", {"session_id": "s"}), ("POST", "/v1/events", event), "/v1/sessions/s",
            ("DELETE", "/v1/sessions/s"), "/health/ready", ("POST", "/v1/recommend", {"items": ["104"]}), before=broken,
        )  # fmt: skip
        for answer in refused:
            problem(answer, 503, "store-unavailable")
            assert answer.headers["retry-after"] == "1"
        assert (ready.status, ready.json["problems"]) == (503, ["the session store does not work: the disk is full"])
        assert given.status == 200

    def test_a_failure_of_our_own_says_nothing_of_the_session(
        self, call: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(client: Client) -> None:
            async def fail(session_id: str) -> None:
                raise KeyError(session_id)

            assert client.app.service is not None
            client.app.service.store.read = fail  # type: ignore[method-assign, assignment]

        (answer,) = call(("POST", "/v1/recommend", {"session_id": "very-secret"}), before=broken)
        problem(answer, 500, "internal-error")
        assert "KeyError" in caplog.text
        assert "in fail" in caplog.text
        assert "very-secret" not in caplog.text + answer.body.decode()

    def test_a_reload_that_is_refused(self, call: Callable[..., Any]) -> None:
        def damage(client: Client) -> None:
            folders = client.app.service.models.folders  # type: ignore[union-attr]
            client.app.service.models.folders = {**folders, "popular": Path("/nowhere")}  # type: ignore[union-attr]

        reload, unknown, ready, models, ask = call(
            ("POST", "/v1/models/popular/reload"), ("POST", "/v1/models/no/reload"), "/health/ready", "/v1/models",
            ("POST", "/v1/recommend", {"items": [], "model": "popular"}), before=damage,
        )  # fmt: skip
        assert "/nowhere" in problem(reload, 409, "reload-refused")["detail"]
        problem(unknown, 404, "unknown-model")
        assert (ready.status, "popular: " in ready.json["problems"][0]) == (200, True)
        assert "/nowhere" in models.json["models"][1]["problem"]
        assert ask.status == 200


def test_headers_of_every_answer(call: Callable[..., Any]) -> None:
    for answer in call("/v1/models", "/nowhere", ("POST", "/v1/recommend"), ("DELETE", "/v1/sessions/s")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("é", False), ("", False)]
)
def test_request_ids(call: Callable[..., Any], given: str, kept: bool) -> None:
    (answer,) = call(("GET", "/nowhere", None, {"x-request-id": given}))
    assert (answer.headers["x-request-id"] == given) == kept
    assert len(answer.headers["x-request-id"]) <= 64
    assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"]


def test_only_what_has_consent_is_logged(call: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """A request that cannot be read gave none."""
    event, ask = {"session_id": "s", "item": "104"}, {"items": ["104"]}
    batch = [{"requests": [ask, {**ask, **more}]} for more in ({}, {"consent": False}, {"k": 0, "consent": False})]
    sent = {
        "/v1/recommend": [ask, ask | {"model": "no"}, ask | {"consent": False}, ask | {"k": 0, "consent": False}, 3],
        "/v1/recommend/batch": batch,
        "/v1/events": [
            {"events": [event, event]},
            {"events": [event, {**event, "consent": False}]},
            {"events": [event, {**event, "consent": False, "itme": 1}]},
            {"events": [{**event, "consent": False}], "durable": 1},
        ],
    }
    caplog.set_level("INFO", "segue.serving")
    call(*(("POST", path, one) for path, contents in sent.items() for one in contents), access_log=True)
    logged = [(one.route, one.status) for one in caplog.records if one.message == "request"]  # type: ignore[attr-defined]
    assert logged == [
        ("/v1/recommend", 200), ("/v1/recommend", 404), ("/v1/recommend/batch", 200), ("/v1/events", 200)
    ]  # fmt: skip
