"""Take the pictures of the page of `segue serve` that the docs show, of the demo shop.

python docs/screenshots.py segue-demo   (a folder that `segue demo` wrote; needs chromium and the package playwright)
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

IMAGES = Path(__file__).parent / "images"
SESSION = "item=1021&item=1018&item=1013"
VIEWS = {
    "page-playground": f"playground?{SESSION}&model=gru4rec&model=stan&model=markov",
    "page-leaderboard": "leaderboard",
    "page-map": "map?model=gru4rec&color=category&item=1061",
}
_SECONDS_OF_LOAD = 250


def main() -> None:
    """Serve the run, send it some requests, and take the pictures."""
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "segue", "serve", sys.argv[1], "--port", "0", "--state", state]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
            try:
                assert service.stdout is not None
                address = re.search(r"http://[\d.:]+", service.stdout.readline())
                assert address is not None
                _wait(address[0])
                _take(address[0], VIEWS, "light")
                _take(address[0], {"page-dark": VIEWS["page-map"]}, "dark")
                stop = threading.Event()
                load = threading.Thread(target=_send, args=(address[0], stop))
                load.start()
                stop.wait(_SECONDS_OF_LOAD)
                _take(address[0], {"page-live": "live"}, "light")
                stop.set()
                load.join()
            finally:
                service.terminate()


def _wait(address: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{address}/health/ready"):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the service is not ready after a minute")


def _send(address: str, stop: threading.Event) -> None:
    """Send requests at a rate that goes up and down."""
    numbers = random.Random(0)
    while not stop.is_set():
        model = numbers.choice(["gru4rec", "gru4rec", "stan", "markov"])
        items = [str(numbers.randrange(1001, 1481)) for _ in range(numbers.randrange(1, 6))]
        if numbers.random() < 0.05:
            items = []
        _post(f"{address}/v1/recommend", {"items": items, "model": model, "consent": False})
        if numbers.random() < 0.5:
            event = {"session_id": f"s{numbers.randrange(500)}", "item": str(numbers.randrange(1001, 1481))}
            _post(f"{address}/v1/events", {"events": [event]})
        time.sleep(0.02 + 0.03 * abs(((time.monotonic() / 40) % 2) - 1))


def _post(address: str, content: Any) -> None:
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(content).encode(), headers)) as answer:
        answer.read()


def _take(address: str, views: Mapping[str, str], theme: Literal["light", "dark"]) -> None:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("SEGUE_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        arguments = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_context(
            viewport={"width": 1280, "height": 800}, device_scale_factor=1.5, color_scheme=theme
        ).new_page()
        for name, view in views.items():
            page.goto(f"{address}/#/{view}")
            page.locator("h1").first.wait_for()
            page.locator(".waiting, .bone").first.wait_for(state="detached")
            page.wait_for_timeout(1500)
            page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
