from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import SMALL, Outcome, segue, write_shop
from drawings import Drawings

from segue.experiment.report import charts

DRAWINGS = Drawings(charts.render_svg)


@contextmanager
def drawn_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "render_svg", DRAWINGS)
        yield


@pytest.fixture(scope="module", autouse=True)
def charts_of_one_form_are_drawn_once() -> Iterator[None]:
    with drawn_once():
        yield


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of a small shop."""
    return write_shop(tmp_path_factory.mktemp("logs") / "shop.csv")


@pytest.fixture(scope="session")
def finished(log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A finished run of GRU4Rec and STAN on it, and what the command said. Not to be written to."""
    out = tmp_path_factory.mktemp("runs") / "shop"
    with drawn_once():  # A fixture of the session is made before those of the module.
        outcome = segue("run", log, "--model", "gru4rec,stan", *SMALL, "--seed", 3, "--out", out)
    assert outcome.code == 0, outcome.err
    return out, outcome
