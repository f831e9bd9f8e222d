"""What the linter finds is shown by the commands and kept in the run folder."""

import json

import pytest
from command import segue

from segue.data.synthetic import synthetic_log
from segue.experiment.results import Results

NOTE = "(note overlap-in-time)"


@pytest.fixture(scope="module")
def histories(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "histories.csv"
    synthetic_log(2_000, 200, 30).frame.rename({"session": "user"}).write_csv(path)
    return path


def test_data_shows_what_is_found_in_the_log(histories):
    (line,) = [line for line in segue("data", histories).out.splitlines() if line.startswith("! ")]
    assert line.startswith("! log: ")
    assert line.endswith(NOTE)
    (finding,) = json.loads(segue("data", histories, "--json").out)["findings"]
    assert finding.keys() == {"code", "severity", "subject", "message"}
    assert (finding["code"], finding["severity"], finding["subject"]) == ("overlap-in-time", "note", "log")


def test_data_shows_nothing_where_nothing_is_found(histories):
    outcome = segue("data", histories, "--protocol", "global-time", "--set", "protocol.cases.exclude_seen=false")
    assert outcome.code == 0
    assert [
        line for line in outcome.out.splitlines() if line.startswith("! ") and "few-test-sessions" not in line
    ] == []


def test_run_says_the_log_first_and_keeps_all_findings(histories, tmp_path):
    out = tmp_path / "run"
    failing = ("--set", "bpr.training.epochs=1", "--set", "bpr.training.learning_rate=0.000001")
    outcome = segue("run", histories, "--model", "bpr,popularity", *failing, "--out", out)
    assert outcome.code == 0, outcome.err
    assert NOTE in outcome.err
    assert NOTE not in outcome.out
    assert "(warning training-failed)" in outcome.out
    assert "loses-to-baseline" not in outcome.out
    results = Results.read(out / "results.json")
    assert results.findings[0].code == "overlap-in-time"
    codes = {finding.code for finding in results.findings if finding.subject == "bpr"}
    assert "training-failed" in codes
    assert bool(results.verdicts) == any(finding.code == "loses-to-baseline" for finding in results.findings)
    row = next(row for row in results.models if row.label == "bpr")
    assert set(row.validation) == set(row.validation_confidence) == set(results.protocol["headline"])
    assert row.diagnostics["train_auc"] < 0.8
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "## Findings" in report
    assert NOTE in report
    assert "loses-to-baseline" not in report


def test_a_resumed_run_has_the_findings_of_the_first(histories, tmp_path):
    out = tmp_path / "run"
    arguments = ("run", histories, "--model", "markov", "--no-baselines", "--out", out)
    assert segue(*arguments).code == 0
    first = Results.read(out / "results.json")
    assert segue(*arguments, "--resume").code == 0
    assert Results.read(out / "results.json").findings == first.findings
