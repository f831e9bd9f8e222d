import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from made_up import parts, results, row
from segue.evaluation.linter.checks import Finding
from segue.experiment.report import write_reports
from segue.experiment.report.markdown import markdown
from segue.experiment.report.page import page
from segue.experiment.results import Difference, Epoch, Example, Results

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a|b",
    'x" onload="alert(2)',
    "1. #\n# h",
]
DOCS = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.fixture(scope="module")
def full() -> Results:
    """A run in which every field says something."""
    curve = [Epoch(epoch=n, loss=7 - n, validation=n / 10, seconds=1.0) for n in (1, 2, 3)]
    roc = [(0.0, 0.0), (0.1, 0.6), (1.0, 1.0)]
    gru = row("gru4rec", 0.4, curve=curve, roc=roc, slices=parts({"2": 0.31416, "3+": 0.5}), notes=["no times"])
    chain = row("markov", 0.3, baseline=True, slices=parts({"2": 0.2, "3+": 0.4}))
    told = {"difference": 0.1, "interval": (0.05, 0.15), "p_value": 0.0004}
    return results(
        gru,
        chain,
        notes=["time: unix seconds"],
        verdicts=["gru4rec loses to the baseline markov on mrr@20"],
        findings=[
            Finding(code="overlap-in-time", severity="note", subject="log", message="known of this split"),
            Finding(code="target-in-input", severity="error", subject="log", message="the target is in the input"),
        ],
        differences=[
            Difference(one="gru4rec", other="markov", metric="recall@20", adjusted=0.0008, significant=True, **told),
            Difference(one="gru4rec", other="markov", metric="mrr@20", adjusted=0.2, significant=False, **told),
        ],
        examples=[
            Example(
                session=["Lamp", "Desk"],
                target=["Chair"],
                lists={"gru4rec": ["Chair", "Sofa"], "markov": ["Sofa", "Lamp"]},
            )
        ],
    )


@pytest.fixture(scope="module")
def hostile() -> Results:
    """A run in which every text that a log can bring is an attack."""
    labels = [*HOSTILE, "model"]
    rows = [
        row(label, 0.1 + n / 10, slices=parts(dict.fromkeys(HOSTILE, 0.5), dimension=HOSTILE[n % 2]), notes=HOSTILE)
        for n, label in enumerate(labels)
    ]
    curve = [Epoch(epoch=n, loss=1.0, seconds=1.0) for n in (1, 2)]
    rows = [one.model_copy(update={"curve": curve, "roc": [(0.0, 0.0), (1.0, 1.0)]}) for one in rows]
    differences = [
        Difference(
            one=text, other=text, metric=text, difference=0, interval=(0, 0), p_value=1, adjusted=1, significant=False
        )
        for text in HOSTILE
    ]
    return results(
        *rows,
        log=HOSTILE[0],
        notes=HOSTILE,
        verdicts=HOSTILE,
        differences=differences,
        findings=[Finding(code="c", severity="error", subject=text, message=text) for text in HOSTILE],
        examples=[Example(session=HOSTILE, target=HOSTILE, lists=dict.fromkeys(labels, HOSTILE))],
    )


class Tags(HTMLParser):
    """Collects the tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if text := " ".join(data.split()):
            self.texts.append(text)

    @property
    def headings(self) -> list[str]:
        return [str(one["id"]) for tag, one in self.tags if tag == "h2"]


@pytest.fixture(scope="module")
def full_page(full: Results) -> str:
    return page(full)


@pytest.fixture(scope="module")
def hostile_page(hostile: Results) -> str:
    return page(hostile)


def test_every_part_of_a_full_run_is_in_the_page(full_page: str) -> None:
    seen = Tags(full_page)
    order = [
        "leaderboard",
        "differences",
        "findings",
        "curves",
        "slices",
        "costs",
        "examples",
        "log",
        "models",
        "protocol",
    ]
    assert seen.headings == order
    for text in (
        "0.4000",
        "0.3900 – 0.4100",
        "+0.0500 to +0.1500",
        "0.0008",
        "no",
        "0.3142",
        "1,234",
        "0.1235",
    ):
        assert text in seen.texts, text
    assert "gru4rec loses to the baseline markov on mrr@20" in seen.texts
    assert "gru4rec: no times" in seen.texts
    assert full_page.index("the target is in the input") < full_page.index("known of this split")
    titles = [one["aria-label"] for tag, one in seen.tags if tag == "svg"]
    assert titles == [
        *("recall@20", "mrr@20", "Receiver operating characteristic"),
        *("Training loss", "Validation metric", "session length", "Quality against the wait"),
    ]


def test_every_part_of_a_full_run_is_in_the_markdown(full: Results) -> None:
    text = markdown(full)
    for line in (
        "| **gru4rec** | 0.4000 [0.3900, 0.4100] | 0.2000 | 1.0 | 2.0 | 300 | 12,345 | 0.40 |",
        "| *markov* | 0.3000 [0.2900, 0.3100] | 0.1500 | 1.0 | 2.0 | 300 | 12,345 | 0.30 |",
        "| gru4rec - markov | recall@20 | +0.1000 [+0.0500, +0.1500] | 0.0008 | yes |",
        "| gru4rec - markov | mrr@20 | +0.1000 [+0.0500, +0.1500] | 0.2000 | no |",
        "| session length: 2 | 50 | 0.3142 | 0.2000 |",
        "- log: the target is in the input (error target-in-input)",
        "- gru4rec loses to the baseline markov on mrr@20",
        "- time: unix seconds",
        "- gru4rec: no times",
        "- Lamp → Desk → **Chair**",
        "    - gru4rec: **Chair** · Sofa",
    ):
        assert f"{line}\n" in text, line


def test_what_followed_is_marked_where_a_model_lists_it(full_page: str) -> None:
    assert "<td>gru4rec</td><td><mark>Chair</mark> · Sofa</td>" in full_page
    assert "<td>markov</td><td>Sofa · Lamp</td>" in full_page


def test_the_docs_name_every_part_of_the_page(full_page: str) -> None:
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", full_page)
    assert [title for title in titles if f"## {title}\n" not in DOCS.read_text(encoding="utf-8")] == []


def test_decimal_places_are_those_of_the_protocol(full: Results) -> None:
    two = full.model_copy(update={"protocol": {**full.protocol, "decimals": 2}})
    texts = Tags(page(two)).texts
    assert "0.39 – 0.41" in texts
    assert "0.3142" not in texts
    assert "| **gru4rec** | 0.40 [0.39, 0.41] | 0.20 |" in markdown(two)


@pytest.mark.parametrize(("candidates", "warned"), [("uni100", True), ("full", False), ("labeled", False)])
def test_figures_among_drawn_items_wear_a_badge(candidates: str, warned: bool) -> None:
    drawn = results(protocol={"ranking": {"candidates": candidates}})
    assert (f"sampled: {candidates}" in page(drawn)) is warned
    assert (f"**Sampled ({candidates})" in markdown(drawn)) is warned


def test_a_log_cannot_put_markup_into_the_page(full_page: str, hostile_page: str) -> None:
    usual = {tag for tag, _ in Tags(full_page).tags}
    seen = Tags(hostile_page)
    assert {tag for tag, _ in seen.tags} <= usual
    assert not [one for _, one in seen.tags if any(name.startswith("on") for name in one)]
    assert {"</script><script>alert(1)</script>", "a|b"} <= set(seen.texts)


def test_a_log_cannot_put_markup_into_the_markdown(hostile: Results) -> None:
    text = markdown(hostile)
    assert not re.search("<[^ ]", text)
    assert text.count("\n# ") == 0
    assert "- 1\\. #\\\\n# h\n" in text
    tables = [line for line in text.split("\n") if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in tables]
    assert widths[: len(hostile.models) + 2] == [8] * (len(hostile.models) + 2)
    assert "a\\|b" in text


def test_emphasis_and_links_of_a_name_are_only_text() -> None:
    text = markdown(results(notes=["*a* _b_ snake_case [c](d) `e` ~~f~~ &lt; \\", "+ g", "12) h", "# 3 < 4 & 5 > 4"]))
    assert "- \\*a\\* \\_b\\_ snake_case \\[c\\](d) \\`e\\` \\~\\~f\\~\\~ &amp;lt; \\\\\n" in text
    assert "- \\+ g\n- 12\\) h\n- \\# 3 < 4 & 5 > 4\n" in text


@pytest.mark.parametrize("name", ["full_page", "hostile_page"])
def test_the_page_needs_nothing_else(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    seen = Tags(text)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in seen.tags}
    for _, one in seen.tags:
        for attribute, value in one.items():
            assert attribute not in ("src", "srcset", "data", "action"), attribute
            assert attribute.split(":")[-1] != "href" or str(value).startswith("#")
            assert "://" not in str(value) or attribute.startswith("xmlns")
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


@pytest.mark.parametrize("name", ["full_page", "hostile_page"])
def test_names_of_pictures_are_unique_in_the_page(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    ids = [one["id"] for _, one in Tags(text).tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)


def test_equal_results_give_equal_files(full: Results, tmp_path: Path) -> None:
    full.write(tmp_path / "results.json")
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        write_reports(Results.read(tmp_path / "results.json"), folder)
    for name in ("report.md", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_model_alone_without_intervals_gives_a_page_of_what_there_is() -> None:
    alone = results(row("gru4rec", 0.4, confidence={}))
    seen = Tags(page(alone))
    assert seen.headings == ["leaderboard", "findings", "log", "models", "protocol"]
    assert "No findings." in seen.texts
    assert "| **gru4rec** | 0.4000 | 0.2000 |" in markdown(alone)


def test_a_verdict_is_no_finding_as_well() -> None:
    lost = Finding(code="loses-to-baseline", severity="warning", subject="gru4rec", message="worse")
    told = results(verdicts=["gru4rec loses to the baseline markov"], findings=[lost])
    texts = Tags(page(told)).texts
    assert "No findings. The verdicts on the models are below the leaderboard." in texts
    assert not any("loses-to-baseline" in text for text in texts)


def test_what_is_no_number_is_a_dash() -> None:
    odd = row("gru4rec", 0.4, metrics={"recall@20": math.nan, "mrr@20": math.inf}, confidence={})
    odd = odd.model_copy(update={"slices": parts({"2": math.nan, "3+": 0.5})})
    curve = [Epoch(epoch=n, loss=math.inf, validation=math.nan, seconds=1.0) for n in (1, 2)]
    odd = odd.model_copy(update={"curve": curve})
    told = results(odd, row("markov", 0.3, baseline=True))
    for text in (page(told), markdown(told)):
        assert not re.search(r"\b(NaN|nan|inf|Infinity|None|undefined)\b", text)
    assert "| **gru4rec** | – | – |" in markdown(told)


def test_long_lists_of_what_followed_are_cut() -> None:
    told = results(examples=[Example(session=["a"], target=[f"t{n}" for n in range(12)], lists={})])
    assert "t9 · and 2 more</mark>" in page(told)
    assert "t9 · and 2 more**" in markdown(told)


def test_without_vl_convert_the_page_has_no_charts_and_names_the_extra(
    full: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    write_reports(full, tmp_path)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == markdown(full)
    seen = Tags((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No charts: a chart needs the extra 'report': pip install \"segue[report]\"." in seen.texts
    assert {"leaderboard", "slices", "protocol"} <= set(seen.headings)
    assert {"svg", "figure"}.isdisjoint({tag for tag, _ in seen.tags})
    assert "0.3142" in seen.texts
