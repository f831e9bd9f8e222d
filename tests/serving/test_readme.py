"""The commands of the README that serve: as printed, but for the port."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import segue
from segue.data.synthetic import shop

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, "the service ended"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("not ready")


@pytest.mark.skipif(sys.platform == "win32", reason="the service needs POSIX signals")
def test_the_readme_serves_as_printed(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    serve, curl = re.search(r"^(segue serve segue-demo)[^\n]*\n(curl .*?)^```", readme, re.M | re.S).groups()
    data = segue.prepare(segue.read(shop(1000, 0).frame), "session-next")
    segue.VSKNN().fit(data.train).save(tmp_path / "segue-demo" / "v-sknn")
    port = free_port()
    _, *words = shlex.split(serve)
    process = subprocess.Popen([sys.executable, "-m", "segue", *words, "--port", str(port)], cwd=tmp_path)
    try:
        wait_until_ready(port, process)
        command = shlex.split(curl.replace("\\\n", " ").replace("8000", str(port)))
        answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert len(answer["items"]) == 3
        assert answer["events"][0]["status"] == "accepted"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
