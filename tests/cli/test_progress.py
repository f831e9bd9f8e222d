"""What a command shows while it works: on a terminal, and in a log file."""

import logging
import re
from io import StringIO

import pytest

from segue.cli.progress import LineProgress, progress_shown
from segue.progress import Progress

logger = logging.getLogger("segue.experiment.run")


def test_a_log_file_holds_messages_and_steps_as_plain_lines() -> None:
    stream = StringIO()
    with progress_shown(stream) as progress:
        logger.info("seed %d: %s", 3, "[bold]runs/a[/bold]")
        logger.debug("not shown")
        logger.warning("log: twice")
        with progress.task("evaluate", 20) as task:
            task.advance(10)  # The first line comes after some seconds.
    logger.info("after the command")
    assert stream.getvalue() == "seed 3: [bold]runs/a[/bold]\n! log: twice\n"


def test_a_line_counts_the_steps_and_ends_in_the_note() -> None:
    stream = StringIO()
    with LineProgress(stream, interval=0.0).task("epoch 1/3", 2000) as task:
        task.advance(1500, "loss 0.25")
        task.advance()
    assert stream.getvalue() == "epoch 1/3: 1,500/2,000  loss 0.25\nepoch 1/3: 1,501/2,000\n"


def test_a_terminal_shows_bars_and_messages_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    with progress_shown(stream) as progress, progress.task("evaluate", 20) as task:
        task.advance(10, "loss 0.25")
        logger.info("popularity: recall@20 [0.1] %s", "x" * 200)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "popularity: recall@20 [0.1] " + "x" * 200 in shown
    assert "10/20" in shown
    assert "loss 0.25" in shown


def test_messages_of_hidden_loggers_are_left_out() -> None:
    stream = StringIO()
    with progress_shown(stream, hidden=["segue.training"]):
        logging.getLogger("segue.training.loop").info("epoch 1/3")
        logger.info("trial 0")
    assert stream.getvalue() == "trial 0\n"


def test_the_library_shows_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    logger.warning("nobody asked")
    with Progress().task("evaluate", 20) as task:
        task.advance(20)
    assert capfd.readouterr() == ("", "")
