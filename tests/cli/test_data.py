"""`segue data --summary`: the sizes on the terminal and as JSON, and what is refused."""

import json
from pathlib import Path

from command import segue


def test_the_sizes_stand_in_the_order_of_the_tutorial(log: Path) -> None:
    outcome = segue("data", log, "--summary")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    found = json.loads(segue("data", log, "--summary", "--json").out)
    shown = {name: {key: f"{value:,}" for key, value in found[name].items()} for name in ("train", "test")}
    assert ["train", *shown["train"].values()] in lines
    assert ["test,", "after", "filtering", *shown["test"].values()] in lines
    for share in found["shares"]:
        numbers = [share["train_clicks"], share["test_clicks"], share["total_clicks"]]
        first, last = share["item_indices"]
        row = [share["share"], *(f"{number:,}" for number in numbers), str(first), "to", f"{last:,}", f"{last:,}"]
        assert row in lines
    assert [share["share"] for share in found["shares"]] == ["1/64", "1/4"]
    assert (found["log"], found["protocol"]) == ("shop", "gru4rec-2015")
    assert "Train includes the part that a run of this protocol holds out for validation." in outcome.out


def test_the_sample_of_a_small_log_is_prepared_without_validation(log: Path) -> None:
    outcome = segue("data", log, "--protocol", "yoochoose-1-64")
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        "so all are trained on and nothing is held out for validation; lower protocol.split.valid_days" in outcome.out
    )


def test_a_prepared_data_set_cannot_be_cut_anew(log: Path, tmp_path: Path) -> None:
    assert segue("prepare", log, "--out", tmp_path / "set").code == 0
    outcome = segue("data", tmp_path / "set", "--summary")
    assert outcome.code == 2
    assert outcome.err == (
        f"error: --summary: cuts the log anew, and {tmp_path / 'set'} is prepared already; name the log, or leave "
        "--summary out\n"
    )
