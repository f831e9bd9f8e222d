"""The page: complete, self-contained, and safe whatever the log calls its items."""

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from clouds import HOSTILE, cloud, groups, model_of

import segue.embeddings.page as module
from segue import plot
from segue.embeddings.page import embedded, page
from segue.embeddings.vectors import nearest_neighbours


class Elements(HTMLParser):
    """Collects elements with their attributes and the text inside them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)


@pytest.fixture(autouse=True)
def without_libraries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundling them takes seconds; one test does."""
    if "bundled" not in request.node.name:
        monkeypatch.setattr(module, "_libraries", lambda: "")


def parsed(text: str) -> list[tuple[str, dict[str, str | None], list[str]]]:
    elements = Elements()
    elements.feed(text)
    return elements.found


def content_of(text: str) -> dict:
    (found,) = (data for _, attributes, data in parsed(text) if attributes.get("id") == "content")
    return json.loads("".join(found))


def test_it_holds_all_items_with_their_neighbours() -> None:
    points = groups()
    content = content_of(page(plot(model_of(points), color="kind", neighbours="103")))
    assert content["items"]["names"] == points.names
    assert content["items"]["ids"][0] == "100"
    assert [name for name, _ in content["items"]["columns"]] == ["id", "support", "kind", "price"]
    assert len(content["items"]["neighbours"]) == 120
    assert content["items"]["neighbours"] == nearest_neighbours(points, 10).rows.tolist()
    assert (content["chosen"], content["similarity"]) == (3, "cosine")
    assert content["values"][::20] == [0, 1, 2, 3, 4, 5]


@pytest.mark.skipif(sys.flags.optimize > 1, reason="altair cannot be imported without docstrings")
@pytest.mark.parametrize("color", ["kind", "popularity", "price"])
@pytest.mark.parametrize("kind", ["pca", "spectrum"])
def test_the_pictures_are_valid_vega_lite(color: str, kind: str) -> None:
    import altair

    spec = content_of(page(plot(model_of(groups()), kind, color=color)))["spec"]
    altair.Chart.from_dict(spec, validate=True)


def test_a_hostile_log_cannot_add_anything_to_the_page() -> None:
    texts = [
        HOSTILE,
        "<img src=x onerror=alert(1)>",
        '"];alert(1)//',
        "{{script}}",
        "</SCRIPT >",
        "\u2028",
        "']||alert(1)",
    ]
    names = [*texts, *texts, *(f"item {number}" for number in range(56))]
    points = cloud(
        np.random.default_rng(0).standard_normal((70, 4)), name=names, kind=texts * 10, **{HOSTILE: texts * 10}
    )
    for color in ("kind", HOSTILE):
        hostile = page(plot(model_of(points), color=color, neighbours="100"))
        harmless = page(plot(model_of(groups()), color="kind", neighbours="100"))
        skeleton = [(tag, attributes) for tag, attributes, _ in parsed(hostile) if tag != "li"]
        assert skeleton == [(tag, attributes) for tag, attributes, _ in parsed(harmless) if tag != "li"]
        content = content_of(hostile)
        # Two items share each name, so that the id follows; a line separator is not a name.
        assert content["items"]["names"][:7] == [
            "105" if text == "\u2028" else f"{text} ({number})" for number, text in enumerate(texts, start=100)
        ]
        expression = content["spec"]["layer"][0]["encoding"]["color"]["legend"]["labelExpr"]
        assert set(json.loads(expression.removesuffix("[datum.value]")).values()) == {"not known", *texts} - {"\u2028"}


def test_embedded_json_opens_and_ends_no_element() -> None:
    value = {"<!--": [HOSTILE, "a & b", "\u2028\u2029", None, 1.5]}
    assert json.loads(embedded(value)) == value
    assert not re.search("[<>&\u2028\u2029]", embedded(value))


def test_the_script_writes_texts_as_texts() -> None:
    script = module.template().rpartition("<script>")[2]
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


def test_bundled_with_its_libraries_it_asks_nothing_of_the_network() -> None:
    text = page(plot(model_of(groups())))
    elements = parsed(text)
    assert not [attributes for _, attributes, _ in elements if {"src", "href"} & attributes.keys()]
    (policy,) = (one["content"] for _, one, _ in elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert [tag for tag, _, _ in elements].count("script") == 3
    assert "vegaEmbed" in text
    assert len(text) < 1_500_000
