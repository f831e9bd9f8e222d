"""What a run tells a library user through ``logging``."""

import logging
from pathlib import Path

import pytest

import segue
from segue.data.synthetic import shop

SMALL = {"hidden_size": 8, "training": {"epochs": 2, "loss": {"n_samples": 32}}}


def test_a_run_reports_its_steps_at_the_level_info(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = segue.RunConfig(log="shop", models=["gru4rec"], set={"gru4rec": SMALL})
    with caplog.at_level(logging.INFO, "segue"):
        segue.run(config, tmp_path / "out", events=shop(300, 0))
    told = [(record.name, record.levelname, record.getMessage()) for record in caplog.records]
    epochs = [message for name, level, message in told if (name, level) == ("segue.training.loop", "INFO")]
    assert [epoch.split("  ")[0] for epoch in epochs] == ["epoch 1/2", "epoch 2/2"]
    run = [message for name, level, message in told if (name, level) == ("segue.experiment.run", "INFO")]
    assert any(message.startswith("gru4rec: recall@20 0.") for message in run)
    assert {name.partition(".")[0] for name, _, _ in told} == {"segue"}


def test_a_run_is_silent_unless_logging_is_configured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    segue.run(segue.RunConfig(log="shop", models=["popularity"]), tmp_path / "out", events=shop(300, 0))
    assert capfd.readouterr() == ("", "")
