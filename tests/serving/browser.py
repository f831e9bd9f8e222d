"""Chromium, and what a page must not do in it: errors, requests to other machines, breaches of its content policy."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

AXE = Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    path = os.environ.get("SEGUE_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("there is no chromium; install it, or name it in SEGUE_CHROMIUM")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


class Tab:
    """A page that fails the test at its end if anything went wrong in it."""

    def __init__(self, browser: Any, port: int, **options: Any) -> None:
        self.address, self.problems = f"http://127.0.0.1:{port}/", list[str]()
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("console", lambda one: self._note(one.text) if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.page.on("request", self._check)

    def _note(self, text: str) -> None:
        if "GPU stall due to ReadPixels" not in text:  # What software rendering says of a screenshot.
            self.problems.append(text)

    def _check(self, request: Any) -> None:
        host = urlsplit(request.url)
        if host.scheme not in ("data", "blob") and not request.url.startswith(self.address):
            self._note(f"a request to {request.url}")

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.context.close()
        if kind is None:
            assert self.problems == []

    def open(self, place: str) -> None:
        """Open a view and wait until it shows what it has."""
        self.page.goto(f"{self.address}#/{place}")
        self.settle()

    def settle(self) -> None:
        """Wait until the view in the address is the one that is shown, and shows what it has."""
        view = self.page.evaluate("location.hash").removeprefix("#/").partition("?")[0]
        self.page.locator(f"#view.view-{view}").wait_for(state="attached")
        self.page.locator("h1").first.wait_for()
        self.page.locator(".waiting, .bone").first.wait_for(state="detached")

    def text(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def accessibility(self) -> list[str]:
        """What axe-core finds, from serious on."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
