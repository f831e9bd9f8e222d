"""What has no consent, and what was deleted, is nowhere: the files, logs, metrics and answers are searched for it."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from processes import Process

NO_CONSENT, DELETED, KEPT = "nobody-knows-me-4711", "forget-me-0815", "stay-with-us-42"
PARTS = ("session", "event", "recommendation")


def ids(person: str) -> list[str]:
    return [f"{part}-{person}" for part in PARTS]


def click(person: str, item: str = "104", **more: Any) -> dict[str, Any]:
    session, event, recommendation = ids(person)
    return {"session_id": session, "item": item, "event_id": f"{event}-{item}",
            "recommendation_id": recommendation, **more}  # fmt: skip


@pytest.fixture(scope="module")
def left(artifact: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What is left after a run: contents by name."""
    folder = tmp_path_factory.mktemp("privacy")
    answers = []
    with Process(folder, [artifact("popularity")], "--access-log", "--journal-seconds", "0.3") as process:

        def post(path: str, content: Any) -> Any:
            status, answer = process.post(path, content)
            if status >= 400:  # A good answer repeats the ids of the events to their sender.
                answers.append(json.dumps(answer))
            return status, answer

        for person in (DELETED, KEPT):
            post("/v1/events", {"events": [click(person), click(person, "105")], "durable": True})
            ask = {"session_id": ids(person)[0], "append": [click(person, "106")]}
            del ask["append"][0]["session_id"]
            post("/v1/recommend", ask)
        process.wait_until(lambda: len(list((folder / "state").rglob("*.parquet"))) >= 2)
        post("/v1/recommend", {"session_id": ids(DELETED)[0]})  # Some rows are in files, and some wait for one.

        session, *others = ids(NO_CONSENT)
        append = [{name: value for name, value in click(NO_CONSENT).items() if name != "session_id"}]
        refused = click(NO_CONSENT, consent=False, time="no")
        bodies = {
            "/v1/recommend": [
                {"session_id": session, "append": append, "consent": False},
                {"session_id": session, "append": [{**append[0], "itme": 1}], "consent": False},
                {"session_id": session, "append": [{**append[0], "event_id": "\x00" + others[0]}], "consent": False},
                {"session_id": [session], "append": append, "consent": False},
                {"session_id": session, "items": [], "consent": False},
                [session],
            ],
            "/v1/events": [{"events": [click(NO_CONSENT, consent=False), refused, [session]], "durable": True}],
        }
        for path, contents in bodies.items():
            for content in contents:
                post(path, content)
        batch = {"requests": bodies["/v1/recommend"][:1]}
        assert post("/v1/recommend/batch", batch)[1]["results"][0]["fallback"] is None
        assert process.get(f"/v1/sessions/{session}")[0] == 404

        forgotten = ids(DELETED)[0]
        assert process.request("DELETE", f"/v1/sessions/{forgotten}", None)[0] == 204
        late = post("/v1/events", {"events": [click(DELETED, "107")]})[1]["results"][0]
        assert (late["status"], late["detail"]) == ("refused", "the session was deleted")
        assert post("/v1/recommend", {"session_id": ids(KEPT)[0]})[0] == 200
        with process.connect() as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            metrics = connection.makefile("rb").read()
        before = _contents(folder / "state", "running: ")
    database = sqlite3.connect(folder / "state" / "sessions.sqlite")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert len(answers) > 3
    return {
        "log": process.log.read_bytes(),
        "metrics": metrics,
        "answers": "\n".join(answers).encode(),
        **before,
        **_contents(folder / "state", ""),
    }


def _contents(folder: Path, prefix: str) -> dict[str, bytes]:
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            name = f"{prefix}{file.relative_to(folder)}"
            found[name] = file.read_bytes()
            if file.suffix == ".parquet":
                found[f"{name} as text"] = str(pl.read_parquet(file).to_dicts()).encode()
    return found


@pytest.mark.parametrize("person", [NO_CONSENT, DELETED])
def test_nothing_is_left(left: dict[str, bytes], person: str) -> None:
    for name, content in left.items():
        assert person.encode() not in content, name


def test_others_are_still_there(left: dict[str, bytes]) -> None:
    """The search would find an id: those who stay are in the database and the files, and not in logs and metrics."""
    assert KEPT.encode() in left["sessions.sqlite"]
    kinds = {name.split("/")[0] for name, content in left.items() if "as text" in name and KEPT.encode() in content}
    assert kinds >= {"events", "exposures"}
    assert len(left["log"].splitlines()) > 5
    for name in ("log", "metrics"):
        assert KEPT.encode() not in left[name]
        assert b"segue" in left[name] or name == "log"
