"""A student beside its teacher and beside itself without one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segue
from segue.errors import ArtifactError, ParameterError
from segue.experiment.results import ModelResult

STUDENT = {"embedding_size": 8, "inner_size": 16, "layers": 1, "training": {"epochs": 2, "learning_rate": 0.01}}


@pytest.fixture(scope="module")
def log() -> "segue.Events":
    rng = np.random.default_rng(0)
    start = rng.integers(0, 20, 300)
    step = np.arange(6)
    items = (start[:, None] + step) % 20
    times = np.arange(300)[:, None] * 7200 + step * 60
    table = {"session": np.repeat(np.arange(300), 6), "item": items.ravel(), "time": times.ravel()}
    return segue.read(pl.DataFrame(table))


@pytest.fixture(scope="module")
def teacher(log: "segue.Events", tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    segue.run(segue.Recipe(models=["markov"], baselines=False), folder, events=log)
    return folder / "markov"


def test_the_three_stand_side_by_side(log: "segue.Events", teacher: Path, tmp_path: Path) -> None:
    recipe = segue.Recipe(models=["sasrec"], set={"sasrec": STUDENT})
    results = segue.distill(teacher, recipe, tmp_path / "out", plan=segue.Distillation(weight=0.8), events=log)
    rows = {row.label: row for row in results.models}
    assert rows.keys() == {"teacher", "sasrec-taught", "sasrec-alone"}
    assert rows["teacher"].model == "markov"
    assert rows["sasrec-taught"].config == rows["sasrec-alone"].config
    assert rows["sasrec-taught"].metrics != rows["sasrec-alone"].metrics
    assert all(row.parameters > 0 and row.latency_ms > 0 for row in rows.values())
    assert "keeps" in results.verdicts[0]
    assert "the same model trained alone" in results.verdicts[1]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "ms per session" in report
    loaded = segue.load(tmp_path / "out" / "sasrec-taught")
    assert loaded.vocabulary.ids.to_list() == segue.load(teacher).vocabulary.ids.to_list()
    again = segue.distill(
        teacher, recipe, tmp_path / "out", plan=segue.Distillation(weight=0.8), events=log, resume=True
    )
    assert [row.metrics for row in again.models] == [row.metrics for row in results.models]


def test_mistakes_are_named_before_anything_is_written(log: "segue.Events", teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ParameterError, match="--student: must be a sequence encoder, got 'markov'"):
        segue.distill(teacher, segue.Recipe(models=["markov"]), out, events=log)
    with pytest.raises(ParameterError, match="--student: must name one model, got none"):
        segue.distill(teacher, segue.Recipe(), out, events=log)
    other = segue.read(log.frame.filter(pl.col("item") > 1))
    with pytest.raises(ParameterError, match=r"must be the log that .* was trained on"):
        segue.distill(teacher, segue.Recipe(models=["sasrec"]), out, events=other)
    alone = segue.Markov().fit(segue.prepare(log).train).save(tmp_path / "alone")
    with pytest.raises(ArtifactError, match="names no protocol"):
        segue.distill(alone, segue.Recipe(models=["sasrec"]), out, events=log)
    assert not out.exists()


def test_words_say_what_the_numbers_say() -> None:
    from segue.experiment.distillation import compare

    def row(label: str, value: float, parameters: int) -> ModelResult:
        return ModelResult(
            model=label,
            label=label,
            baseline=False,
            config={},
            metrics={"recall@20": value},
            confidence={"recall@20": (value - 0.01, value + 0.01)},
            fit_seconds=1.0,
            evaluate_seconds=1.0,
            peak_memory_mb=1.0,
            parameters=parameters,
            latency_ms=2.0,
        )

    said = compare(row("teacher", 0.5, 100), row("s-taught", 0.49, 25), row("s-alone", 0.46, 25), metric="recall@20")
    assert said == [
        "s-taught keeps 98.0% of the teacher's recall@20 with 25.0% of its numbers and 100.0% of its time per session",
        "s-taught is above the same model trained alone on recall@20: 0.4900 against 0.4600",
    ]
    said = compare(row("teacher", 0.5, 100), row("s-taught", 0.45, 25), row("s-alone", 0.46, 25), metric="recall@20")
    assert said[1].startswith("s-taught is not above")
    assert said[1].endswith("; the intervals overlap")
