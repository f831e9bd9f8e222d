from pathlib import Path

import pytest

from segue.errors import ParameterError
from segue.experiment.config import RunConfig, load_config, parse_assignments, parse_settings
from segue.experiment.prepared_data import read_log


def test_settings_become_a_tree_with_typed_values() -> None:
    tree = parse_settings(
        ["gru4rec.hidden_size=128", "gru4rec.training.epochs=5", "protocol.split.test_days=2", "a.b=null", "a.c=none"]
    )
    assert tree == {
        "gru4rec": {"hidden_size": 128, "training": {"epochs": 5}},
        "protocol": {"split": {"test_days": 2}},
        "a": {"b": None, "c": None},
    }


@pytest.mark.parametrize("entry", ["hidden_size=3", "gru4rec.hidden_size", "gru4rec.=3", "=3"])
def test_a_setting_without_owner_or_value_is_refused(entry: str) -> None:
    with pytest.raises(ParameterError, match=r"must be OWNER\.NAME=VALUE"):
        parse_settings([entry])


def test_a_value_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ParameterError, match="a bracket or a quote is not closed; close it"):
        parse_settings(["a.b=[1, 2"])


def test_assignments_may_be_repeated_or_joined() -> None:
    assert parse_assignments("--columns", ["session=sid,item=iid", "time=ts"]) == {
        "session": "sid",
        "item": "iid",
        "time": "ts",
    }
    with pytest.raises(ParameterError, match="--columns: must be name=value such as session=visit_no, got 'session'"):
        parse_assignments("--columns", ["session"])


def test_options_go_on_top_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "models: [gru4rec]\nseed: 3\nset:\n  gru4rec: {hidden_size: 64, training: {epochs: 2}}\n", encoding="utf-8"
    )
    config = load_config(file, {"seed": 4, "log": None, "set": {"gru4rec": {"training": {"epochs": 9}}}})
    assert (config.models, config.seed) == (["gru4rec"], 4)
    assert config.set == {"gru4rec": {"hidden_size": 64, "training": {"epochs": 9}}}


def test_mistakes_in_the_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    with pytest.raises(ParameterError, match="cannot be read"):
        load_config(file, {})
    file.write_text("models: gru4rec\nsed: 1\nseed: -1\n", encoding="utf-8")
    with pytest.raises(ParameterError) as caught:
        load_config(file, {})
    assert "config.models: must be a list such as '[gru4rec]', got 'gru4rec'" in str(caught.value)
    assert "did you mean 'seed'" in str(caught.value)
    assert "config.seed: must be greater than or equal to 0, got -1" in str(caught.value)
    file.write_text("- a\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="must contain names and values, got list"):
        load_config(file, {})
    file.write_text("a: [1\n", encoding="utf-8")
    with pytest.raises(ParameterError, match="cannot be read: line"):
        load_config(file, {})


def test_the_format_of_times_is_given(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text("session,item,time\n1,2,1/2/2014 8:26\n", encoding="utf-8")
    log, file = str(tmp_path / "clicks.csv"), tmp_path / "config.yaml"
    for codes, month in (("%d/%m/%Y %H:%M", 2), ("%m/%d/%Y %H:%M", 1)):
        file.write_text(f"log: {log}\ntime_format: '{codes}'\n", encoding="utf-8")
        for config in (load_config(file, {}), load_config(None, {"log": log, "time_format": codes})):
            assert read_log(config).frame["time"].dt.month().to_list() == [month]


def test_the_items_are_found_where_the_log_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clicks.csv").write_text("session,item\n1,2\n1,3\n", encoding="utf-8")
    (tmp_path / "items.csv").write_text("item,colour\n3,red\n", encoding="utf-8")
    config = RunConfig(log="clicks.csv", items="items.csv")
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path))
    events = read_log(config)
    assert events.items is not None
    assert events.items.rows() == [(3, "red")]
    monkeypatch.delenv("SEGUE_DATA")
    monkeypatch.chdir(tmp_path)
    assert read_log(config).items is not None
    with pytest.raises(ParameterError, match=r"--items: must be a file, .* got 'nope\.csv'"):
        read_log(RunConfig(log="clicks.csv", items="nope.csv"))
