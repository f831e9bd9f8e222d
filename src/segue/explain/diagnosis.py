"""Topics on whether a run can be trusted: learning curves, leaks, seeds."""

from pathlib import Path

from segue.explain.topic import Chapter, Topic, decimals
from segue.markdown import table


def _curves() -> str:
    from segue.doctor.curves import over_fitted, under_trained
    from segue.doctor.finished_run import FinishedRun
    from segue.experiment.results import Epoch, ModelResult, Results

    def judged(*validation: float) -> list[str]:
        curve = [
            Epoch(epoch=number, loss=1 / number, validation=value, seconds=1.0)
            for number, value in enumerate(validation, start=1)
        ]
        row = ModelResult(
            model="sasrec",
            label="sasrec",
            baseline=False,
            config={},
            metrics={},
            confidence={},
            fit_seconds=1.0,
            evaluate_seconds=1.0,
            peak_memory_mb=None,
            curve=curve,
        )
        results = Results(
            segue="", log="", seed=0, protocol={"headline": []}, data={}, notes=[], models=[row], verdicts=[]
        )
        run = FinishedRun(Path(), results)
        return [check(run).status for check in (under_trained, over_fitted)]

    curves = {
        "still rising": (0.10, 0.14, 0.17, 0.19),
        "converged": (0.10, 0.18, 0.20, 0.20),
        "over-fitted": (0.10, 0.20, 0.18, 0.16),
    }
    rows = [[name, " ".join(f"{value:.2f}" for value in values), *judged(*values)] for name, values in curves.items()]
    return f"""Three courses of a validation metric over four epochs, and two verdicts of `segue doctor`:

{table(["course", "validation by epoch", "under-trained", "over-fitted"], rows, numbers=False)}

The first gained 0.19/0.17 - 1 = {0.19 / 0.17 - 1:.0%} in its last epoch. The third lost 1 - 0.16/0.20 =
{1 - 0.16 / 0.2:.0%} since its second epoch, whose weights segue keeps."""


def _leaks() -> str:
    import polars as pl

    from segue.data.readers.read import read
    from segue.evaluation.linter import lint
    from segue.protocols.prepare import prepare

    # Twenty users with ten events each, one per hour; each begins an hour after the one before.
    rows = [(user, (user + 5 * hour) % 12, 3600 * (user + hour)) for hour in range(10) for user in range(20)]
    log = read(pl.DataFrame(rows, schema=["user", "item", "time"], orient="row"))
    splits = {
        "random order": {"kind": "event-ratio", "order": "random"},
        "order of time, per user": {"kind": "event-ratio", "order": "time"},
        "one cut in time for all users": {"kind": "global-time"},
    }
    cells = []
    for name, split in splits.items():
        data = prepare(log, "leave-one-out", split=split)
        of_time = [one for one in lint(data) if "future" in one.code or "overlap" in one.code]
        findings = [f"{one.code} ({one.severity})" for one in of_time]
        cells.append([name, ", ".join(findings) or "nothing"])
    return f"""Twenty users with ten events each, one per hour; each user begins an hour after the one before. Three
splits, and what the linter finds about time:

{table(["split", "linter"], cells, numbers=False)}

In random order, the input of a test case contains events later than its target. Per user, no case does, but training
contains events of other users after the test has begun. One cut in time has neither."""


def _spread() -> str:
    import numpy as np

    from segue.evaluation.confidence import intervals

    rows = []
    for cases in (100, 1_000, 10_000):
        hits = (np.arange(cases) % 10 < 6).astype(np.float64)[:, None]
        low, high = intervals(hits, np.arange(cases), seed=0)[0]
        rows.append(
            [f"{cases:,}", *decimals([float(hits.mean()), low, high], 3), f"{1.96 * (0.24 / cases) ** 0.5:.3f}"]
        )
    return f"""A recall of 0.6, each case in a session of its own; the last column is 1.96 sqrt(0.6 x 0.4 / cases):

{table(["test cases", "recall", "from", "to", "half width by formula"], rows)}

With 100 cases, models at 0.55 and 0.65 are within one interval; a hundred times as many cases make it ten times as
narrow. No number of cases covers the second source of chance, the seed of the training."""


CHAPTER = Chapter(
    "diagnosis",
    "Can the result be trusted?",
    (
        Topic(
            name="learning-curves",
            title="Learning curves",
            idea="""
            The loss on the training sessions falls for as long as one trains; the validation metric rises, stays,
            and falls. While it still rises, the model is under-trained: more epochs help. When it falls, the model has
            begun to learn the training sessions by heart: it is over-fitted. Early stopping waits for `patience`
            epochs without a better value and keeps the best one, so a curve that has fallen a little at its end is the
            normal case. A loss that falls while validation never moves is a third one: the two measure
            different tasks, as with a leak in training.
            """,
            formula="""
            under-trained   last > (1 + 0.01) * best before
            over-fitted     last < (1 - 0.05) * best
            kept            the weights of the epoch with the best validation metric
            """,
            example=_curves,
            options=(
                "sasrec.training.epochs",
                "sasrec.training.patience",
                "sasrec.training.metric",
                "protocol.split.valid_days",
            ),
            pitfall="""
            Comparing networks after an equal number of epochs compares their speed, not their quality: BERT4Rec
            needs several times the epochs of SASRec, and papers that gave it too few reported it as weak. Train each
            until its validation stops rising. A learning rate that is too high also looks like over-fitting: the
            curve jumps instead of falling steadily; lower it before you add dropout.
            """,
            sources=(
                "Prechelt 1998, Early stopping - but when?, Neural Networks: Tricks of the Trade",
                "Petrov and Macdonald 2022, A systematic review and replicability study of BERT4Rec, arXiv 2207.07483",
            ),
            pages=("doctor.md", "report.md#training"),
            also=("curves", "under-fitting", "over-fitting", "epochs", "patience"),
        ),
        Topic(
            name="leaks",
            title="Leaks between training and test",
            idea="""
            A leak is knowledge in training that would not exist in production. The usual ones are of time: a
            random split trains on events after the test, and even a split of each user's last event trains on other
            users' later events. Others are of content: the target is in the input, a test session is also in
            training, a column names the next item, the catalogue was built from test events. A leak makes every
            metric too good, and not by the same amount for each model: those with the largest memory gain most.
            """,
            formula="""
            no leak of time:  max(time of a training event) <= min(end of a test session)
            no leak in a case:  max(time in the input) <= time of the target, and target not copied into the input
            """,
            example=_leaks,
            options=("protocol.split", "protocol.split.order", "protocol.cleaning.drop_duplicates"),
            pitfall="""
            Leave-one-out has an overlap in time by design; the linter notes it, since most published tables of
            SASRec and BERT4Rec use it. Keep it to compare with papers and use `global-time` to
            decide what to deploy. A suspiciously good value is a finding: look for a leak before you celebrate.
            """,
            sources=(
                "Ji et al. 2023, A critical study on data leakage in recommender system offline evaluation, ACM TOIS",
                "Hidasi and Czapp 2023, Widespread flaws in offline evaluation of recommender systems, RecSys",
            ),
            pages=("linter.md", "protocols.md#splits"),
            also=("leak", "data-leakage", "leakage", "linter", "split", "splits"),
        ),
        Topic(
            name="seeds",
            title="Seeds, intervals and repeatability",
            idea="""
            A metric has two sources of chance: which sessions happened to be in the test, and the seed of the training
            (initial weights, order of batches, negatives, dropout). The first is measured by a bootstrap over
            sessions, and for two models by a paired test on the same cases; the second only by training several
            times. Equal seeds give equal models in segue on a CPU, so a difference between two runs has a reason.
            A paired test of two runs says whether these two models differ, not whether the method is better.
            """,
            formula="""
            interval    2.5% and 97.5% quantiles of the mean over 1,000 resamples of whole sessions
            p           share of random sign flips of the differences per session that are as large as the observed sum
            seeds       mean and standard deviation over runs
            """,
            example=_spread,
            options=("run.seed", "run.device", "run.precision"),
            pitfall="""
            The best of five seeds is not a result, and neither is the best of fifty trials measured on the test part:
            choose on validation, report the test once. Results from a GPU or in bf16 repeat up to rounding
            only. Cases of one session depend on each other, so an interval over cases is too narrow;
            segue resamples sessions. `segue run --seeds 0,1,2` trains once per seed and compares.
            """,
            sources=(
                "Efron 1979, Bootstrap methods: another look at the jackknife, Annals of Statistics 7",
                "Bouthillier et al. 2021, Accounting for variance in machine learning benchmarks, MLSys",
            ),
            pages=("comparing.md", "reproducibility.md"),
            also=("seed", "determinism", "confidence", "intervals", "significance", "reproducibility"),
        ),
    ),
)
