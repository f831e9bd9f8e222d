"""Folders that are runs, parts of runs, several runs, or none; topics and docs of the rules."""

from pathlib import Path

import pytest
from test_rules import row, run

from segue.doctor.checklist import RULES, examine
from segue.doctor.finished_run import FinishedRun
from segue.errors import ArtifactError
from segue.explain.catalogue import TOPICS

DOCS = Path(__file__).parents[2] / "docs"


def written(folder: Path, *labels: str, seed: int = 0, hashed: str = "abc") -> Path:
    results = run(*map(row, labels or ("sasrec",))).results
    folder.mkdir(parents=True)
    results = results.model_copy(
        update={"seed": seed, "protocol": {**results.protocol, "hash": hashed, "name": "custom"}}
    )
    results.write(folder / "results.json")
    return folder


@pytest.fixture(autouse=True)
def _any_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.experiment.results.check_nested", lambda *_: None)


def test_a_run_is_read_by_its_folder_or_its_results(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    for path in (folder, folder / "results.json"):
        assert [one.rule for one in examine(path)] == [rule.name for rule in RULES]


def test_seeds_beside_a_run_are_counted_if_they_differ_in_nothing_else(tmp_path: Path) -> None:
    folder = written(tmp_path / "seed-0")
    written(tmp_path / "seed-1", seed=1)
    written(tmp_path / "seed-2", seed=2, hashed="other")
    written(tmp_path / "seed-3", "narm", seed=3)
    written(tmp_path / "alone", seed=4)
    assert FinishedRun.read(folder).seeds == (0, 1)
    assert FinishedRun.read(tmp_path / "alone").seeds == (4,)


def test_folders_that_are_no_run_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "b" / "seed-0")
    with pytest.raises(ArtifactError, match=r"results.json: does not exist; name the folder of a run"):
        FinishedRun.read(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match=rf"must be the folder of one run, got one of several.*{folder.name}"):
        FinishedRun.read(tmp_path / "b")
    (folder / "sasrec").mkdir()
    with pytest.raises(ArtifactError, match=rf"got a part of one; name .*{folder.name}"):
        FinishedRun.read(folder / "sasrec")
    (folder / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match="is damaged"):
        FinishedRun.read(folder)


def test_a_damaged_environment_is_no_error(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    for content in ("{", "[]"):
        (folder / "environment.json").write_text(content, encoding="utf-8")
        assert FinishedRun.read(folder).environment is None


def test_every_rule_has_a_topic_and_a_row_in_the_docs() -> None:
    assert {rule.topic for rule in RULES} <= TOPICS.keys()
    text = (DOCS / "doctor.md").read_text(encoding="utf-8")
    for rule in RULES:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{rule.name}` |")]
        chapter = next(
            path
            for path in (DOCS / "explain").glob("*.md")
            if f"## {TOPICS[rule.topic].title}\n" in path.read_text(encoding="utf-8")
        )
        assert f"](explain/{chapter.name}#" in line
