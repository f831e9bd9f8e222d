"""``segue why``: tables, JSON, a picture and a page."""

import json
from pathlib import Path

import pytest
from command import segue, tree

from segue import Markov, SASRec, load, prepare, read, why
from segue.data.synthetic import shop
from segue.protocols.prepare import prepare_whole
from segue.protocols.protocol import Protocol

SESSION = ("--items", "1001,1002,never")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain and a barely trained transformer of a shop with names."""
    data, folder = prepare(shop(1500), "session-next", split={"test_days": 2}), tmp_path_factory.mktemp("runs")
    Markov(smoothing=0.0).fit(data.train).save(folder / "markov")
    sasrec = SASRec(embedding_size=8, inner_size=8, layers=1, heads=2, training={"epochs": 1})
    sasrec.fit(data.train).save(folder / "sasrec")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rules_are_named(models: Path, here: Path) -> None:
    outcome = segue("why", models / "markov", "--item", "1001", "--item", "1002", "--of", "1010")
    assert (outcome.code, outcome.err) == (0, "")
    model = load(models / "markov")
    (item,) = why(model, [1001, 1002], [1010]).items
    first, last, of = (model.vocabulary.names.names[index] for index in model.vocabulary.index([1001, 1002, 1010]))
    text = " ".join(outcome.out.split())
    assert f"{item.score:.4g} {last} ({item.score:+.3g})" in text
    assert f"{item.score:+.3g} the rule {last} → {of}" in text
    assert first not in text
    assert tree(here) == {}


def test_one_item_whose_name_contains_a_comma(models: Path) -> None:
    """``--items`` is not split if it is an item as it stands, in `segue why` as in `segue recommend`."""
    name = load(models / "markov").vocabulary.names.names[1]
    assert "," in name
    for command in ("why", "recommend"):
        whole, each = (segue(command, models / "markov", option, name, "--json") for option in ("--items", "--item"))
        assert json.loads(whole.out) == json.loads(each.out)


def test_a_small_model_explains_one_item(here: Path) -> None:
    """The usual number of recommended items is more than there are."""
    log = read({"session": [1, 1, 1, 2, 2, 2], "item": [1, 2, 3, 3, 2, 1]})
    Markov().fit(prepare_whole(log, Protocol()).train).save(here / "model")
    outcome = segue("why", here / "model", "--items", 1, "--of", 2)
    assert (outcome.code, outcome.err) == (0, "")


def test_json_is_that_of_the_library(models: Path, here: Path) -> None:
    outcome = segue("why", models / "sasrec", *SESSION, "-k", 3, "--exclude-seen", "--json")
    found = why(load(models / "sasrec"), ["1001", "1002", "never"], k=3, exclude_seen=True)
    assert json.loads(outcome.out) == json.loads(json.dumps(found.to_dict()))
    assert [row.name for row in found.attention or ()] == ["head 1", "head 2"]


@pytest.mark.parametrize("model", ["markov", "sasrec"])
def test_a_picture_and_a_page_are_written(model: str, models: Path, here: Path) -> None:
    for name in ("why.png", "why.svg", "why.html"):
        outcome = segue("why", models / model, *SESSION, "-k", 3, "--out", name)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.endswith(f"Ignored, as it is not in the training data: 'never'\nWrote {name}.\n")
    assert sorted(tree(here)) == ["why.html", "why.png", "why.svg"]
    picture, page = ((here / name).read_text(encoding="utf-8") for name in ("why.svg", "why.html"))
    name = load(here / models / model).vocabulary.names.names[1]
    for text in (picture, page):
        assert f"1  {name}" in text
        assert ("Attention" in text) == (model == "sasrec")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_names_cannot_break_the_page(here: Path, models: Path) -> None:
    from segue.models.why.answer import ExplainedEvent, ExplainedItem, Part, Why
    from segue.models.why.picture import write_why

    bad = "<script>alert(1)</script>\x1b[31m {{ 1 }}"
    part = Part("rule", "a rule", 1.0, (1,), (0,))
    item = ExplainedItem(1, bad, 1.0, (part,), (1.0,))
    found = Why("model", (ExplainedEvent(1, bad),), 0, (), (item,), None)
    write_why(found, here / "why.html", title=bad, name_of=lambda _: bad)
    page = (here / "why.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\x1b" not in page
    assert "{{ 1 }}" in page


REFUSED = {
    "no session": ((), "--items: is missing"),
    "wrong suffix": ((*SESSION, "--out", "a.pdf"), "out: must end in .png, .svg or .html, got 'a.pdf'"),
    "unknown item": (
        (*SESSION, "--of", "Running shoe"),
        "--of: must hold ids or names of known items, got 'Running shoe'",
    ),
    "too many": ((*SESSION, "-k", "9999"), "k: must be between 1 and the"),
    "nothing to draw": (("--items", "never", "--out", "a.png"), "out: needs a session with an event that the model"),
    "a context that it does not read": ((*SESSION, "--context", "shop=a"), "context: markov can read time"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_explained_is_refused(name: str, models: Path, here: Path) -> None:
    options, message = REFUSED[name]
    outcome = segue("why", models / "markov", *options)
    assert (outcome.code, message in outcome.err, "Traceback" in outcome.err) == (2, True, False), outcome.err
    assert tree(here) == {}


def test_popular_items_are_called_popular(models: Path) -> None:
    outcome = segue("why", models / "markov", "--items", "never", "-k", 2)
    assert outcome.code == 0
    assert "its popularity" in outcome.out
    assert "'never'" in outcome.out
