"""segue explain: topics on a terminal, in a pipe and as JSON."""

import json

import pytest
from command import segue

from segue.explain.catalogue import TOPICS


def test_the_topics_are_listed() -> None:
    found = segue("explain")
    assert found.code == 0
    assert all(f"  {name} " in found.out for name in TOPICS)


def test_a_topic_is_plain_markdown_where_it_is_no_terminal() -> None:
    found = segue("explain", "recall")
    assert (found.code, found.out) == (0, TOPICS["ranking-metrics"].markdown())


def test_a_topic_is_rendered_on_a_terminal() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORCE_COLOR", "1")
        patch.setenv("TERM", "xterm-256color")
        found = segue("explain", "ties")
    assert "Worked example" in found.out
    assert "## Worked" not in found.out
    assert "\x1b[" in found.out
    assert "0.0519" in found.out


def test_a_wrong_name_is_one_message() -> None:
    found = segue("explain", "atention")
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: unknown topic 'atention': did you mean 'attention'?")


def test_json_holds_the_parts() -> None:
    topic = json.loads(segue("explain", "k-core", "--json").out)
    assert topic["name"] == "k-core"
    assert "| 2 | 2 | 4 |" in topic["example"]
    listed = json.loads(segue("explain", "--json").out)
    assert listed["The data"]["k-core"] == "k-core filtering"
