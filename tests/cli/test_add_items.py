"""``segue add-items``, and what ``segue recommend`` says of such items and of context."""

import json
from pathlib import Path

import polars as pl
import pytest
from command import segue, tree

from segue import prepare
from segue.data.readers.read import read
from segue.models.als import ALS
from segue.models.sasrec import SASRec


@pytest.fixture(scope="module")
def data():
    groups = ["shoe"] * 3 + ["hat"] * 3
    session = [number // 3 for number in range(60)]
    item = [3 * (number // 3 % 2) + number % 3 for number in range(60)]
    log = pl.DataFrame({"session": session, "item": item, "shop": ["a", "b"] * 30})
    return prepare(read(log, items=pl.DataFrame({"item": list(range(6)), "group": groups})), split="ratio")


def test_items_are_added_to_an_artifact(data, tmp_path: Path) -> None:
    model = ALS(embedding_size=2).fit(data.train).save(tmp_path / "als", protocol="kept")
    (tmp_path / "new.csv").write_text("item,group\n7,shoe\n8,tie\n1,hat\n", encoding="utf-8")
    outcome = segue("add-items", model, tmp_path / "new.csv", "--by", "group")
    assert outcome.code == 0
    assert "2 items added: 1 scored like similar items, 1 ranked last, as nothing is similar.\n" in outcome.out
    assert json.loads((model / "manifest.json").read_text(encoding="utf-8"))["about"] == {"protocol": "kept"}
    shown = segue("recommend", model, "--items", "0", "-k", 8)
    assert "Added after training: 7 (similar items), 8 (fallback)\n" in shown.out
    assert json.loads(segue("recommend", model, "--items", "0", "-k", 4, "--json").out)["cold"] == {
        "7": "similar items"
    }


def test_nothing_new_is_said_and_nothing_is_written(data, tmp_path: Path) -> None:
    model = ALS(embedding_size=2).fit(data.train).save(tmp_path / "als")
    for content, said in (("1,hat\n", f"{model} already knows all items of"), ("", "contains no items")):
        (tmp_path / "new.csv").write_text("item,group\n" + content, encoding="utf-8")
        before = tree(tmp_path)
        outcome = segue("add-items", model, tmp_path / "new.csv", "--by", "group", "--to", tmp_path / "als-2")
        assert (outcome.code, said in outcome.out) == (0, True)
        assert outcome.out.endswith("nothing was written.\n")
        assert tree(tmp_path) == before


def test_another_model_is_replaced_only_if_that_is_asked_for(data, tmp_path: Path) -> None:
    model = ALS(embedding_size=2).fit(data.train).save(tmp_path / "als")
    other = ALS(embedding_size=3).fit(data.train).save(tmp_path / "other")
    (tmp_path / "new.csv").write_text("item,group\n7,shoe\n", encoding="utf-8")
    before = tree(tmp_path)
    command = ("add-items", model, tmp_path / "new.csv", "--by", "group", "--to")
    refused = segue(*command, other)
    assert refused.err == (
        f"error: --to: {other} already contains a model; add --overwrite to replace it, or choose another folder\n"
    )
    assert tree(tmp_path) == before
    assert "1 item added: 1 scored" in segue(*command, other, "--overwrite").out
    assert segue(*command, model).code == 0


def test_items_of_a_run_without_metadata_are_asked_for(tmp_path: Path) -> None:
    data = prepare(read(pl.DataFrame({"session": [0, 0, 1, 1, 2, 2] * 9, "item": [1, 2] * 27})), split="ratio")
    model = ALS(embedding_size=2).fit(data.train).save(tmp_path / "als")
    (tmp_path / "new.csv").write_text("item,group\n7,shoe\n", encoding="utf-8")
    assert segue("add-items", model, tmp_path / "new.csv", "--by", "group").err == (
        f"error: --by: must name metadata of the items that {model} was trained on (none), got 'group'; "
        "give --items to segue run, or items= to segue.read\n"
    )


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


def test_items_are_added_by_their_vectors(data, tmp_path: Path) -> None:
    model = ALS(embedding_size=2).fit(data.train).save(tmp_path / "als")
    vectors = tmp_path / "vectors.parquet"
    pl.DataFrame({"item": range(8), "vector": [[float(item // 3), 1.0] for item in range(8)]}).write_parquet(vectors)
    assert segue("add-items", model, vectors).err == (
        "error: --by or --item-vectors: give one of them, or both: what new items are scored by\n"
    )
    outcome = segue("add-items", model, vectors, "--item-vectors", vectors)
    assert "2 items added: 2 scored by their vectors.\n" in outcome.out


def test_the_column_of_ids_can_be_named(data, tmp_path: Path) -> None:
    model = ALS(embedding_size=2).fit(data.train).save(tmp_path / "als")
    vectors = tmp_path / "vectors.parquet"
    pl.DataFrame({"code": range(8), "vector": [[float(item // 3), 1.0] for item in range(8)]}).write_parquet(vectors)
    command = ("add-items", model, vectors, "--item-vectors", vectors)
    assert (
        f"{vectors}: has no column for the item; it has 'code', 'vector'; rename one of them to 'item', or say which "
        "one it is, for example columns={'item': 'code'} or --columns item=code"
    ) in segue(*command).err
    assert segue(*command, "--columns", "item=code").out.startswith("2 items added: 2 scored by their vectors.\n")


def test_a_run_records_its_vectors_and_resumes_with_no_others(tmp_path: Path) -> None:
    log, vectors, out = tmp_path / "log.csv", tmp_path / "vectors.parquet", tmp_path / "out"
    items = [number * 7 % 12 for number in range(360)]
    pl.DataFrame({"session": [number // 6 for number in range(360)], "item": items}).write_csv(log)
    table = pl.DataFrame({"item": range(12), "vector": [[float(item), float(item % 3)] for item in range(12)]})
    table.write_parquet(vectors)
    settings = ("sasrec.item_vectors=features", "sasrec.embedding_size=4", "sasrec.training.epochs=1")
    command = ["run", log, "--model", "sasrec", "--no-baselines", "--out", out]
    command += [part for one in settings for part in ("--set", one)]
    assert "'features' needs vectors of the items" in segue(*command).err
    assert segue(*command, "--item-vectors", vectors).code == 0
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    manifest = json.loads((out / "sasrec" / "manifest.json").read_text(encoding="utf-8"))
    facts = manifest["about"]["item_vectors"]
    assert facts == results["data"]["item_vectors"]
    assert (facts["size"], facts["items"], facts["without"], len(facts["sha256"])) == (2, 12, 0, 64)
    assert results["item_vectors"] == str(vectors)
    table.with_columns(pl.col("vector").list.eval(pl.element() + 1)).write_parquet(vectors)
    assert (
        f"was started with item_vectors {facts['sha256']}" in segue(*command, "--item-vectors", vectors, "--resume").err
    )
