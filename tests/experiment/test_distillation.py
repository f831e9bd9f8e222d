"""A student beside its teacher and beside itself without one."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import segue
from segue.artifact import Artifact
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
    segue.run(segue.RunConfig(models=["markov"], baselines=False), folder, events=log)
    return folder / "markov"


def test_the_three_stand_side_by_side(log: "segue.Events", teacher: Path, tmp_path: Path) -> None:
    config = segue.RunConfig(models=["sasrec"], set={"sasrec": STUDENT})
    results = segue.distill(teacher, config, tmp_path / "out", plan=segue.Distillation(weight=0.8), events=log)
    rows = {row.label: row for row in results.models}
    assert rows.keys() == {"teacher", "sasrec-taught", "sasrec-alone"}
    assert rows["teacher"].model == "markov"
    assert rows["sasrec-taught"].config == rows["sasrec-alone"].config
    assert rows["sasrec-taught"].metrics != rows["sasrec-alone"].metrics
    assert all(row.parameters > 0 and row.latency_ms > 0 for row in rows.values())
    assert "reaches" in results.verdicts[0]
    assert "the same model trained without a teacher" in results.verdicts[1]
    first = results.protocol["headline"][0]
    tested = [(test.metric, test.one, test.other) for test in results.differences]
    assert tested == [(metric, "sasrec-taught", "sasrec-alone") for metric in results.protocol["headline"]]
    assert f"{first}: " in results.verdicts[1]
    assert results.verdicts[1].endswith(f" ({results.differences[0].verdict()})")
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "ms per session" in report
    loaded = segue.load(tmp_path / "out" / "sasrec-taught")
    assert loaded.vocabulary.ids.to_list() == segue.load(teacher).vocabulary.ids.to_list()
    again = segue.distill(
        teacher, config, tmp_path / "out", plan=segue.Distillation(weight=0.8), events=log, resume=True
    )
    assert [row.metrics for row in again.models] == [row.metrics for row in results.models]


def test_mistakes_are_named_before_anything_is_written(log: "segue.Events", teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ParameterError, match="--student: must be a sequence encoder, got 'markov'"):
        segue.distill(teacher, segue.RunConfig(models=["markov"]), out, events=log)
    with pytest.raises(ParameterError, match="--student: must name one model, got none"):
        segue.distill(teacher, segue.RunConfig(), out, events=log)
    with pytest.raises(ParameterError, match=r"^--protocol: is fixed by the teacher in a distillation; remove it$"):
        segue.distill(teacher, segue.RunConfig(models=["sasrec"], protocol="session-next"), out, events=log)
    other = segue.read(log.frame.filter(pl.col("item") > 1))
    with pytest.raises(ParameterError, match=r"must be the log that .* was trained on"):
        segue.distill(teacher, segue.RunConfig(models=["sasrec"]), out, events=other)
    alone = segue.Markov().fit(segue.prepare(log).train).save(tmp_path / "alone")
    with pytest.raises(ArtifactError, match="has no protocol"):
        segue.distill(alone, segue.RunConfig(models=["sasrec"]), out, events=log)
    assert not out.exists()


def test_a_student_larger_than_its_teacher_is_said_so_before_it_is_trained(
    log: "segue.Events", teacher: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = segue.RunConfig(models=["sasrec"], set={"sasrec": {**STUDENT, "embedding_size": 64}})
    with caplog.at_level(logging.INFO, "segue"):
        segue.distill(teacher, config, tmp_path / "out", events=log)
    said = next(line for line in caplog.messages if line.startswith("sasrec: has "))
    assert said.endswith("for a smaller student, decrease sasrec.embedding_size")
    assert caplog.messages.index(said) == 0


def test_a_student_may_read_what_the_teacher_was_not_told(log: "segue.Events", teacher: Path, tmp_path: Path) -> None:
    log = replace(log, items=pl.DataFrame({"item": range(20), "group": ["a", "b"] * 10}))
    config = segue.RunConfig(models=["sasrec"], set={"sasrec": {**STUDENT, "features": ["group"]}})
    results = segue.distill(teacher, config, tmp_path / "out", events=log)
    assert {row.label for row in results.models} == {"teacher", "sasrec-taught", "sasrec-alone"}
    assert segue.load(tmp_path / "out" / "sasrec-taught").vocabulary.metadata == ("group",)


def test_a_teacher_with_added_items_is_refused(log: "segue.Events", tmp_path: Path) -> None:
    groups = pl.DataFrame({"item": range(20), "group": ["a", "b"] * 10})
    log = replace(log, items=groups)
    segue.run(segue.RunConfig(models=["als"], baselines=False), tmp_path / "run", events=log)
    teacher, out = tmp_path / "run" / "als", tmp_path / "out"
    about = Artifact.read(teacher).about
    new = pl.DataFrame({"item": [100, 101], "group": ["a", "c"]})
    segue.load(teacher).add_items(new, by="group").save(teacher, **about)
    with pytest.raises(
        ArtifactError, match=r"als: must contain only .* and 2 were added later; distil from the model as it"
    ):
        segue.distill(teacher, segue.RunConfig(models=["sasrec"]), out, events=log)
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
        "s-taught reaches 98.0% of the teacher's recall@20 with 25% of its parameters and 100% of its time per session",
        "s-taught is better than the same model trained without a teacher on recall@20: 0.4900 against 0.4600",
    ]
    said = compare(row("teacher", 0.5, 100), row("s-taught", 0.45, 25), row("s-alone", 0.46, 25), metric="recall@20")
    assert said[1].startswith("s-taught is not better than")
    assert said[1].endswith(" (the intervals overlap, which leaves it open)")
    said = compare(row("teacher", 0.5, 0), row("s-taught", 0.45, 25), row("s-alone", 0.46, 25), metric="recall@20")
    assert "with 25 where the teacher has 0 of its parameters" in said[0]
    said = compare(row("teacher", 0.5, 1), row("s-taught", 0.45, 87), row("s-alone", 0.46, 2), metric="recall@20")
    assert "with 87 times its parameters and 100% of its time" in said[0]
    said = compare(row("teacher", 0.0, 100), row("s-taught", 0.02, 25), row("s-alone", 0.0, 25), metric="recall@20")
    assert said[0] == (
        "s-taught has a recall@20 of 0.0200, compared with 0.0000 of the teacher, with 25% of its parameters "
        "and 100% of its time per session"
    )
    teacher, taught, alone = (
        row(label, 0.5, 25).model_copy(update={"metrics": {"mae": value}})
        for label, value in (("teacher", 0.5), ("s-taught", 0.6), ("s-alone", 0.7))
    )
    said = compare(teacher, taught, alone, metric="mae")
    assert said[0].startswith("s-taught has a mae of 0.6000, compared with 0.5000 of the teacher, with ")
    assert said[1].startswith(
        "s-taught is better than the same model trained without a teacher on mae: 0.6000 against 0.7000"
    )
