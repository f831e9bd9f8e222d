"""Every rule of the doctor, with a planted fault and without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.doctor.checklist import RULES
from segue.doctor.finished_run import FinishedRun
from segue.doctor.verdict import Verdict
from segue.evaluation.linter.checks import Finding
from segue.experiment.results import Epoch, ModelResult, Results
from segue.models.factorisation import FACTORISATION
from segue.models.sasrec import SASRec

METRICS = {"recall@5": 0.2, "recall@20": 0.4, "mrr@20": 0.15, "ndcg@20": 0.2, "map@20": 0.15, "precision@20": 0.02}


def row(label: str, *, baseline: bool = False, **more: object) -> ModelResult:
    """Return a model; metrics as ``recall_20=0.5``, everything else by its name."""
    given = {name.replace("_", "@"): value for name, value in more.items() if name.replace("_", "@") in METRICS}
    metrics = {**METRICS, **given}
    return ModelResult(
        model=label,
        label=label,
        baseline=baseline,
        config={},
        metrics=metrics,
        confidence={name: (value - 0.01, value + 0.01) for name, value in metrics.items()},
        fit_seconds=1.0,
        evaluate_seconds=1.0,
        peak_memory_mb=None,
    ).model_copy(update={name: value for name, value in more.items() if name.replace("_", "@") not in METRICS})


STAGE = {"step": "encode", "dropped": 0, "events": 5000}


def run(
    *rows: ModelResult,
    folder: Path = Path("nowhere"),
    items: int | None = 1000,
    candidates: str = "full",
    ties: str = "served",
    targets: str = "every-next",
    findings: tuple[Finding, ...] = (),
    environment: dict[str, object] | None = None,
    seeds: tuple[int, ...] = (0,),
) -> FinishedRun:
    results = Results(
        segue="0.1.0",
        log="clicks",
        seed=0,
        protocol={
            **{"name": "session-next", "hash": "h", "fingerprint": "f", "headline": ["recall@20", "mrr@20"]},
            "ranking": {"candidates": candidates, "ties": ties, "metrics": ["recall@20", "mrr@20"]},
            "cases": {"targets": targets},
        },
        data={"test_cases": 9, "stages": [] if items is None else [{**STAGE, "part": "train", "items": items}]},
        notes=[],
        models=list(rows) or [row("sasrec")],
        verdicts=[],
        findings=list(findings),
    )
    return FinishedRun(folder, results, environment, seeds)


def curve(*validation: float | None, loss: tuple[float, ...] = (), stage: str = "training") -> list[Epoch]:
    losses = loss or tuple(1 / number for number in range(1, len(validation) + 1))
    return [
        Epoch(epoch=number, stage=stage, loss=losses[number - 1], validation=value, seconds=1.0)
        for number, value in enumerate(validation, start=1)
    ]


def verdict(name: str, of: FinishedRun) -> Verdict:
    return next(rule for rule in RULES if rule.name == name).verdict(of)


GOOD = (0.10, 0.19, 0.2, 0.2)
"""Validation of a training that has converged."""

OK = {
    "linter": run(findings=(Finding(code="overlap-in-time", severity="note", subject="log", message=""),)),
    "candidates": run(),
    "cutoff": run(),
    "ties": run(row("stan", ties="36% of the targets share"), row("sasrec", curve=curve(*GOOD))),
    "order-in-list": run(row("sasrec"), row("narm")),
    "precision-and-recall": run(row("a"), row("b"), row("c"), targets="together"),
    "baselines": run(row("sasrec", recall_20=0.5), row("markov", baseline=True)),
    "train-auc": run(row("bpr", diagnostics={"train_auc": 0.91})),
    "under-trained": run(row("sasrec", curve=curve(*GOOD))),
    "loss-and-validation": run(row("sasrec", curve=curve(*GOOD))),
    "over-fitted": run(row("sasrec", curve=curve(0.1, 0.2, 0.195))),
    "seeds": run(row("sasrec", curve=curve(*GOOD)), seeds=(0, 1, 2)),
    "repeatability": run(row("sasrec", curve=curve(*GOOD)), environment={"device": "cpu", "arithmetic": "cpu, fp32"}),
}

LOOK = {
    "linter": (
        run(findings=(Finding(code="future-in-input", severity="error", subject="log", message=""),)),
        "future-in-input (error, log)",
    ),
    "candidates": (run(candidates="uni99"), "among uni99 sampled items"),
    "cutoff": (run(items=100), "recall@20 is measured among 100 candidates: a random list has a recall of 0.20"),
    "ties": (run(row("sasrec", curve=curve(*GOOD), ties="3.0% of the targets share")), "clipped, rounded or constant"),
    # As many targets found, and 0.6 of the NDCG.
    "order-in-list": (
        run(row("sasrec", ndcg_20=0.12, map_20=0.08, mrr_20=0.14), row("narm")),
        "sasrec: finds as many targets as narm and ranks them lower",
    ),
    "precision-and-recall": (
        run(row("a", recall_20=0.2, precision_20=0.03), row("b"), row("c"), targets="together"),
        "a: recall@20 0.2000 is the lowest of 3 models",
    ),
    "baselines": (
        run(row("sasrec", recall_20=0.3), row("markov", baseline=True)),
        "sasrec: recall@20 0.3000 is worse than the 0.4000 of the baseline markov",
    ),
    "train-auc": (run(row("bpr", diagnostics={"train_auc": 0.7})), "bpr: train_auc 0.700 is below 0.8"),
    "under-trained": (
        run(row("sasrec", curve=curve(0.1, 0.15, 0.18))),
        "sasrec: validation still rose in the last of 3 epochs, from 0.1500 to 0.1800",
    ),
    "loss-and-validation": (
        run(row("sasrec", curve=curve(0.1, 0.1, 0.1))),
        "the loss fell from 1.0000 to 0.3333 while validation stayed at 0.1000",
    ),
    "over-fitted": (
        run(row("sasrec", curve=curve(0.1, 0.2, 0.17))),
        "sasrec: validation fell from 0.2000 in epoch 2 to 0.1700",
    ),
    "seeds": (run(row("sasrec", curve=curve(*GOOD))), "sasrec: trained with seed 0 only"),
    "repeatability": (
        run(row("sasrec"), environment={"device": "NVIDIA H100", "arithmetic": "cuda, bf16"}),
        "seed 0, NVIDIA H100, cuda, bf16: on a GPU",
    ),
}

UNKNOWN = {
    "cutoff": run(items=None),
    "order-in-list": run(),
    "precision-and-recall": run(row("a"), row("b"), targets="together"),
    "baselines": run(row("a"), row("b")),
    "train-auc": run(),
    "under-trained": run(row("sasrec", curve=curve(None, None))),
    "loss-and-validation": run(row("sasrec", curve=curve(0.1))),
    "over-fitted": run(),
    "collapsed-vectors": run(),
    "repeatability": run(),
}


@pytest.mark.parametrize("name", OK)
def test_a_rule_is_silent_where_all_is_well(name: str) -> None:
    assert verdict(name, OK[name]).status == "ok"


@pytest.mark.parametrize("name", LOOK)
def test_a_rule_finds_what_was_planted(name: str) -> None:
    planted, message = LOOK[name]
    found = verdict(name, planted)
    assert found.status == "look"
    assert message in found.found[0]


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_rule_says_that_it_cannot_tell(name: str) -> None:
    assert verdict(name, UNKNOWN[name]).status == "cannot tell"


def test_every_rule_has_a_case_in_each_direction() -> None:
    assert OK.keys() == LOOK.keys() == {rule.name for rule in RULES} - {"collapsed-vectors"}


def test_the_last_train_auc_of_a_curve_counts_and_loses_to_nothing() -> None:
    class Recorded(Epoch):
        train_auc: float | None = None

    epochs = [
        Recorded(epoch=n, loss=1.0, seconds=1.0, train_auc=auc) for n, auc in enumerate((0.6, 0.97, None), start=1)
    ]
    good = row("bpr", curve=epochs, diagnostics={"train_auc": 0.5})
    assert verdict("train-auc", run(good)).found == ["bpr 0.970"]
    beaten = verdict("train-auc", run(good, row("markov", baseline=True, recall_20=0.6)))
    assert beaten.status == "look"
    assert "0.970, and yet it loses to a baseline" in beaten.found[0]


@pytest.mark.parametrize(
    ("last", "status"), [(0.2 * 1.009, "ok"), (0.2 * 1.011, "look")], ids=["below the noise", "above the noise"]
)
def test_a_gain_counts_above_one_percent(last: float, status: str) -> None:
    assert verdict("under-trained", run(row("sasrec", curve=curve(0.1, 0.2, last)))).status == status


@pytest.mark.parametrize(("last", "status"), [(0.2 * 0.951, "ok"), (0.2 * 0.949, "look")])
def test_a_loss_counts_above_five_percent(last: float, status: str) -> None:
    assert verdict("over-fitted", run(row("sasrec", curve=curve(0.1, 0.2, last)))).status == status


def test_stages_are_judged_one_by_one() -> None:
    two = [*curve(0.1, 0.2, 0.2), *curve(0.2, 0.25, stage="fine-tuning")]
    assert verdict("under-trained", run(row("narm", curve=two))).found == [
        "narm (fine-tuning): validation still rose in the last of 2 epochs, from 0.2000 to 0.2500; "
        "raise training.epochs"
    ]


def test_a_factorisation_keeps_its_last_epoch_and_has_no_dropout() -> None:
    falling = run(row("bpr", curve=curve(0.1, 0.2, 0.17, stage=FACTORISATION)))
    (found,) = verdict("over-fitted", falling).found
    assert found.startswith("bpr (factorisation): validation fell from 0.2000 in epoch 2 to 0.1700; the last epoch was")
    assert "raise regularization" in found
    assert "dropout" not in found
    rising = run(row("als", curve=curve(0.1, 0.15, 0.18, stage=FACTORISATION)))
    assert verdict("under-trained", rising).found[0].endswith("raise training.epochs (als: training.iterations)")


def test_a_loss_that_rises_is_found() -> None:
    rising = run(row("sasrec", curve=curve(0.1, 0.2, loss=(1.0, 1.2))))
    assert "the loss rose from 1.0000 to 1.2000" in verdict("loss-and-validation", rising).found[0]


def test_validation_far_above_the_test_is_over_fitting() -> None:
    better = row("sasrec", validation={"recall@20": 0.9}, validation_confidence={"recall@20": (0.89, 0.91)})
    assert "recall@20 0.9000 on validation" in verdict("over-fitted", run(better)).found[0]


def test_one_cutoff_and_saturated_lists_are_found() -> None:
    one = row("sasrec").model_copy(update={"metrics": {"recall@20": 0.99}})
    found = verdict("cutoff", run(one)).found
    assert found[0].startswith("every model has recall@20 of at least 0.98")
    assert found[1].startswith("recall is measured at k = 20 only")


def test_the_cutoff_is_compared_with_the_sampled_candidates() -> None:
    assert "among 100 candidates" in verdict("cutoff", run(candidates="uni99")).found[0]


def test_nothing_is_asked_of_lists_where_nothing_is_ranked() -> None:
    labelled = row("markov").model_copy(update={"metrics": {"auc": 0.5}, "confidence": {}})
    of = run(labelled, row("popularity").model_copy(update={"metrics": {"auc": 0.6}}), candidates="labeled")
    of = replace(of, results=of.results.model_copy(update={"protocol": {**of.results.protocol, "headline": ["auc"]}}))
    for name in ("cutoff", "order-in-list", "precision-and-recall"):
        assert verdict(name, of).found == ["nothing is ranked: predicted values are compared with labels"]


def test_the_tie_rule_standard_is_found() -> None:
    assert "ties=optimistic" in verdict("ties", run(ties="optimistic")).found[0]


def test_counting_models_need_no_seeds() -> None:
    assert verdict("seeds", run(row("stan"))).status == "ok"
    assert verdict("seeds", run(row("bpr"))).status == "look"


def test_findings_in_figures_are_left_to_their_own_rules() -> None:
    figure = Finding(code="loses-to-baseline", severity="warning", subject="sasrec", message="")
    assert verdict("linter", run(findings=(figure,))).status == "ok"


def saved(folder: Path, vectors: np.ndarray) -> FinishedRun:
    """Save a network with given item vectors."""
    items = pl.Series("item", range(1, len(vectors) + 1))
    numbers = np.arange(1, len(vectors) + 1, dtype=np.int32)
    log = Sessions(numbers, np.array([0, len(vectors)]), None, Vocabulary.from_items(items))
    model = SASRec(embedding_size=vectors.shape[1], inner_size=8, training={"epochs": 1}).fit(log)
    model.network.items.data[1:] = model.network.items.data.new_tensor(vectors)
    model.save(folder / "sasrec", result={})
    return run(row("sasrec"), row("markov"), folder=folder)


def test_collapsed_vectors_are_found_and_spread_ones_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((200, 16)).astype(np.float32)
    found = verdict("collapsed-vectors", saved(tmp_path / "spread", spread))
    assert found.status == "ok"
    assert found.found[0].startswith("sasrec: effective rank 15.")
    direction = verdict("collapsed-vectors", saved(tmp_path / "direction", spread + 100))
    assert direction.status == "look"
    assert "mean cosine 1.00" in direction.found[0]
    line = np.outer(rng.standard_normal(200), np.ones(16)).astype(np.float32)
    assert "effective rank 1.0 of 16" in verdict("collapsed-vectors", saved(tmp_path / "line", line)).found[0]


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    damaged = saved(tmp_path, np.eye(16, dtype=np.float32))
    (tmp_path / "sasrec" / "manifest.json").write_text("{", encoding="utf-8")
    found = verdict("collapsed-vectors", damaged)
    assert found.status == "cannot tell"
    assert "sasrec cannot be read" in found.found[0]
