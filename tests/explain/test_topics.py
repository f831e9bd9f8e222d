"""Every topic is complete, its options exist, and the pages of the docs are current."""

import re
import runpy
from functools import cache
from pathlib import Path

import pytest
import torch

from segue.cli.main import import_command
from segue.errors import ParameterError, UnknownNameError
from segue.experiment.config import parse_settings
from segue.explain.catalogue import CHAPTERS, TOPICS, find
from segue.explain.topic import Topic, option_settings
from segue.metrics import SELECTION_METRICS
from segue.models.gru4rec import GRU4RecTraining
from segue.models.registry import model_class, model_names
from segue.nn.losses.functions import LOSSES, bce, gbce
from segue.parameters import describe, kinds_of
from segue.protocols.protocol import Protocol
from segue.training.config import Distillation, SequenceTraining
from segue.validation import build

DOCS = Path(__file__).parents[2] / "docs"
GENERATOR = runpy.run_path(str(DOCS / "explain_pages.py"))
SECTIONS = ["Worked example", "Options", "Pitfall"]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """The generated pages by their names."""
    return {path.name: text for path, text in GENERATOR["pages"]().items()}


@cache
def markdown(name: str) -> str:
    """Return the text of a topic; some examples take seconds."""
    return TOPICS[name].markdown()


@pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
def test_a_topic_says_all_that_a_reader_looks_for(topic: Topic) -> None:
    text = markdown(topic.name)
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    sources = "Source" if len(topic.sources) == 1 else "Sources"
    assert headings == [*(["Which to use, and when"] if topic.guide else []), *SECTIONS, sources, "Further reading"]
    assert 3 <= len(re.findall(r"[.?](?:\s|$)", " ".join(topic.idea.split()))) <= 8
    assert len(topic.pitfall.split()) > 30
    assert topic.options
    assert all(re.search(r"(19|20)\d\d", source) for source in topic.sources)
    assert max(map(len, topic.formula.splitlines())) < 140


@pytest.mark.parametrize("topic", TOPICS.values(), ids=list(TOPICS))
def test_a_topic_leads_to_pages_of_the_docs(topic: Topic) -> None:
    assert topic.pages
    text = markdown(topic.name)
    for page in topic.pages:
        assert (DOCS / page.partition("#")[0]).is_file(), page
        assert f"\n- `docs/{page}`\n" in text


def test_a_topic_as_values_leads_to_the_same_pages() -> None:
    topic = TOPICS["k-core"]
    assert topic.to_dict()["pages"] == list(topic.pages)


def test_pages_are_links_with_their_titles_in_the_docs(pages: dict[str, str]) -> None:
    text = pages["vectors.md"]
    assert "\n- [Item embeddings](../embeddings.md)\n" in text
    assert "\n- [Item embeddings: How to read a plot](../embeddings.md#how-to-read-a-plot)\n" in text


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


def test_the_guide_names_every_loss_of_every_kind_of_model() -> None:
    found: dict[str, set[str]] = {"encoders": set(), "GRU4Rec": set(), "two-stage": set()}
    rows = [line.strip().strip("| ").split(" | ") for line in TOPICS["losses"].guide.splitlines() if "`" in line]
    for names, _, models, _ in (row for row in rows if len(row) == 4):
        for model in ["encoders", "GRU4Rec"] if models == "both" else [models]:
            found[model] |= set(re.findall(r"`([a-z0-9-]+)`", names))
    assert found["encoders"] == set(kinds_of(SequenceTraining.model_fields["loss"]))
    assert found["GRU4Rec"] == set(kinds_of(GRU4RecTraining.model_fields["loss"]))
    assert found["two-stage"] == {"listnet", "lambdarank"}
    for name in model_names():
        rules = {one.name: one.rule for one in describe(model_class(name).Config)}
        if "training.loss" in rules:
            assert set(rules["training.loss"].split(" | ")) == found["GRU4Rec" if name == "gru4rec" else "encoders"]


def test_gbce_without_calibration_weighs_the_target_as_one_negative() -> None:
    scores, target = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([0])
    of_target, of_negatives = bce(scores[:, :1], target), bce(scores, target) - bce(scores[:, :1], target)
    expected = (of_target + 2 * of_negatives) / 3
    torch.testing.assert_close(gbce(scores, target, n_items=1000, calibration=0.0), expected)
    torch.testing.assert_close(gbce(scores[:, :2], target, calibration=0.0), bce(scores[:, :2], target) / 2)


def test_ranking_metrics_lead_to_their_topic() -> None:
    for name in (*SELECTION_METRICS, "auc"):
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


def test_an_option_of_another_kind_is_shown_with_its_kind() -> None:
    loss = "sasrec.training.loss"
    assert option_settings(f"{loss}.logq") == [f"--set {loss}=sampled-softmax", f"--set {loss}.logq=1.0"]
    assert option_settings("gru4rec.training.loss.logq") == ["--set gru4rec.training.loss.logq=1.0"]
    with pytest.raises(ParameterError, match="logq"):
        model_class("sasrec")(**parse_settings([f"{loss}.logq=1.0"])["sasrec"])


@pytest.mark.parametrize("option", sorted({name for topic in TOPICS.values() for name in topic.options}))
def test_the_settings_of_an_option_can_be_pasted(option: str) -> None:
    settings = [one.removeprefix("--set ") for one in option_settings(option) if one.startswith("--set ")]
    if not settings or settings[-1].endswith("=..."):
        return
    ((owner, parameters),) = parse_settings(settings).items()
    match owner:
        case "protocol":
            build(Protocol, owner, parameters=parameters)
        case "distillation":
            build(Distillation, owner, parameters=parameters)
        case _:
            model_class(owner)(**parameters)


def test_options_of_commands_exist() -> None:
    rows = [
        name.split(".") for topic in TOPICS.values() for name in topic.options if name.split(".")[0] in ("run", "plot")
    ]
    assert rows
    for command, name in rows:
        assert f"--{name.replace('_', '-')}" in {flag for one in import_command(command).params for flag in one.opts}


def test_the_pages_are_up_to_date(pages: dict[str, str]) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "explain").iterdir()}
    assert written.keys() == pages.keys()
    assert [name for name in pages if written[name] != pages[name]] == [], "run: python docs/explain_pages.py"
