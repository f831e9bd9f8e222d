"""Every topic is complete, its options exist, and the pages of the docs are current."""

import re
import runpy
from pathlib import Path

import pytest

from segue.cli.main import import_command
from segue.errors import ParameterError, UnknownNameError
from segue.explain.catalogue import CHAPTERS, TOPICS, find
from segue.explain.topic import Topic
from segue.metrics import SELECTION_METRICS
from segue.nn.losses.functions import LOSSES

DOCS = Path(__file__).parents[2] / "docs"
PAGES: dict[Path, str] = runpy.run_path(str(DOCS / "explain_pages.py"))["pages"]()
SECTIONS = ["Worked example", "Options", "Pitfall"]


@pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
def test_a_topic_says_all_that_a_reader_looks_for(topic: Topic) -> None:
    text = topic.markdown()
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert headings in ([*SECTIONS, "Source"], [*SECTIONS, "Sources"])
    assert 3 <= len(re.findall(r"[.?](?:\s|$)", " ".join(topic.idea.split()))) <= 8
    assert len(topic.pitfall.split()) > 30
    assert topic.options
    assert all(re.search(r"(19|20)\d\d", source) for source in topic.sources)
    assert max(map(len, topic.formula.splitlines())) < 140


def test_names_lead_to_one_topic_each() -> None:
    names = [name for topic in TOPICS.values() for name in (topic.name, *topic.also)]
    assert sorted(names) == sorted(set(names))
    assert len(TOPICS) == sum(len(chapter.topics) for chapter in CHAPTERS)
    assert all(re.fullmatch(r"[a-z0-9@-]+", name) for name in names)


def test_every_loss_is_explained_with_its_formula() -> None:
    topic = TOPICS["losses"]
    for name in (*LOSSES, "sampled-softmax", "cosine", "listnet", "lambdarank"):
        assert re.search(rf"^\s*{name} {{2,}}", topic.formula, flags=re.MULTILINE), name
    assert all(find(name) for name in LOSSES)


def test_ranking_metrics_lead_to_their_topic() -> None:
    for name in SELECTION_METRICS:
        if name != "user_auc":
            assert find(name).name == "ranking-metrics"


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    assert find("Layer Norm").name == "normalisation"
    with pytest.raises(UnknownNameError, match="unknown topic 'distilation': did you mean 'distillation'"):
        find("distilation")


def test_an_option_that_does_not_exist_is_refused() -> None:
    topic = TOPICS["dropout"]
    wrong = Topic(**{**vars(topic), "options": ("sasrec.drop",)})
    with pytest.raises(ParameterError, match=r"sasrec\.drop"):
        wrong.markdown()


def test_options_of_commands_exist() -> None:
    rows = [
        name.split(".") for topic in TOPICS.values() for name in topic.options if name.split(".")[0] in ("run", "plot")
    ]
    assert rows
    for command, name in rows:
        assert f"--{name.replace('_', '-')}" in {flag for one in import_command(command).params for flag in one.opts}


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_the_pages_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], "run: python docs/explain_pages.py"


def test_there_is_no_other_page() -> None:
    assert {path.name for path in (DOCS / "explain").iterdir()} == {path.name for path in PAGES}
