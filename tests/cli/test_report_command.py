import shutil
from pathlib import Path

import pytest
from command import Outcome, segue

Finished = tuple[Path, Outcome]


@pytest.mark.parametrize("named", ["", "results.json"])
def test_reports_are_written_again_as_they_were(finished: Finished, tmp_path: Path, named: str) -> None:
    run, _ = finished
    shutil.copy(run / "results.json", tmp_path)
    outcome = segue("report", tmp_path / named)
    assert outcome.code == 0, outcome.err
    assert " ".join(outcome.out.split()) == f"Wrote {tmp_path / 'report.md'} and {tmp_path / 'report.html'}."
    for name in ("report.md", "report.html"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    outcome = segue("report", tmp_path)
    assert outcome.code == 2
    place = tmp_path / "results.json"
    assert outcome.err == f"error: {place}: does not exist; name the folder of a run that has ended\n"
    assert list(tmp_path.iterdir()) == []


def test_damaged_results_are_refused(finished: Finished, tmp_path: Path) -> None:
    run, _ = finished
    (tmp_path / "results.json").write_text((run / "results.json").read_text(encoding="utf-8")[:-20])
    assert segue("report", tmp_path).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
