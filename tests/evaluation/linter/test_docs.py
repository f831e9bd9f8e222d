"""docs/linter.md says what the checks do."""

import re
from pathlib import Path

from segue.evaluation.linter import LOG_CHECKS
from segue.evaluation.linter.results import RESULT_CHECKS
from segue.evaluation.linter.scores import SCORE_CHECKS
from segue.evaluation.linter.split import MIN_TIMED_EVENTS, MIN_UNTIMED_EVENTS

TEXT = (Path(__file__).parents[3] / "docs" / "linter.md").read_text(encoding="utf-8")


def rows(title):
    """First two cells of the table in a section."""
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \| (\w+) \|", section, flags=re.MULTILINE)


def test_every_code_is_documented_with_its_severity():
    for title, checks in (("The log", LOG_CHECKS), ("Scores", SCORE_CHECKS), ("Results", RESULT_CHECKS)):
        assert rows(title) == [(check.code, check.severity) for check in checks]


def test_codes_are_unique():
    codes = [check.code for check in (*LOG_CHECKS, *SCORE_CHECKS, *RESULT_CHECKS)]
    assert len(set(codes)) == len(codes)


def test_the_lengths_of_sessions_that_tell_something():
    assert (MIN_TIMED_EVENTS, MIN_UNTIMED_EVENTS) == (3, 4)
    assert "sessions of three events or more" in TEXT
    assert "four and more where there are no times" in TEXT
