"""segue doctor on a real run, as a table and as JSON."""

import json
from pathlib import Path

from command import Outcome, segue

from segue.doctor.checklist import RULES


def test_a_run_is_checked(finished: tuple[Path, Outcome]) -> None:
    found = segue("doctor", finished[0])
    assert found.code == 0
    assert all(rule.name in found.out for rule in RULES)
    assert "under-trained" in found.out
    assert "gru4rec: one epoch is too few" in " ".join(found.out.split())
    assert "segue explain learning-curves" in found.out


def test_json_holds_every_verdict(finished: tuple[Path, Outcome]) -> None:
    verdicts = json.loads(segue("doctor", finished[0], "--json").out)["verdicts"]
    assert [one["rule"] for one in verdicts] == [rule.name for rule in RULES]
    statuses = {one["rule"]: one["status"] for one in verdicts}
    assert statuses["collapsed-vectors"] in ("ok", "look")
    assert statuses["under-trained"] == statuses["seeds"] == "look"
    assert statuses["repeatability"] == statuses["candidates"] == "ok"


def test_a_folder_that_is_no_run_is_one_message(tmp_path: Path) -> None:
    found = segue("doctor", tmp_path)
    assert (found.code, found.out) == (2, "")
    assert found.err == f"error: {tmp_path / 'results.json'}: does not exist; name the folder of a run that has ended\n"
