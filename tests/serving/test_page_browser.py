"""The page in a browser: what people do with it, in light and dark, with keys alone, and on a narrow screen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Tab, chromium
from processes import Process

VIEWS = ["playground?item=104&item=105&model=gru4rec&model=markov", "leaderboard", "run", "data", "map", "live"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def service(browser: Any, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("page"), [run_folder]) as process:
        yield process


def explained(route: Any) -> None:
    """Answer with an explanation, whatever the model."""
    given = route.request.post_data_json
    if not given.get("explain"):
        route.continue_()
        return
    answer = route.fetch(post_data=json.dumps({name: value for name, value in given.items() if name != "explain"}))
    content = answer.json()
    part = {"kind": "neighbour", "source": "s7", "items": ["106"], "events": [0], "value": 0.5}
    items = [{**one, "parts": [part], "without": [0.25, -0.125]} for one in content["items"]]
    events = [{"item": item, "name": f"Thing {item}"} for item in given["items"]]
    content["explanation"] = {"events": events, "items": items, "attention": [{"name": "head", "weights": [0.3, 0.7]}]}
    route.fulfill(response=answer, json=content)


def described(route: Any) -> None:
    answer = route.fetch()
    content = answer.json()
    content["components"]["schemas"]["RecommendRequest"]["properties"]["explain"] = {"type": "boolean"}
    route.fulfill(response=answer, json=content)


def test_a_session(browser: Any, service: Process) -> None:
    """Search and click build a session, models answer, why, and the address restores it; then every other view."""
    with Tab(browser, service.port) as tab:
        page = tab.page
        page.route("**/v1/recommend", explained)
        page.route("**/openapi.json", described)
        tab.open("playground?model=gru4rec&model=markov")
        assert page.locator(".badge.warn").count() == 2, "an empty session lists popular items"
        page.keyboard.press("/")
        page.keyboard.type("thing 104")
        page.get_by_role("button", name="Add Thing 104").wait_for()
        page.keyboard.press("Enter")
        page.locator(".events .what", has_text="Thing 104").wait_for()
        page.locator(".ranking .listed").nth(1).click()
        page.locator(".events li").nth(1).wait_for()
        tab.settle()
        assert page.locator(".ranking").count() == 2
        assert page.locator(".ranking").first.locator("li").count() == 10
        assert " of 10 in common" in tab.text(".facts")[1]
        page.get_by_role("button", name="Why").first.click()
        page.locator(".effects").first.wait_for()
        assert tab.text(".why[open] .effects .figure") == ["+0.250", "−0.125"]
        assert tab.accessibility() == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="curl").click()
        command = tab.text("dialog pre")[0]
        assert f'"items":["104","{page.url.split("item=")[2][:3]}"]' in command
        page.keyboard.press("Escape")
        rows = tab.text(".listed .what")
        again = page.url
        page.goto("about:blank")
        page.goto(again)
        tab.settle()
        assert tab.text(".listed .what") == rows
        for view in VIEWS[1:]:
            page.locator(f'nav a[data-view="{view}"]').click()
            tab.settle()
        assert tab.accessibility() == []


@pytest.mark.soak
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.partition("?")[0])
def test_views(browser: Any, service: Process, view: str, theme: str, width: int) -> None:
    with Tab(browser, service.port, color_scheme=theme, viewport={"width": width, "height": 800}) as tab:
        tab.open(view)
        assert tab.overflow() <= 0
        clipped = "[...document.querySelectorAll('nav a')].filter((one) => { const box = one.getBoundingClientRect(); "
        clipped += "return !one.contains(document.elementFromPoint(box.right - 10, box.top + box.height / 2)); })"
        assert tab.page.evaluate(f"{clipped}.map((one) => one.textContent)") == []
        assert tab.accessibility() == []
        background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(int(one) for one in background[4:-1].split(",")) < 60) == (theme == "dark")


@pytest.mark.soak
def test_keys_alone(browser: Any, service: Process) -> None:
    with Tab(browser, service.port) as tab:
        page, focused = tab.page, "document.activeElement.textContent"
        tab.open("playground?model=gru4rec&model=markov")
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "Skip to content"
        page.keyboard.press("/")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.locator(".events li").nth(1).wait_for()
        while page.evaluate("document.activeElement.closest('.ranking') === null"):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator(".events li").nth(2).wait_for()
        tab.settle()
        assert page.evaluate("document.activeElement.closest('.answer') !== null"), "the focus stays among the answers"
        page.locator(".events button").first.focus()
        page.keyboard.press("Delete")
        page.keyboard.press("Delete")
        assert page.locator(".events .what").count() == 1
        page.locator('nav a[data-view="map"]').focus()
        page.keyboard.press("Enter")
        tab.settle()
        page.get_by_label("Search items").focus()
        page.keyboard.type("Thing 10")
        page.get_by_role("heading", name="“Thing 10”").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nearest items").wait_for()
        page.locator(".overlay").focus()
        for key in ("+", "ArrowLeft", "-", "0"):
            page.keyboard.press(key)


@pytest.mark.soak
def test_the_theme_is_kept(browser: Any, service: Process) -> None:
    with Tab(browser, service.port) as tab:
        tab.open("leaderboard")
        for theme in ("light", "dark"):
            tab.page.locator("#theme-button").click()
            assert tab.page.evaluate("document.documentElement.dataset.theme") == theme
        tab.page.reload()
        tab.settle()
        assert tab.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


@pytest.mark.soak
def test_a_hundred_thousand_items(browser: Any, many_items: Path, tmp_path: Path) -> None:
    with Process(tmp_path, [many_items]) as service, Tab(browser, service.port) as tab:
        page = tab.page
        tab.open("map")
        assert tab.text(".map-panel h2") == ["100,000 items"]
        page.get_by_role("button", name="Lasso").click()
        box = page.locator(".overlay").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x - 60, y - 60)
        page.mouse.down()
        for right, down in ((60, -60), (60, 60), (-60, 60), (-60, 0)):
            page.mouse.move(x + right, y + down)
        page.mouse.up()
        page.get_by_role("heading", name="Selection").wait_for()
        page.locator(".found li").nth(199).wait_for()
        selected = int(tab.text(".map-panel > p.soft")[0].split(" ")[0].replace(",", ""))
        assert 1_000 < selected < 100_000
        page.locator(".pick").first.click()
        page.get_by_role("heading", name="Nearest items").wait_for()
        assert page.locator(".meter").count() == 10
        assert tab.overflow() <= 0
        assert tab.accessibility() == []
        tab.open("leaderboard")
        assert tab.text(".state h2") == ["No run is served"]


@pytest.mark.soak
def test_a_token(browser: Any, run_folder: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("read read-0123456789abcdef\n", encoding="utf-8")
    with Process(tmp_path, [run_folder], "--tokens", str(tokens)) as service, Tab(browser, service.port) as tab:
        page = tab.page
        page.goto(f"{tab.address}#/leaderboard")
        page.locator("#token-input").fill("something-else-entirely")
        page.keyboard.press("Enter")
        page.get_by_text("This token is not known.").wait_for()
        page.locator("#token-input").fill("read-0123456789abcdef")
        page.keyboard.press("Enter")
        page.locator(".board").wait_for()
        tab.open("playground")
        page.get_by_role("button", name="curl").click()
        assert "$TOKEN" in tab.text("dialog pre")[0]
        assert "0123456789abcdef" not in page.content()
        tab.problems = [one for one in tab.problems if "401" not in one]
