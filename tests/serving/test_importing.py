"""``segue import-events`` against a small server that answers as the service does."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from command_line import segue
from store_kinds import Clock, make_store

from segue.serving.importing import MAX_BYTES, Importer
from segue.serving.schema.decoding import decode_events
from segue.serving.schema.messages import Refused
from segue.serving.service import Service
from segue.serving.telemetry import Telemetry


class Shop:
    """A service with a store in memory; ``refusals`` are answered before anything else."""

    def __init__(self, folder) -> None:
        self.store = make_store("memory", folder, Clock(), journal=False)
        self.service = Service(None, self.store, Telemetry())
        self.refusals, self.bodies, self.tokens = [], [], []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                shop.tokens.append(self.headers["Authorization"])
                headers = {}
                if shop.refusals:
                    status, headers, answer = shop.refusals.pop(0)
                else:
                    status, answer = shop.answer(body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, body):
        import msgspec

        try:
            request, wrong = decode_events(body)
            self.bodies.append(body)
            return 200, msgspec.to_builtins(asyncio.run(self.service.events(request, wrong)))
        except Refused as refused:
            return refused.status, msgspec.to_builtins(refused.problem())


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path / "state")
    thread = threading.Thread(target=shop.http.serve_forever, args=(0.01,))
    thread.start()
    yield shop
    shop.http.shutdown()
    thread.join()
    shop.http.server_close()


def lines(*events):
    return "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in events)


def test_a_file_is_sent_in_batches_and_a_second_import_adds_nothing(shop, tmp_path) -> None:
    events = [{"session_id": f"s{number % 9}", "item": number, "event_id": number} for number in range(2500)]
    file = tmp_path / "clicks.jsonl"
    file.write_text(lines(*events))
    assert segue("import-events", file, "--url", shop.url).out == "2,500 events: 2,500 accepted, 0 refused.\n"
    assert segue("import-events", file, "--url", shop.url).out == "2,500 events: 2,500 duplicate, 0 refused.\n"
    assert [body.count(b"session_id") for body in shop.bodies[:3]] == [1000, 1000, 500]


def test_what_is_refused_is_named_with_its_line(shop, tmp_path) -> None:
    file = tmp_path / "clicks.jsonl"
    file.write_text(
        lines(
            {"session_id": "s", "item": "a", "event_id": "1"},
            "",
            "{broken",
            {"session_id": "s"},
            [1],
            {"session_id": "s", "item": "b", "event_id": "1"},
            {"session_id": "s", "item": "b", "sesion": 3},
            {"session_id": "s", "item": "b", "consent": False},
            {"session_id": "s", "item": "x" * 70_000},
        )
    )
    outcome = segue("import-events", file, "--url", shop.url)
    assert outcome.code == 2
    assert outcome.out == "8 events: 1 accepted, 1 ignored, 6 refused.\n"
    shown = outcome.err.splitlines()
    assert [line.partition(":")[0] for line in shown[:6]] == [f"line {number}" for number in (3, 5, 9, 4, 6, 7)]
    assert "item is missing" in outcome.err
    assert "another event with this id" in outcome.err
    assert f"{file}: 6 of 8 events were refused; correct and send them again" in shown[-1]


def test_a_busy_service_is_asked_again_and_nothing_is_doubled(shop) -> None:
    pauses = []
    shop.refusals = [
        (503, {"Retry-After": "3"}, {"detail": "starting"}),
        (429, {}, {"detail": "too many"}),
        (504, {}, "no problem document"),
    ]
    importer = Importer(shop.url, "correct-horse-battery", sleep=pauses.append)
    report = importer.send_all([b'{"session_id": "s", "item": "a"}\n'] * 3)
    assert report.counts == {"accepted": 3}
    assert pauses[0] == 3.0
    assert len(pauses) == 3
    assert shop.tokens == ["Bearer correct-horse-battery"] * 4


def test_a_service_that_ends_in_an_answer_is_asked_again(shop) -> None:
    cut = {"Content-Length": "500"}
    shop.refusals = [(200, cut, {"accepted": 1}), (503, cut, {"detail": "starting"})]
    importer = Importer(shop.url, None, sleep=lambda _: None)
    assert importer.send_all([b'{"session_id": "s", "item": "a"}\n']).counts == {"accepted": 1}
    assert shop.refusals == []


@pytest.mark.parametrize(("status", "detail"), [(401, "the request needs the header"), (403, "a token with the scope")])
def test_a_request_without_the_right_is_an_error(shop, status, detail, tmp_path) -> None:
    shop.refusals = [(status, {}, {"detail": detail})]
    (tmp_path / "f").write_text(lines({"session_id": "s", "item": "a"}))
    outcome = segue("import-events", tmp_path / "f", "--url", shop.url)
    assert outcome.code == 2
    assert f"--url: {shop.url}/v1/events answered {status}: {detail}" in outcome.err


def test_a_service_that_does_not_run_is_an_error(tmp_path) -> None:
    (tmp_path / "f").write_text(lines({"session_id": "s", "item": "a"}))
    outcome = segue("import-events", tmp_path / "f", "--url", "http://127.0.0.1:9", "--patience", 0)
    assert outcome.code == 2
    assert "has not taken the events from line 1 on for 0 s" in outcome.err
    assert "--url: must be an address" in segue("import-events", tmp_path / "f", "--url", "shop:80").err
    missing = segue("import-events", tmp_path / "missing", "--url", "http://127.0.0.1:9")
    assert (missing.code, "missing: cannot be read (No such file or directory)" in missing.err) == (2, True)


def test_batches_stay_below_the_largest_body(shop) -> None:
    text = "ü" * 100
    event = {"session_id": "s", "item": "a", "context": {str(number): text for number in range(20)}}
    report = Importer(shop.url, None).send_all([json.dumps(event).encode()] * 200)
    assert report.counts == {"accepted": 200}
    assert max(map(len, shop.bodies)) < MAX_BYTES + 100
    assert len(shop.bodies) > 2


def test_a_pipe_is_sent_before_it_ends(shop) -> None:
    command = [sys.executable, "-m", "segue", "import-events", "-", "--url", shop.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(lines({"session_id": "s", "item": "a"}))
        process.stdin.flush()
        end = time.monotonic() + 60
        while not shop.bodies:
            assert time.monotonic() < end
            time.sleep(0.05)
        out, _ = process.communicate(lines({"session_id": "s", "item": "b"}))
    assert out == "2 events: 2 accepted, 0 refused.\n"
