"""Learning beside serving: what is learnt, verified, refused and swapped in."""

import json
import logging
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from command_line import segue as command
from processes import Process

import segue
from segue import live_updates
from segue.artifact import Artifact
from segue.errors import ParameterError, SegueError
from segue.live_updates import check, update
from segue.serving.journal import Journal, event_row
from segue.serving.sessions import Event
from segue.serving.settings import ServeSettings
from segue.serving.supervisor import Supervisor
from segue.serving.updates import UpdateTimer
from segue.serving.versions import Versions
from segue.serving.worker import Worker

START = 1_700_000_000
HOUR = 3_600


def walks(first: int, count: int, begin: int, step: int, prefix: str = "s") -> list[tuple[str, int, int]]:
    """Make sessions that walk around a circle of 20 items, one a minute: session, item and time of each event."""
    rng = np.random.default_rng(first)
    starts = rng.integers(0, 20, count)
    return [
        (f"{prefix}{first + number}", 100 + (int(starts[number]) + step * place) % 20, begin + 60 * number + place)
        for number in range(count)
        for place in range(4)
    ]


def write_journal(state: Path, rows: list[tuple[str, Any, int]], first: int = 1) -> None:
    events = [
        event_row(session, Event(1000 * time, str(item), None, None, None, None, b"")) for session, item, time in rows
    ]
    Journal(state).write("events", first, first + len(rows) - 1, events)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Markov chain trained on walks forwards. Not to be written to."""
    folder = tmp_path_factory.mktemp("production")
    frame = pl.DataFrame(walks(0, 60, START, 1), schema=["session", "item", "time"], orient="row")
    frame.write_csv(folder / "log.csv")
    config = segue.RunConfig(
        models=["markov"],
        protocol="session-next",
        set={"markov": {"updatable": True}, "protocol": {"cleaning": {"min_support": 3}}},
    )
    segue.fit(folder / "log.csv", like=config, out=folder / "markov")
    return folder / "markov"


@pytest.fixture
def settings(production: Path, tmp_path: Path) -> ServeSettings:
    return ServeSettings(models={"markov": production}, default="markov", state=tmp_path, update_every=HOUR)


def run(settings: ServeSettings) -> tuple[bool, Versions, dict[str, Any]]:
    versions = Versions(settings.state, settings.models)
    accepted = update("markov", settings, versions)
    return accepted, versions, dict(versions.last("markov"))


def test_a_verified_update_is_a_new_version(settings: ServeSettings, production: Path) -> None:
    before = {path.name: path.read_bytes() for path in production.iterdir()}
    new = [(f"n{number}", item, START + 10_000 + number) for number in range(3) for item in (100, 777)]
    earlier = walks(100, 60, START + 9_000, 1)
    write_journal(settings.state, earlier + new + walks(200, 60, START + 9_000 + 4 * HOUR, 1))
    accepted, versions, last = run(settings)
    assert accepted
    assert last["result"] == "accepted"
    folder = versions.newest("markov")
    assert folder == settings.state / "models" / "markov" / "0000000001"
    model = segue.load(folder)
    (entry,) = model.about["updates"]
    assert entry["events"] == len(earlier) + len(new)  # The last hour is held out, and learnt by the next update.
    assert model.recommend([100], 2).items == [101, 777]
    assert {path.name: path.read_bytes() for path in production.iterdir()} == before
    assert versions.warnings() == []
    accepted, versions, last = run(settings)  # Nothing has happened since: what is left is held out.
    assert not accepted
    assert last["result"] == "skipped"
    assert versions.newest("markov") == folder


def test_a_worse_model_is_refused(settings: ServeSettings, production: Path, caplog: pytest.LogCaptureFixture) -> None:
    backwards = walks(100, 400, START + 9_000, -1)
    write_journal(settings.state, backwards + walks(900, 100, START + 9_000 + 20 * HOUR, 1))
    with caplog.at_level(logging.ERROR):
        accepted, versions, last = run(settings)
    assert not accepted
    assert last["result"] == "refused"
    assert "markov: the update was refused, it is worse on the last events: hit@20 " in caplog.text
    assert versions.newest("markov") == production
    (warning,) = versions.warnings()
    assert warning.startswith("markov: the last update refused: it is worse on the last events: ")


def test_deleted_sessions_and_foreign_ids_are_not_learnt(settings: ServeSettings) -> None:
    rows = walks(100, 60, START + 9_000, 1) + [("x", item, START + 9_500) for item in ("abc", "0101", "1.5")]
    write_journal(settings.state, [*rows, *walks(300, 60, START + 9_000 + 4 * HOUR, 1)])
    write_journal(settings.state, [("gone", item, START + 9_600) for item in (100, 110, 100, 110)], 1_000)
    Journal(settings.state).delete(["gone"])
    accepted, versions, _ = run(settings)
    assert accepted
    model = segue.load(versions.newest("markov"))
    assert model.about["updates"][0]["events"] == 240
    assert 110 not in model.recommend([100], 3).items[:1]


def test_events_that_the_protocol_drops_are_not_learnt(
    tmp_path: Path, production: Path, settings: ServeSettings
) -> None:
    model = segue.load(production)
    protocol = {**model.about["protocol"]}
    protocol["cleaning"] = {**protocol["cleaning"], "value_among": {"type": ["click"]}}
    folder = model.save(tmp_path / "clicks" / "markov", protocol=protocol)
    state = tmp_path / "state"
    rows = [
        event_row(session, Event(1000 * time, str(item), kind, None, None, None, b""))
        for kind in ("click", "view")
        for session, item, time in walks(100, 60, START + 9_000, 1 if kind == "click" else 3, kind)
        + walks(300, 60, START + 9_000 + 4 * HOUR, 1, kind)
    ]
    Journal(state).write("events", 1, len(rows), rows)
    changed = settings.model_copy(update={"models": {"markov": folder}, "state": state})
    accepted, versions, last = run(changed)
    assert accepted, last
    assert segue.load(versions.newest("markov")).about["updates"][0]["events"] == 240


def test_no_event_of_a_second_is_lost(settings: ServeSettings) -> None:
    """A model remembers the second of its last event; the others of this second must not wait for the next update."""
    rows = walks(100, 60, START + 9_000, 1)
    last = rows[-1][2]
    same_second = [(f"m{place}", 1000 * last + place, one) for place in range(500) for one in (100, 101)]
    events = [event_row(s, Event(1000 * t, str(i), None, None, None, None, b"")) for s, i, t in rows]
    events += [event_row(s, Event(t, str(i), None, None, None, None, b"")) for s, t, i in same_second]
    events += [
        event_row(s, Event(1000 * t, str(i), None, None, None, None, b"")) for s, i, t in walks(2000, 20, last + 1, 1)
    ]
    Journal(settings.state).write("events", 1, len(events), events)
    accepted, versions, last_update = run(settings.model_copy(update={"update_every": 0.5}))
    assert accepted, last_update
    (entry,) = segue.load(versions.newest("markov")).about["updates"]
    assert entry["events"] == len(rows) + len(same_second)


def test_an_unexpected_failure_is_recorded(settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(settings.state, walks(100, 100, START + 9_000, 1))
    monkeypatch.setattr(live_updates, "learn", lambda *given: 1 / 0)
    accepted, _, last = run(settings)
    assert (accepted, last["result"], last["why"]) == (False, "failed", "ZeroDivisionError: division by zero")


def test_too_few_events_wait(settings: ServeSettings, production: Path) -> None:
    accepted, versions, last = run(settings)
    assert (accepted, last["result"], last["why"]) == (False, "skipped", "no events were accepted yet")
    write_journal(settings.state, walks(100, 40, START + 9_000, 1))
    accepted, versions, last = run(settings)
    assert (accepted, last["why"]) == (False, "there are 160 new events, and more than 200 are needed")
    assert versions.newest("markov") == production
    assert versions.warnings() == []


def test_the_last_two_versions_are_kept_and_a_new_given_model_goes_first(
    settings: ServeSettings, production: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given" / "markov"
    segue.load(production).save(given)
    settings = settings.model_copy(update={"models": {"markov": given}})
    for day in range(4):
        write_journal(settings.state, walks(1000 * (day + 1), 60, START + 90_000 * (day + 1), 1), 1 + 1000 * day)
        run(settings)
    folders = sorted(path.name for path in (settings.state / "models" / "markov").iterdir() if path.is_dir())
    assert folders == ["0000000002", "0000000003"]
    versions = Versions(settings.state, settings.models)
    assert versions.newest("markov").name == "0000000003"
    assert len(segue.load(versions.newest("markov")).about["updates"]) == 3
    model = segue.load(production)
    model.save(given, note="another one")
    assert versions.newest("markov") == given


def test_a_damaged_version_is_passed_over(
    settings: ServeSettings, production: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for day in range(4):
        write_journal(settings.state, walks(1000 * (day + 1), 60, START + 90_000 * (day + 1), 1), 1 + 1000 * day)
        run(settings)
    first, second = sorted(path for path in (settings.state / "models" / "markov").iterdir() if path.is_dir())
    arrays = second / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"?")
    versions = Versions(settings.state, settings.models)
    with caplog.at_level(logging.WARNING):
        assert versions.newest("markov") == versions.newest("markov") == first
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert f"markov: a version that was learnt is damaged: {arrays}: does not match its checksum" in record.message
    assert record.message.endswith(f"; {first} is in use")
    assert versions.warnings()[0].startswith(f"markov: a version is damaged: {arrays}: ")
    (first / "manifest.json").write_text("{")
    assert versions.newest("markov") == production
    accepted, versions, _ = run(settings)
    assert accepted
    assert versions.newest("markov").name == "0000000004"
    assert versions.warnings() == []


def test_what_became_of_an_update_is_read_once(settings: ServeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    versions, reads = Versions(settings.state, settings.models), []
    read = versions._read
    monkeypatch.setattr(versions, "_read", lambda name: reads.append(name) or read(name))
    assert versions.warnings() == versions.warnings() == []
    Versions(settings.state, settings.models).record("markov", "failed", "no space")
    for _ in range(3):
        assert versions.warnings() == ["markov: the last update failed: no space"]
    assert len(reads) == 2


def test_a_damaged_journal_is_a_failure(settings: ServeSettings, production: Path) -> None:
    write_journal(settings.state, walks(100, 60, START + 9_000, 1))
    (file,) = (settings.state / "events").iterdir()
    file.write_bytes(b"PAR1")
    accepted, versions, last = run(settings)
    assert (accepted, last["result"]) == (False, "failed")
    assert versions.newest("markov") == production
    assert len(versions.warnings()) == 1


def test_what_cannot_be_updated_is_refused_at_the_start(
    settings: ServeSettings, production: Path, tmp_path: Path
) -> None:
    check(settings)
    model = segue.load(production)
    untimed = segue.Markov(updatable=True)
    untimed.restore(model.arrays(), model.vocabulary)
    plain = segue.Markov().fit(segue.prepare(segue.read(production.parent / "log.csv"), split="ratio").train)
    about = {key: value for key, value in model.about.items() if key != "until"}
    filtered = {**model.about["protocol"]}
    filtered["cleaning"] = {**filtered["cleaning"], "value_among": {"shop": ["a"]}}
    for folder, one, facts, words in (
        ("plain", plain, model.about, "with --set markov.updatable=true"),
        ("tested", model, {"trained_on": None}, "must be a model for production"),
        ("untimed", untimed, about, "was trained on a log without times"),
        ("filtered", model, {"protocol": filtered}, r"cannot learn from .* got 'shop'; it has 'session', 'item'"),
    ):
        path = one.save(tmp_path / folder / "markov", **facts)
        with pytest.raises(SegueError, match=words):
            check(settings.model_copy(update={"models": {"markov": path}}))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--update-every", "soon"), "--update-every: must be a number with its unit (s, m, h or d"),
        (("--update-every", "0s"), "--update-every: must be a number with its unit"),
        (("--update-every", "1h", "--no-journal"), "--update-every: needs the events that a service accepts"),
    ],
)
def test_wrong_options(production: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    outcome = command("serve", production, "--state", tmp_path, "--port", "0", *options)
    assert outcome.code == 2
    assert words in outcome.err


def test_a_service_learns_and_a_restart_serves_what_it_learnt(production: Path, tmp_path: Path) -> None:
    options = ("--update-every", "2s", "--journal-seconds", "0.2", "--drain", "0")
    now = int(datetime.now(UTC).timestamp())
    rows = walks(100, 60, now - 9 * HOUR, 1) + [
        (f"n{number}", item, now - 5 * HOUR) for number in range(4) for item in (100, 777)
    ]
    rows += walks(500, 60, now - 3 * HOUR, 1)
    with Process(tmp_path, [production], *options) as service:
        first = service.post("/v1/recommend", {"items": ["100"], "k": 2})[1]
        assert first["items"][0]["item"] == "101"
        events = [
            {"session_id": session, "item": str(item), "time": datetime.fromtimestamp(time, UTC).isoformat()}
            for session, item, time in rows
        ]
        status, answer = service.post("/v1/events", {"events": events})
        assert (status, answer["accepted"]) == (200, len(rows))

        def learnt() -> bool:
            return bool(service.post("/v1/recommend", {"items": ["100"], "k": 2})[1]["version"] != first["version"])

        service.wait_until(learnt)
        second = service.post("/v1/recommend", {"items": ["100"], "k": 2})[1]
        assert [one["item"] for one in second["items"]] == ["101", "777"]
    with Process(tmp_path, [production], *options) as service:
        assert service.post("/v1/recommend", {"items": ["100"]})[1]["version"] == second["version"]
    status = json.loads((tmp_path / "state" / "models" / "markov" / "update.json").read_text(encoding="utf-8"))
    assert status["result"] in ("accepted", "skipped")
    assert "updates" not in Artifact.facts(production)


def test_no_update_outlives_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal to stop may come while an update is being started."""
    stopped: list[bool] = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(Supervisor, "_start", lambda _: None)
    monkeypatch.setattr(UpdateTimer, "stop", lambda _: stopped.append(True))
    settings = ServeSettings(models={"m": tmp_path}, default="m", state=tmp_path, update_every=60)
    with socket.socket() as listening:
        assert Supervisor(settings, listening).run() == 0
    assert stopped == [True]


class Rounds:
    """Ends the loop of a worker after some rounds."""

    def __init__(self, number: int) -> None:
        self.left = number

    def wait(self, seconds: float) -> bool:
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return False

    def clear(self) -> None: ...


def watch(refresh: Any, experiments: Any, rounds: int) -> None:
    worker: Any = SimpleNamespace(
        models=SimpleNamespace(refresh=refresh), experiments=experiments, _rules_asked=Rounds(rounds)
    )
    with pytest.raises(StopIteration):
        Worker._watch(worker)


def test_an_experiment_is_read_again_when_rules_fail() -> None:
    def fail(**given: Any) -> None:
        raise MemoryError

    seen: list[bool] = []
    watch(fail, SimpleNamespace(reload=lambda: seen.append(True)), 1)
    assert seen == [True]


def test_what_goes_on_failing_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    mistake, bug = ParameterError("rules.yaml: no"), KeyError("bug")
    errors = [mistake, mistake, bug, bug, None, bug]

    def fail(**given: Any) -> None:
        if (error := errors.pop(0)) is not None:
            raise error

    watch(fail, None, len(errors))
    text = "rules and catalogue, or the experiment, were not read again: "
    assert [one.message for one in caplog.records] == [text + one for one in ("rules.yaml: no", "'bug'", "'bug'")]
    assert [bool(one.exc_info) for one in caplog.records] == [False, True, True]
