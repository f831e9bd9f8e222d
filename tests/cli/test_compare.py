"""Runs in one table: significant differences, what does not compare, and several seeds."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import segue, write_shop

from segue.errors import ParameterError
from segue.evaluation.slices import DIMENSIONS
from segue.experiment.comparison.case_values import CaseValues, cases_file
from segue.experiment.comparison.compare import compare

BPR = ("--set", "bpr.embedding_size=8", "--set", "bpr.training.epochs=5")

Runs = dict[str, Path]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two runs that differ by their seed, one under another protocol, and one on another log. Not to be written to."""
    folder = tmp_path_factory.mktemp("compare")
    log, other = write_shop(folder / "shop.csv", 800), write_shop(folder / "other.csv", 800, seed=1)
    both = ("--model", "markov,bpr", "--no-baselines", *BPR)
    for name, options in {
        "zero": (log, *both),
        "one": (log, *both, "--seed", 1),
        "days": (log, "--model", "markov", "--no-baselines", "--set", "protocol.split.test_days=2"),
        "elsewhere": (other, "--model", "markov", "--no-baselines"),
    }.items():
        outcome = segue("run", *options, "--out", folder / name)
        assert outcome.code == 0, outcome.err
    return {name: folder / name for name in ("zero", "one", "days", "elsewhere")}


def compared(*arguments: object) -> dict[str, Any]:
    outcome = segue("compare", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_one_run_is_a_table_of_its_models(runs: Runs) -> None:
    found = compared(runs["zero"])
    results = json.loads((runs["zero"] / "results.json").read_text(encoding="utf-8"))
    assert found["metrics"] == results["protocol"]["headline"]
    rows = {(row["metric"], row["label"]): row for row in found["rows"]}
    for model in results["models"]:
        for metric in found["metrics"]:
            assert rows[metric, model["label"]]["value"] == model["metrics"][metric]
            assert rows[metric, model["label"]]["interval"] == model["confidence"][metric]
    best, behind = rows["recall@20", "markov"], rows["recall@20", "bpr"]["to_best"]
    assert best["to_best"] is None
    assert (behind["one"], behind["other"]) == ("markov", "bpr")
    assert behind["difference"] == pytest.approx(best["value"] - rows["recall@20", "bpr"]["value"])
    assert behind["interval"][0] < behind["difference"] < behind["interval"][1]
    assert behind["significant"]
    assert behind["p_value"] < behind["adjusted"] < 0.05
    # The same pair under the same correction stands in the results of the run.
    assert behind in results["differences"]
    shown = segue("compare", runs["zero"])
    mark = results["protocol"]["hash"]
    assert shown.out.startswith(f"shop  ·  {found['cases']:,} cases  ·  session-next  ·  protocol {mark}\n")
    assert "recall@20: markov is significantly better than bpr\n" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_a_metric_may_be_asked_for(runs: Runs) -> None:
    assert compared(runs["zero"], "--metric", "ndcg@5, hit@10")["metrics"] == ["ndcg@5", "hit@10"]
    assert "did you mean 'recall@20'" in segue("compare", runs["zero"], "--metric", "recal@20").err
    coverage = compared(runs["zero"], "--metric", "coverage@20")
    assert [row["to_best"] for row in coverage["rows"]] == [None, None]
    assert "is not tested against" in coverage["lines"][0]


def test_the_table_says_what_p_is_corrected_for(runs: Runs) -> None:
    shown = " ".join(segue("compare", runs["zero"]).out.split())
    assert shown.endswith("corrected (Holm) for all pairs of models that could have been compared; sig.: p < .05.")


def test_a_baseline_that_two_runs_trained_alike_is_one_row(runs: Runs, tmp_path: Path) -> None:
    log = runs["zero"].parent / "shop.csv"
    for name, model in {"first": "v-sknn", "second": "stan"}.items():
        outcome = segue("run", log, "--model", model, "--out", tmp_path / name)
        assert outcome.code == 0, outcome.err
    both = tmp_path / "first", tmp_path / "second"
    labels = [row["label"] for row in compared(*both, "--metric", "recall@20")["rows"]]
    assert sorted(labels) == sorted({*labels, "v-sknn", "stan", "markov"})
    named = compared(both[0] / "markov", both[1] / "markov", "--metric", "recall@20")["rows"]
    assert [row["label"] for row in named] == ["first/markov", "second/markov"]


def test_runs_that_differ_by_the_seed_alone_are_one_row(runs: Runs) -> None:
    found = compared(runs["one"], runs["zero"], "--metric", "recall@20")
    rows = {row["label"]: row for row in found["rows"]}
    assert rows.keys() == {"markov", "bpr"}
    values = [
        next(row["metrics"]["recall@20"] for row in json.loads(text)["models"] if row["label"] == "bpr")
        for text in ((runs[name] / "results.json").read_text(encoding="utf-8") for name in ("zero", "one"))
    ]
    assert values[0] != values[1]
    assert rows["bpr"]["seeds"] == [0, 1]
    assert rows["bpr"]["value"] == pytest.approx(sum(values) / 2)
    assert rows["bpr"]["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert rows["markov"]["deviation"] == 0
    assert rows["bpr"]["to_best"]["difference"] == pytest.approx(rows["markov"]["value"] - rows["bpr"]["value"])
    low, high = rows["bpr"]["interval"]
    assert low < rows["bpr"]["value"] < high
    assert f"±{rows['bpr']['deviation']:.4f}" in segue("compare", runs["one"], runs["zero"]).out


def test_equal_labels_are_told_apart_by_their_runs(runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs["zero"], tmp_path / "again")
    found = compared(runs["zero"] / "bpr", tmp_path / "again" / "bpr", tmp_path / "again" / "bpr", runs["one"] / "bpr")
    assert {row["label"] for row in found["rows"]} == {"zero/bpr", "again/bpr", "one/bpr"}
    # Any of three pairs could have stood in the table by either of two metrics.
    least = min((row["to_best"] for row in found["rows"] if row["to_best"]), key=lambda test: test["p_value"])
    assert least["adjusted"] == pytest.approx(min(1.0, 6 * least["p_value"]))
    shutil.copytree(runs["zero"], tmp_path / "x" / "zero")
    found = compared(runs["zero"] / "bpr", tmp_path / "x" / "zero" / "bpr", "--metric", "mrr@20")
    assert {row["label"] for row in found["rows"]} == {f"{runs['zero']}/bpr", f"{tmp_path}/x/zero/bpr"}
    assert next(row["to_best"] for row in found["rows"] if row["to_best"])["adjusted"] == 1.0
    assert "is not significantly better than" in found["lines"][0]


def test_different_protocols_are_refused_and_it_is_said_what_differs(runs: Runs) -> None:
    outcome = segue("compare", runs["zero"], runs["days"])
    assert outcome.code == 2
    assert outcome.out == ""
    text = (
        f"protocol.split.test_days is 1.0 in {runs['zero']} and 2.0 in {runs['days']}; run both with the same settings"
    )
    assert text in outcome.err
    assert outcome.err.count("protocol.") == 1
    outcome = segue("compare", runs["zero"], runs["elsewhere"])
    assert outcome.code == 2
    assert f"the log is 'shop' (fingerprint {_fingerprint(runs['zero'])}) in {runs['zero']} and 'other' " in outcome.err


def _fingerprint(run: Path) -> str:
    return json.loads((run / "results.json").read_text(encoding="utf-8"))["protocol"]["fingerprint"]


def test_forced_they_are_shown_with_their_hashes_and_not_tested_across(runs: Runs) -> None:
    found = compared(runs["zero"], runs["days"], "--force", "--metric", "recall@20")
    rows = {row["label"]: row for row in found["rows"]}
    assert rows.keys() == {"zero/markov", "bpr", "days/markov"}
    assert rows["bpr"]["to_best"]["one"] == "zero/markov"
    assert rows["days/markov"]["to_best"] is None
    shown = segue("compare", runs["zero"], runs["days"], "--force").out
    assert shown.startswith("! 2 protocols or logs: metrics with different hashes are not comparable\n")
    for name in ("zero", "days"):
        mark = json.loads((runs[name] / "results.json").read_text(encoding="utf-8"))["protocol"]["hash"]
        assert f"recall@20, protocol {mark}: " in shown
    assert "days/markov is the only model" in shown


def test_a_table_may_be_written(runs: Runs, tmp_path: Path) -> None:
    outcome = segue("compare", runs["zero"], "--out", tmp_path / "table.md")
    assert outcome.out.endswith(f"Wrote {tmp_path / 'table.md'}.\n")
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "## recall@20\n\n| model | value | 95% interval | to best | 95% interval | p | sig. |\n" in text
    assert "\n- recall@20: markov is significantly better than bpr\n" in text
    shutil.copytree(runs["zero"], tmp_path / "a|b")
    assert segue("compare", runs["zero"], tmp_path / "a|b", "--out", tmp_path / "table.md").code == 0
    assert "\n| a\\|b/bpr | " in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_mistakes_end_in_one_message(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(runs["zero"] / "bpr", tmp_path / "bpr")
    shutil.copytree(runs["zero"], tmp_path / "begun")
    (tmp_path / "begun" / "results.json").unlink()
    shutil.copytree(runs["zero"] / "bpr", tmp_path / "whole" / "stranger")
    shutil.copy(runs["zero"] / "results.json", tmp_path / "whole")
    for arguments, message in (
        ((tmp_path / "empty",), "is not a run of segue (it has no results.json)"),
        ((tmp_path / "none",), "is not a run of segue"),
        ((tmp_path / "bpr",), "is a model that does not belong to a run"),
        ((tmp_path / "begun",), "is an unfinished run; finish it with --resume"),
        ((tmp_path / "whole" / "stranger",), "is not in the table of"),
        ((runs["days"],), "must contain at least two models to compare"),
    ):
        outcome = segue("compare", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err


def test_other_cases_under_the_same_hash_are_refused(runs: Runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["one"], run)
    for label in ("bpr", "markov"):
        path = cases_file(run, label)
        cases = CaseValues.read(path)
        replace(cases, groups=cases.groups[::-1].copy()).write(path)
    for others in ((runs["zero"],), (runs["zero"] / "markov",)):
        outcome = segue("compare", *others, run)
        assert outcome.code == 2
        assert f"{run}: was tested on different cases than {runs['zero']} under the same protocol" in outcome.err


def test_missing_damaged_and_foreign_values_are_named(runs: Runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["zero"], run)
    file = run / "cases" / "bpr.parquet"
    whole = file.read_bytes()
    for content in (None, whole[: len(whole) // 2], b"", b"PAR1"):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        outcome = segue("compare", run)
        assert outcome.code == 2
        assert f"{file}: is missing or damaged, so the values of 'bpr' in each test case are not known" in outcome.err
        file.touch()
    pl.DataFrame({"group": [1]}).write_parquet(file)
    assert "is missing or damaged" in segue("compare", run).err
    shutil.copy(runs["days"] / "cases" / "markov.parquet", file)
    assert f"{file}: does not belong to {run / 'results.json'}" in segue("compare", run).err


def test_resuming_measures_again_what_left_no_values(runs: Runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["zero"], run)
    files = {name: run / "cases" / f"{name}.parquet" for name in ("bpr", "markov")}
    before = {name: file.read_bytes() for name, file in files.items()}
    files["bpr"].unlink()
    shutil.copy(files["markov"], files["bpr"])
    files["markov"].write_bytes(b"")
    log = runs["zero"].parent / "shop.csv"
    outcome = segue("run", log, "--model", "markov,bpr", "--no-baselines", *BPR, "--out", run, "--resume")
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("it is tested again") == 2
    assert outcome.err.count("taken over from") == 2
    assert {name: file.read_bytes() for name, file in files.items()} == before


def rows(run: Path) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in json.loads((run / "results.json").read_text(encoding="utf-8"))["models"]}


def mark(run: Path) -> str:
    return json.loads((run / "results.json").read_text(encoding="utf-8"))["protocol"]["hash"]


OTHER = ("--set", "protocol.ranking.metrics=[ndcg@5,recall@20,gini@10]", "--set", "protocol.decimals=3")


def test_runs_with_other_metrics_share_a_hash_and_compare_by_what_both_measured(runs: Runs, tmp_path: Path) -> None:
    log, other = runs["zero"].parent / "shop.csv", tmp_path / "other"
    outcome = segue("run", log, "--model", "markov,bpr", "--no-baselines", *BPR, *OTHER, "--out", other)
    assert outcome.code == 0, outcome.err
    assert mark(other) == mark(runs["zero"])
    found = compared(runs["zero"], other)
    assert found["metrics"] == ["recall@20"]
    values = {row["label"]: row["value"] for row in found["rows"]}
    assert values["zero/bpr"] == values["other/bpr"] == rows(other)["bpr"]["metrics"]["recall@20"]
    assert next(row for row in found["rows"] if row["label"] == "other/bpr")["to_best"]["significant"]
    assert compared(other, runs["zero"])["metrics"] == ["ndcg@5", "recall@20"]
    refused = segue("compare", runs["zero"], other, "--metric", "mrr@20")
    assert refused.code == 2
    assert "unknown metric shared by these runs 'mrr@20'" in refused.err


def test_seeds_with_other_metrics_are_one_row_by_what_both_measured(runs: Runs, tmp_path: Path) -> None:
    log, other = runs["zero"].parent / "shop.csv", tmp_path / "other"
    metrics = ("--set", "protocol.ranking.metrics=[coverage@20,ndcg@5]")
    segue("run", log, "--model", "bpr", "--no-baselines", *BPR, *metrics, "--seed", 1, "--out", other)
    found = compared(runs["zero"] / "bpr", other / "bpr")
    assert found["metrics"] == ["ndcg@5"]
    assert [row["seeds"] for row in found["rows"]] == [[0, 1]]
    segue(
        "run",
        log,
        "--model",
        "markov",
        "--no-baselines",
        "--set",
        "protocol.ranking.metrics=[gauc]",
        "--out",
        tmp_path / "x",
    )
    assert "must share a metric to be compared by" in segue("compare", runs["zero"], tmp_path / "x").err


def test_a_metric_is_asked_for_in_a_list() -> None:
    with pytest.raises(ParameterError, match=r"metrics: must be a list of names, got 'mrr@20'; write \['mrr@20'\]"):
        compare("a", "b", metrics="mrr@20")


def test_resuming_with_other_metrics_measures_again_without_training(runs: Runs, tmp_path: Path) -> None:
    run, log = tmp_path / "run", runs["zero"].parent / "shop.csv"
    shutil.copytree(runs["zero"], run)
    command = ("run", log, "--model", "markov,bpr", "--no-baselines", *BPR, "--out", run, "--resume")
    outcome = segue(*command, *OTHER)
    assert outcome.code == 0, outcome.err
    assert outcome.err.count("taken over from") == outcome.err.count("it is tested again") == 2
    fresh = segue(*command[:-3], *OTHER, "--out", tmp_path / "fresh")
    assert fresh.code == 0, fresh.err
    for label, row in rows(run).items():
        once = rows(tmp_path / "fresh")[label]
        for name in ("metrics", "confidence", "validation", "validation_confidence", "diagnostics", "slices"):
            assert row[name] == once[name]
        assert list(row["metrics"]) == ["ndcg@5", "recall@20", "gini@10"]
        assert row["fit_seconds"] == rows(runs["zero"])[label]["fit_seconds"]
        kept = CaseValues.read(cases_file(run, label))
        assert kept.values.keys() == {"ndcg@5", "recall@20"}
        weights = [(folder / label / "arrays.safetensors").read_bytes() for folder in (run, runs["zero"])]
        assert weights[0] == weights[1]
    assert segue(*command, *OTHER).err.count("it is tested again") == 0
    assert segue(*command).code == 0
    assert {label: row["metrics"] for label, row in rows(run).items()} == {
        label: row["metrics"] for label, row in rows(runs["zero"]).items()
    }


def test_by_a_metric_of_which_lower_is_better_the_lowest_is_the_best(runs: Runs, tmp_path: Path) -> None:
    log, run = runs["zero"].parent / "shop.csv", tmp_path / "run"
    metrics = ("--set", "protocol.ranking.metrics=[popularity@20,gini@20]")
    outcome = segue("run", log, "--model", "markov,bpr", *BPR, *metrics, "--out", run)
    assert outcome.code == 0, outcome.err
    found = json.loads((run / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    values = [row["metrics"]["popularity@20"] for row in found["models"]]
    assert values == sorted(values)
    assert found["models"][-1]["label"].startswith("popularity")
    assert "popularity@20 ↓" in outcome.out
    assert "popularity@20 (lower is better)" in (run / "report.md").read_text(encoding="utf-8")
    assert "Down and to the left is better." in (run / "report.html").read_text(encoding="utf-8")
    asked = compared(run, "--metric", "gini@20")["rows"]
    assert [row["value"] for row in asked] == sorted(row["metrics"]["gini@20"] for row in found["models"])
    (best, *_) = (row for row in compared(run, "--metric", "popularity@20")["rows"])
    assert best["label"] == found["models"][0]["label"]
    assert re.search(r"^popularity@20 ↓ *$", segue("compare", run).out, re.MULTILINE)


def test_a_value_that_is_no_number_comes_last(runs: Runs, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["zero"], run)
    found = json.loads((run / "results.json").read_text(encoding="utf-8"))
    markov = next(row for row in found["models"] if row["label"] == "markov")
    markov["metrics"]["recall@20"] = None
    (run / "results.json").write_text(json.dumps(found), encoding="utf-8")
    cases = CaseValues.read(cases_file(run, "markov"))
    replace(cases, values={**cases.values, "recall@20": cases.values["recall@20"] * float("nan")}).write(
        cases_file(run, "markov")
    )
    outcome = segue("compare", run, "--metric", "recall@20", "--json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out, parse_constant=pytest.fail)["rows"]
    assert [(row["label"], row["to_best"]) for row in rows] == [("bpr", None), ("markov", None)]
    assert rows[1]["value"] is None
    assert segue("compare", run, "--metric", "recall@20").code == 0


def test_several_seeds_are_run_and_compared(runs: Runs, tmp_path: Path) -> None:
    log, out = runs["zero"].parent / "shop.csv", tmp_path / "out"
    command = ("run", log, "--model", "bpr", "--no-baselines", *BPR, "--seeds", "0, 1", "--out", out)
    outcome = segue(*command)
    assert outcome.code == 0, outcome.err
    found = compared(out / "seed-0", out / "seed-1")
    for seed, name in enumerate(("zero", "one")):
        written = json.loads((out / f"seed-{seed}" / "results.json").read_text(encoding="utf-8"))
        (before,) = (
            row["metrics"]
            for row in json.loads((runs[name] / "results.json").read_text(encoding="utf-8"))["models"]
            if row["label"] == "bpr"
        )
        assert written["models"][0]["metrics"] == before
    assert [row["seeds"] for row in found["rows"]] == [[0, 1], [0, 1]]
    assert f"{found['rows'][0]['value']:.4f} ±{found['rows'][0]['deviation']:.4f}" in outcome.out
    assert "recall@20: bpr is the only model\n" in outcome.out
    assert "already contains a run; add --resume" in segue(*command).err
    assert segue(*command, "--resume").err.count("taken over from") == 2


def test_seeds_that_cannot_be_are_refused(runs: Runs, tmp_path: Path) -> None:
    for options, message in (
        (("--seeds", "0,x"), "--seeds: must be different whole numbers such as 0,1,2, got '0,x'"),
        (("--seeds", "1,1"), "--seeds: must be different whole numbers"),
        (("--seeds", "1,2", "--seed", 3), "--seeds: cannot be combined with --seed; give one of them"),
    ):
        outcome = segue("run", runs["zero"].parent / "shop.csv", "--model", "bpr", *options, "--out", tmp_path / "out")
        assert outcome.code == 2
        assert message in outcome.err
    assert not (tmp_path / "out").exists()


def test_the_page_tells_of_every_option_and_of_every_way_to_take_the_test_apart() -> None:
    page = (Path(__file__).parents[2] / "docs" / "comparing.md").read_text(encoding="utf-8")
    options = set(re.findall(r"--[a-z]+", segue("compare", "--help").out)) - {"--help"}
    assert len(options) == 4
    assert [option for option in options if f"`{option}" not in page] == []
    assert [name for name in DIMENSIONS if f"`{name}`" not in page] == []
