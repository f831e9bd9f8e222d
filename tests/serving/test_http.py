"""Operations over HTTP: their answers, and the mistakes in events, paths and queries."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from live import NOW, pointers, problem

from segue.serving.schema.messages import MAX_BATCH, MAX_EVENTS


class TestAnswers:
    def test_click_and_answer(self, call: Callable[..., Any]) -> None:
        ask = {"session_id": "s", "append": [{"item": 104, "event_id": "e"}], "k": 3, "exclude_seen": True}
        again = {"session_id": "s", "append": [{"item": "104", "event_id": "e"}], "exclude": ["105"]}
        first, second, session = call(
            ("POST", "/v1/recommend", ask), ("POST", "/v1/recommend", again), "/v1/sessions/s"
        )
        found = first.json
        assert [len(found["items"]), found["model"], found["fallback"], found["ignored"]] == [3, "markov", None, []]
        assert found["events"] == [{"status": "accepted", "event_id": "e"}]
        assert set(found["items"][0]) == {"item", "score", "name"}
        assert found["items"][0]["name"] == f"Thing {found['items'][0]['item']}"
        assert "104" not in [one["item"] for one in found["items"]]
        assert [one["status"] for one in second.json["events"]] == ["duplicate"]
        assert "105" not in [one["item"] for one in second.json["items"]]
        assert [one["item"] for one in session.json["events"]] == ["104"]

    @pytest.mark.parametrize(
        ("session", "fallback", "ignored"),
        [
            ({"items": []}, "empty-session", []),
            ({"items": ["no", "no"]}, "unknown-items", [{"item": "no", "why": "unknown"}]),
            ({"items": ["no", "104"]}, None, [{"item": "no", "why": "unknown"}]),
            ({"session_id": "new"}, "empty-session", []),
        ],
    )
    def test_fallbacks(self, call: Callable[..., Any], session: Any, fallback: Any, ignored: Any) -> None:
        (answer,) = call(("POST", "/v1/recommend", session))
        assert (answer.json["fallback"], answer.json["ignored"]) == (fallback, ignored)
        assert len(answer.json["items"]) == 20

    def test_filters(self, call: Callable[..., Any]) -> None:
        filters = [{"category": "shop 1"}, {"category": ["shop 1", "shop 2"]}, {"category": []}, {"category": True}]
        answers = call(*(("POST", "/v1/recommend", {"items": ["104"], "filter": one, "k": 30}) for one in filters))
        listed = [[int(one["item"]) % 3 for one in answer.json["items"]] for answer in answers]
        of_shop = [set(one) for one in listed]
        assert [len(one) for one in of_shop] == [1, 2, 0, 0]
        assert len(listed[0]) == 10
        assert not of_shop[0] - of_shop[1]

    def test_filter_on_an_unknown_column(self, call: Callable[..., Any]) -> None:
        (answer,) = call(("POST", "/v1/recommend", {"items": ["104"], "filter": {"colour": 1}}))
        assert "colour" in pointers(answer)["/filter"]
        assert "category" in pointers(answer)["/filter"]

    def test_batch(self, call: Callable[..., Any]) -> None:
        asks = [{"items": ["104"]}, {"items": ["104"], "model": "no"}, {}, {"items": ["104"], "model": "popular"}]
        (answer,) = call(("POST", "/v1/recommend/batch", {"requests": asks}))
        first, unknown, empty, popular = answer.json["results"]
        assert (first["model"], popular["model"]) == ("markov", "popular")
        assert (unknown["status"], empty["status"]) == (404, 422)
        assert empty["errors"][0]["pointer"] == "/session_id"

    def test_mistakes_in_a_request_of_a_batch_concern_it_alone(self, call: Callable[..., Any]) -> None:
        asks = [{"items": ["104"], "k": 0}, {"items": ["104"], "k": 2}, {"itmes": []}, {"items": []}]
        (answer,) = call(("POST", "/v1/recommend/batch", {"requests": asks}))
        first, right, second, empty = answer.json["results"]
        assert (answer.status, first["status"], second["status"]) == (200, 422, 422)
        assert [one["pointer"] for one in first["errors"]] == ["/k"]
        assert [one["pointer"] for one in second["errors"]] == ["/itmes"]
        assert (len(right["items"]), empty["fallback"]) == (2, "empty-session")

    def test_a_batch_has_a_bound(self, call: Callable[..., Any]) -> None:
        (answer,) = call(("POST", "/v1/recommend/batch", {"requests": [{"items": []}] * (MAX_BATCH + 1)}))
        assert "/requests" in pointers(answer)

    def test_items(self, call: Callable[..., Any]) -> None:
        pages, cursor = [], ""

        def after(path: str) -> Any:
            (answer,) = call(path)
            return answer.json

        for _ in range(4):
            page = after(f"/v1/items?limit=8{cursor}")
            pages += page["items"]
            cursor = f"&cursor={page['cursor']}"
        assert page["cursor"] is None
        assert sorted(int(one["item"]) for one in pages) == list(range(100, 130))
        assert [one["item"] for one in after("/v1/items?search=HING%20117")["items"]] == ["117"]
        shop = next(one["metadata"]["category"] for one in pages if one["item"] == "117")
        item, similar, none = call("/v1/items/117", "/v1/items/117/similar?k=4", "/v1/items/nothing")
        assert item.json == {"item": "117", "name": "Thing 117", "metadata": {"name": "Thing 117", "category": shop}}
        assert len(similar.json["items"]) == 4
        assert "117" not in [one["item"] for one in similar.json["items"]]
        problem(none, 404, "not-found")

    def test_models_health_and_metrics(self, call: Callable[..., Any]) -> None:
        models, live, ready, metrics, reload = call(
            "/v1/models", "/health/live", "/health/ready", "/metrics", ("POST", "/v1/models/popular/reload")
        )
        assert [(one["name"], one["default"], one["items"]) for one in models.json["models"]] == [
            ("markov", True, 30),
            ("popular", False, 30),
        ]
        assert live.json == ready.json == {"status": "ok", "problems": []}
        assert b'segue_model_info{model="markov",version="sha256:' in metrics.body
        assert reload.json == models.json["models"][1]

    def test_head(self, call: Callable[..., Any]) -> None:
        got, head = call("/v1/items/117", ("HEAD", "/v1/items/117"))
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(got.body))


class TestEvents:
    def test_a_bad_event_holds_up_no_other(self, call: Callable[..., Any]) -> None:
        events = [
            {"session_id": "s", "item": "104", "event_id": "a"},
            {"session_id": "s", "item": "104", "event_id": "a"},
            {"session_id": "s", "item": "105", "event_id": "a"},
            {"session_id": "s", "item": "104", "event_id": "late", "time": NOW - 100},
            {"session_id": "s", "item": "104", "event_id": "ahead", "time": NOW + 100},
            {"session_id": "s", "item": "104", "event_id": "no", "consent": False},
            {"session_id": "s", "itme": "104"},
            {"session_id": "s", "item": "é" * 200},
            {"session_id": "s", "item": "104", "time": "yesterday"},
            {"session_id": "s", "item": "104", "context": {"a": {}}},
            {"session_id": "", "item": "104"},
            17,
        ]
        answer, session = call(("POST", "/v1/events", {"events": events, "durable": True}), "/v1/sessions/s")
        found = answer.json
        assert [one["status"] for one in found["results"]] == [
            *("accepted", "duplicate", "conflict", "accepted", "accepted", "ignored"),
            *["refused"] * 6,
        ]
        assert [one.get("clamped", False) for one in found["results"]].index(True) == 4
        assert (found["accepted"], found["duplicate"], found["refused"], found["durable"]) == (3, 1, 7, True)
        places = [one["errors"][0]["pointer"] for one in found["results"][6:]]
        assert places == [
            "/events/6/itme",
            "/events/7/item",
            "/events/8/time",
            "/events/9/context/a",
            "/events/10/session_id",
            "/events/11",
        ]
        assert [one["event_id"] for one in session.json["events"]] == ["late", "a", "ahead"]
        assert session.json["events"][2]["time"] == session.json["events"][1]["time"]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"events": [{"item": "1", "session_id": "s"}] * (MAX_EVENTS + 1)}, "/events"),
            ({"events": []}, "/events"),
            ({"events": [{"item": "1", "session_id": "s"}, 3], "durable": 1}, "/durable"),
            ({"events": [3], "other": 1}, "/other"),
            ({}, "/events"),
            ([], ""),
        ],
    )
    def test_mistakes_outside_of_the_events(self, call: Callable[..., Any], body: Any, pointer: str) -> None:
        answer, session = call(("POST", "/v1/events", body), "/v1/sessions/s")
        assert list(pointers(answer))[-1] == pointer
        problem(session, 404, "not-found")

    def test_without_consent_nothing_is_there(self, call: Callable[..., Any]) -> None:
        ask = {"session_id": "s", "append": [{"item": "104"}], "consent": False}
        answer, session = call(("POST", "/v1/recommend", ask), "/v1/sessions/s")
        assert (answer.json["session_id"], answer.json["events"]) == (
            None,
            [{"status": "ignored", "detail": "without consent nothing is stored"}],
        )
        assert answer.json["fallback"] is None  # The events of the request still count.
        problem(session, 404, "not-found")

    def test_a_deleted_session_stays_deleted(self, call: Callable[..., Any]) -> None:
        add = ("POST", "/v1/events", {"events": [{"session_id": "s", "item": "104"}]})
        delete = ("DELETE", "/v1/sessions/s")
        _, deleted, again, added, session = call(add, delete, delete, add, "/v1/sessions/s")
        assert (deleted.status, deleted.body, again.status) == (204, b"", 204)
        assert "content-length" not in deleted.headers
        assert added.json["results"] == [{"status": "refused", "detail": "the session was deleted"}]
        problem(session, 404, "not-found")


class TestPaths:
    IDS = ("a/b", "a?b", "a#b", "..", ".", "a%2Fb", "ключ", "a b", "a+b", "a;b=c", "[", "\U0001f600")

    @pytest.mark.parametrize("session", IDS)
    def test_any_id_in_a_path(self, call: Callable[..., Any], session: str) -> None:
        add = ("POST", "/v1/events", {"events": [{"session_id": session, "item": "104"}]})
        path = f"/v1/sessions/{quote(session, safe='')}"
        _, found, deleted, none = call(add, path, ("DELETE", path), path)
        assert found.json["session_id"] == session
        assert (deleted.status, none.status) == (204, 404)

    @pytest.mark.parametrize("name", ["%00", "%0a", "%C2%85", "%ff", "%ed%a0%80", "x" * 257, "%C3%A9" * 129, "%c3"])
    def test_what_is_no_id(self, call: Callable[..., Any], name: str) -> None:
        session, deleted, item, reload = call(
            f"/v1/sessions/{name}",
            ("DELETE", f"/v1/sessions/{name}"),
            f"/v1/items/{name}",
            ("POST", f"/v1/models/{name}/reload"),
        )
        assert list(pointers(session)) == list(pointers(deleted)) == ["/session_id"]
        assert list(pointers(item)) == ["/item"]
        assert list(pointers(reload)) == ["/name"]
        assert all(len(one.body) < 1000 for one in (session, deleted, item, reload))

    @pytest.mark.parametrize(
        "path",
        ["/", "", "/v1", "/v1/", "/v1/sessions", "/v1/sessions/", "/v1/sessions/a/b", "//v1/models", "/v1/models/",
         "/v1/models/../../etc/passwd", "/V1/models", "/v1/items//similar", "/health", "/docs", "/%76%31/models", "*"],
    )  # fmt: skip
    def test_unknown_paths(self, call: Callable[..., Any], path: str) -> None:
        problem(call(path)[0], 404, "not-found")

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("GET", "/v1/recommend", "POST"),
            ("POST", "/v1/models", "GET, HEAD"),
            ("PUT", "/v1/items", "GET, HEAD, POST"),
            ("PUT", "/v1/sessions/a", "DELETE, GET, HEAD"),
            ("OPTIONS", "/v1/events", "POST"),
            ("TRACE", "/health/live", "GET, HEAD"),
        ],
    )
    def test_other_methods(self, call: Callable[..., Any], method: str, path: str, allow: str) -> None:
        (answer,) = call((method, path))
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allow

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("limit=0", "/limit"), ("limit=201", "/limit"), ("limit=1e1", "/limit"), ("limit=", "/limit"),
            ("limit=1&limit=2", ""), ("page=2", "/page"), ("search=%ff", ""), ("cursor=abc", "/cursor"),
            ("cursor=LTU%3D", "/cursor"), ("cursor=", "/cursor"), ("cursor=MDU%3D", "/cursor"),
            ("&".join("abcdefghijklmnopqrstuvw"), ""),
            (f"{'x' * 5000}=1", f"/{'x' * 64}"), ("limit=%D9%A3", "/limit"),
        ],
    )  # fmt: skip
    def test_mistakes_in_a_query(self, call: Callable[..., Any], query: str, pointer: str) -> None:
        (answer,) = call(f"/v1/items?{query}")
        assert list(pointers(answer)) == [pointer]
        assert len(answer.body) < 1000

    def test_queries_of_operations_without_parameters(self, call: Callable[..., Any]) -> None:
        post, model, probe = call(
            ("POST", "/v1/recommend?k=3", {"items": []}), "/v1/items?model=no", "/health/live?probe=1"
        )
        assert list(pointers(post)) == ["/k"]
        problem(model, 404, "unknown-model")
        assert probe.status == 200
