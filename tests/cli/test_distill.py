"""`segue distill`: the three models side by side, and mistakes in one line."""

import json
from pathlib import Path

from command import Outcome, segue

SMALL = ("--set", "sasrec.embedding_size=8", "--set", "sasrec.layers=1", "--set", "sasrec.training.epochs=1")


def test_a_student_learns_from_an_artifact(finished: tuple[Path, Outcome], log: Path, tmp_path: Path) -> None:
    teacher, out = finished[0] / "stan", tmp_path / "out"
    outcome = segue(
        "distill", teacher, log, "--student", "sasrec", *SMALL, "--set", "distillation.weight=0.7", "--out", out
    )
    assert outcome.code == 0, outcome.err
    rows = {row["label"]: row for row in json.loads((out / "results.json").read_text(encoding="utf-8"))["models"]}
    assert rows.keys() == {"teacher", "sasrec-taught", "sasrec-alone"}
    before = {
        row["label"]: row for row in json.loads((finished[0] / "results.json").read_text(encoding="utf-8"))["models"]
    }
    assert rows["teacher"]["metrics"] == before["stan"]["metrics"]
    assert "of the teacher's recall@20" in outcome.out
    assert segue("recommend", out / "sasrec-taught", "--items", "1001").code == 0


def test_mistakes_end_in_one_message_and_write_nothing(
    finished: tuple[Path, Outcome], log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for teacher, options, message in (
        (finished[0] / "stan", ("--student", "stan"), "--student: must be a sequence encoder, got 'stan'"),
        (finished[0] / "stan", ("--set", "distillation.weight=2"), "distillation.weight: must be"),
        (
            finished[0] / "stan",
            ("--set", "gru4rec.layers=2"),
            "--set: gru4rec is not the model that is trained here, sasrec; leave",
        ),
        (
            finished[0] / "stan",
            ("--set", "protocol.cleaning.k_core=3"),
            "error: protocol.cleaning.k_core: is fixed by the teacher in a ",
        ),
        (tmp_path / "nothing", (), "nothing"),
    ):
        outcome = segue("distill", teacher, log, *options, "--out", out)
        assert outcome.code == 2
        assert message in outcome.err
        assert not out.exists()
