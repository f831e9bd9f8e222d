"""``segue add-items``, and what ``segue recommend`` says of such items and of context."""

import json
from pathlib import Path

import polars as pl
import pytest
from command import segue

from segue import ALS, SASRec, prepare, read


@pytest.fixture(scope="module")
def data():
    groups = ["shoe"] * 3 + ["hat"] * 3
    session = [number // 3 for number in range(60)]
    item = [3 * (number // 3 % 2) + number % 3 for number in range(60)]
    log = pl.DataFrame({"session": session, "item": item, "shop": ["a", "b"] * 30})
    return prepare(read(log, items=pl.DataFrame({"item": list(range(6)), "group": groups})), split="ratio")


def test_items_are_added_to_an_artifact(data, tmp_path: Path) -> None:
    model = ALS(factors=2).fit(data.train).save(tmp_path / "als", protocol="kept")
    (tmp_path / "new.csv").write_text("item,group\n7,shoe\n8,tie\n1,hat\n")
    outcome = segue("add-items", model, tmp_path / "new.csv", "--by", "group")
    assert outcome.code == 0
    assert "2 items added: 1 are scored as similar items,\n1 are like no other" in outcome.out
    assert json.loads((model / "manifest.json").read_text())["about"] == {"protocol": "kept"}
    shown = segue("recommend", model, "--items", "0", "-k", 8)
    assert "Added after training: 7 (similar items), 8 (fallback)\n" in shown.out
    assert json.loads(segue("recommend", model, "--items", "0", "-k", 4, "--json").out)["cold"] == {
        "7": "similar items"
    }


def test_the_context_of_a_session_can_be_told(data, tmp_path: Path) -> None:
    parameters = {"features": ["shop"], "embedding_size": 4, "training": {"epochs": 1}}
    model = SASRec(**parameters).fit(data.train).save(tmp_path / "sasrec")
    told = segue("recommend", model, "--items", "0,1", "-k", 3, "--json", "--context", "shop=a,b")
    untold = segue("recommend", model, "--items", "0,1", "-k", 3, "--json")
    assert json.loads(told.out)["scores"] != json.loads(untold.out)["scores"]
    same, each = (
        json.loads(segue("recommend", model, "--items", "0,1", "-k", 3, "--json", "--context", f"shop={shops}").out)
        for shops in ("a", "a,a")
    )
    assert same == each
    wrong = segue("recommend", model, "--items", "0,1", "--context", "a")
    assert (wrong.code, "--context: must be NAME=VALUE,VALUE,..., got 'a'" in wrong.err) == (2, True)
