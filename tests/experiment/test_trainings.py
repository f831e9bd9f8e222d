"""What the charts of a run show as one training: each model once, the parts of a model on lines of their own."""

import json
import math

import pytest

from made_up import row
from segue.chart_process import draw
from segue.experiment.report.charts import curve_charts
from segue.experiment.results import Epoch
from segue.experiment.trainings import trainings


def curve(**stages: list[float]) -> list[Epoch]:
    """Epochs with these losses, by stage; a comma in the name of a stage is written as two underscores."""
    losses = [(stage.replace("__", ", ").replace("_", "-"), loss) for stage, some in stages.items() for loss in some]
    return [Epoch(epoch=n, stage=stage, loss=loss, seconds=n / 8) for n, (stage, loss) in enumerate(losses, 1)]


def told(*rows: object) -> dict[str, list[tuple[int, float]]]:
    return {one.label: [(epoch.epoch, epoch.loss) for epoch in one.epochs] for one in trainings(rows)}


def renamed(epochs: list[Epoch], stage: str, first: int = 1) -> list[Epoch]:
    return [one.model_copy(update={"epoch": n, "stage": stage}) for n, one in enumerate(epochs, first)]


GRU, CORE = curve(training=[5.0, 4.0]), curve(training=[0.9, 0.8, 0.7])
BLENDED = [*renamed(GRU, "gru4rec"), *renamed(CORE, "core", 3)]


def test_a_blend_does_not_repeat_the_trainings_of_the_run() -> None:
    found = told(row("blend", 0.5, curve=BLENDED), row("gru4rec", 0.4, curve=GRU), row("core", 0.3, curve=CORE))
    assert found == {"gru4rec": [(1, 5.0), (2, 4.0)], "core": [(1, 0.9), (2, 0.8), (3, 0.7)]}


def test_trainings_that_only_a_blend_has_are_lines_of_their_own() -> None:
    found = told(row("blend", 0.5, curve=BLENDED), row("core", 0.3, curve=CORE))
    assert found == {"blend (gru4rec)": [(1, 5.0), (2, 4.0)], "core": [(1, 0.9), (2, 0.8), (3, 0.7)]}
    other = row("gru4rec", 0.4, curve=curve(training=[5.0, 3.0]))  # With other parameters than in the blend.
    assert list(told(row("blend", 0.5, curve=BLENDED), other)) == ["blend (gru4rec)", "blend (core)", "gru4rec"]
    again = told(row("blend", 0.5, curve=BLENDED), row("blend-2", 0.5, curve=BLENDED))
    assert list(again) == ["blend (gru4rec)", "blend (core)"]


@pytest.mark.parametrize("first", ["blend", "gru4rec"])
def test_parts_of_a_model_are_shown_with_it_and_not_with_its_blend(first: str) -> None:
    own = curve(teacher=[3.0, 2.0], training=[9.0, 8.0])
    inside = [*renamed(own[:2], "gru4rec, teacher"), *renamed(own[2:], "gru4rec", 3)]
    rows = {"blend": row("blend", 0.5, curve=inside), "gru4rec": row("gru4rec", 0.4, curve=own)}
    found = told(*sorted(rows.values(), key=lambda one: one.label != first))
    assert found == {"gru4rec (teacher)": [(1, 3.0), (2, 2.0)], "gru4rec": [(1, 9.0), (2, 8.0)]}


def test_a_factorisation_without_a_loss_is_not_repeated() -> None:
    own = [Epoch(epoch=n, stage="factorisation", loss=math.nan, seconds=1.0, train_auc=n / 10) for n in (7, 8)]
    found = trainings([row("bpr", 0.5, curve=own), row("blend", 0.4, curve=renamed(own, "bpr, factorisation"))])
    assert [(one.label, one.factorises) for one in found] == [("bpr", True)]


def test_further_stages_continue_a_training() -> None:
    epochs = curve(teacher=[3.0, 2.0], training=[9.0, 8.0], fine_tuning=[7.0])
    found = told(row("sasrec", 0.5, curve=epochs))
    assert found == {"sasrec (teacher)": [(1, 3.0), (2, 2.0)], "sasrec": [(1, 9.0), (2, 8.0), (3, 7.0)]}
    pair = curve(retriever=[5.0], retriever__fine_tuning=[4.0], ranker=[2.0, 1.0], lists=[0.5])
    assert told(row("two-stage", 0.5, curve=pair)) == {
        "two-stage (retriever)": [(1, 5.0), (2, 4.0)],
        "two-stage (ranker)": [(1, 2.0), (2, 1.0)],
        "two-stage": [(1, 0.5)],
    }


def test_the_metric_is_that_of_the_part() -> None:
    config = {"parameters": {"gru4rec": {"training": {"metric": "mrr@20"}}}}
    pair = {"ranker_parameters": {"training": {"metric": "ndcg@5"}}}
    rows = [
        row("gru4rec", 0.5, curve=curve(training=[1.0]), config={"training": {"metric": "recall@10"}}),
        row("blend", 0.5, curve=curve(gru4rec=[2.0], vstan=[3.0]), config=config),
        row("two-stage", 0.5, curve=curve(ranker=[4.0]), config=pair),
    ]
    assert [one.metric for one in trainings(rows)] == ["recall@10", "mrr@20", None, "ndcg@5"]


def test_each_is_a_line_of_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = []
    monkeypatch.setattr("segue.charts.draw", lambda kind, spec, *rest: specs.append(spec) or draw(kind, spec, *rest))
    tuned = row("sasrec", 0.2, curve=curve(training=[9.0, 8.0], fine_tuning=[7.0, 6.0]))
    (chart,) = curve_charts([row("blend", 0.5, curve=BLENDED), tuned])
    assert all(f">{label}<" in chart.svg for label in ("blend (gru4rec)", "blend (core)", "sasrec"))
    lines: dict[tuple[str, str], list[int]] = {}
    for one in json.loads(json.dumps(specs[-1]))["data"]["values"]:
        lines.setdefault((one["model"], one["stage"]), []).append(one["epoch"])
    assert lines == {
        ("blend (gru4rec)", "gru4rec"): [1, 2],
        ("blend (core)", "core"): [1, 2, 3],
        ("sasrec", "training"): [1, 2],
        ("sasrec", "fine-tuning"): [3, 4],
    }
