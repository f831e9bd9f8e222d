"""`segue run --recbole`: RecBole's files from the command line."""

import json
from pathlib import Path

import pytest
from command import segue

RECORDED = json.loads((Path(__file__).parents[1] / "fixtures" / "recbole_run.json").read_text(encoding="utf-8"))

CONFIG = """\
data_path: {folder}
dataset: small
model: Pop
load_col: {{inter: [user_id, item_id, timestamp]}}
eval_args: {{split: {{RS: [8, 1, 1]}}, order: TO, group_by: user, mode: full}}
metrics: [NDCG, Recall]
topk: [5]
valid_metric: NDCG@5
eval_batch_size: 100
colour: green
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration beside the log that it names."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "small.inter").write_text(RECORDED["log"], encoding="utf-8")
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    return file


def test_a_configuration_runs_as_it_is(config: Path, tmp_path: Path) -> None:
    outcome = segue("run", "--recbole", config, "--out", tmp_path / "run", "--no-baselines")
    assert outcome.code == 0, outcome.err
    said = outcome.out + outcome.err
    assert "RecBole's eval_batch_size (100): no effect" in said
    assert "RecBole's colour (green): no counterpart" in said
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert list(results["models"][0]["metrics"]) == ["ndcg@5", "recall@5"]
    assert (results["log"], results["seed"], results["protocol"]["name"]) == ("small", 2020, "recbole")
    assert any("colour (green)" in note for note in results["notes"])
    assert results["data"]["test_cases"] == 59  # Of 60 users, one alone is tested on an item that training lacks.


def test_options_and_further_files_go_on_top(config: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.yaml"
    second.write_text("metrics: Hit\nseed: 5\n", encoding="utf-8")
    outcome = segue(
        *("run", config.parent / "small" / "small.inter", "--recbole", f"{config},{second}", "--model", "ItemKNN"),
        *("--set", "item-knn.n_neighbours=7", "--seed", 9, "--out", tmp_path / "run", "--no-baselines"),
    )
    assert outcome.code == 0, outcome.err
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert [row["label"] for row in results["models"]] == ["item-knn"]
    assert results["models"][0]["config"]["n_neighbours"] == 7
    assert (results["seed"], results["protocol"]["ranking"]["metrics"]) == (9, ["hit@5"])


def test_settings_follow_as_on_recboles_command_line(config: Path, tmp_path: Path) -> None:
    outcome = segue(
        *("run", "--recbole", config, "--model=ItemKNN", "--k=7", "--topk=[5,10]", "--shape=round"),
        *("--out", tmp_path / "run", "--no-baselines"),
    )
    assert outcome.code == 0, outcome.err
    assert "RecBole's colour (green), shape (round): no counterpart" in outcome.out + outcome.err
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    (row,) = results["models"]
    assert row["config"]["n_neighbours"] == 7
    assert list(row["metrics"]) == ["ndcg@5", "ndcg@10", "recall@5", "recall@10"]


def test_all_metrics_that_the_file_names_are_printed(config: Path, tmp_path: Path) -> None:
    names = ["Recall", "MRR", "NDCG", "Hit", "Precision", "MAP", "GAUC"]
    outcome = segue("run", "--recbole", config, f"--metrics={names}", "--topk=[1,5,10]", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    rows = [line.split() for line in outcome.out.splitlines()]
    for row in results["models"]:
        assert len(row["metrics"]) == 6 * 3 + 1
        tables = [i for i, cells in enumerate(rows) if cells[:1] == ["metric"] and row["label"] in cells]
        column = rows[tables[0]].index(row["label"])
        printed = {cells[0]: cells[column] for cells in rows[tables[0] + 2 : tables[0] + 2 + len(row["metrics"])]}
        assert printed == {name: f"{value:.4f}" for name, value in row["metrics"].items()}
    assert max(map(len, outcome.out.split("!")[0].splitlines())) <= 80


@pytest.mark.parametrize("option", ["--learning_rate=0.01", "--recbole-setting=learning_rate=0.01"])
def test_settings_of_recbole_need_a_file_of_recbole(tmp_path: Path, option: str) -> None:
    outcome = segue("run", tmp_path / "log.csv", option)
    assert outcome.code == 2
    assert "No such option: --learning_rate" in outcome.err or "which needs --recbole FILE" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--k=7", "--k=8"), "--k: must be given once, got 7 and 8"),
        (("--topk=None",), "topk: must be a whole number of at least 1, or a list of them such as [5, 10, 20], got"),
        (("--learning_rate", "0.01"), "No such option: --learning_rate"),
        (("--model", "SASRex"), "unknown model 'SASRex': did you mean 'SASRec'?"),
        (("--model", "BPR,SASRec"), "differently; run them separately"),
        (("--protocol", "leave-one-out"), "--protocol: cannot be combined with --recbole"),
        (
            ("--set", "protocol.cleaning.value_interval={colour: '[1,2]'}"),
            "must name columns of the log, got 'colour'; it has",
        ),
        (
            ("--set", "protocol.cleaning.value_interval={session: '[1,2]'}"),
            "must name numeric columns, got 'session'",
        ),
        (("--config", "other.yaml"), "--recbole: cannot be combined with --config; give one of them"),
    ],
)
def test_mistakes_end_with_their_message(config: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    outcome = segue("run", "--recbole", config, *options, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert not (tmp_path / "run").exists()
