"""Rules on the metrics of the test: the protocol, the order inside lists, baselines, ties."""

from itertools import chain

from segue.doctor.finished_run import FinishedRun
from segue.doctor.verdict import Answer, cannot_tell, look, ok
from segue.metrics import MetricName
from segue.protocols.ranking import Ranking

LARGE_K = 0.1
"""Share of the candidates from which on a list is long: random lists of a tenth of them have a recall of 0.1."""

SATURATED = 0.98
"""Recall of the worst model from which on a metric no longer tells models apart: the rest is noise."""

_WITH_A_RULE = frozenset(
    (
        *("loses-to-baseline", "validation-above-test", "overfitting"),
        *("order-in-list", "precision-without-recall", "training-failed"),
    )
)
"""Checks of the linter that a rule of the doctor repeats."""

_NOT_RANKED = "nothing is ranked: predicted values are compared with labels"


def linter_findings(run: FinishedRun) -> Answer:
    """Repeat what the linter found in the log and the scores; its checks of the metrics have their own rules."""
    findings = [one for one in run.results.findings if one.code not in _WITH_A_RULE]
    serious = [one for one in findings if one.severity != "note"]
    codes = ", ".join(dict.fromkeys(f"{one.code} ({one.severity}, {one.subject})" for one in serious))
    notes = len(findings) - len(serious)
    also = f"; {notes} note{'s' * (notes != 1)}" if notes else ""
    lines = [f"{codes}{also}; results.json and the report have the messages"] if serious else []
    return look(lines, f"no error or warning{also}")


def candidates(run: FinishedRun) -> Answer:
    """Check that all items are ranked."""
    kind = run.results.protocol["ranking"]["candidates"]
    if kind == "labeled":
        return ok(_NOT_RANKED)
    lines = [
        f"each target is ranked among {kind} sampled items: metrics do not estimate those on all items and may order "
        "models differently; set protocol.ranking.candidates=full"
    ]
    return look([] if kind == "full" else lines, "every target is ranked among all items")


def cutoffs(run: FinishedRun) -> Answer:
    """Check the lengths of the lists that are measured against the number of candidates, and show several."""
    if _is_labeled(run):
        return cannot_tell(_NOT_RANKED)
    names = [MetricName.parse(name) for name in run.rows[0].metrics] if run.rows else []
    family = next((one for one in ("recall", "hit", "ndcg") if any(name.name == one for name in names)), None)
    if family is None:
        return cannot_tell("no recall, hit or ndcg was measured; add recall@20 to protocol.ranking.metrics")
    lengths = sorted({int(name.k) for name in names if name.name == family and name.k != float("inf")})
    size = _n_candidates(run)
    if size is None or not lengths:
        return cannot_tell(f"the number of items, or a cut-off of {family}, is not recorded")
    best, worst = run.rows[0], min(row.metrics[f"{family}@{lengths[-1]}"] for row in run.rows)
    values = ", ".join(f"@{k} {best.metrics[f'{family}@{k}']:.4f}" for k in lengths)
    lines = [
        f"{family}@{k} is measured among {size:,} candidates: a random list has a recall of {k / size:.2f}; "
        f"use a smaller k"
        for k in lengths
        if k >= LARGE_K * size
    ]
    if worst >= SATURATED:
        lines.append(f"every model has {family}@{lengths[-1]} of at least {SATURATED}; a smaller k tells them apart")
    if len(lengths) == 1:
        lines.append(f"{family} is measured at k = {lengths[0]} only; add other cut-offs to protocol.ranking.metrics")
    return look(
        lines, f"{best.label}: {family}{values}; the longest list is {lengths[-1] / size:.1%} of {size:,} items"
    )


def order_of_lists(run: FinishedRun) -> Answer:
    """Find models that find as many targets as another one and order them worse."""
    if _is_labeled(run):
        return cannot_tell(_NOT_RANKED)
    if len(run.rows) < 2:
        return cannot_tell("there is one model; add another or the baselines")
    if not _has(run, "recall", "ndcg", "map") and not _has(run, "recall", "mrr"):
        return cannot_tell("needs recall with mrr, or with ndcg and map, at one k; set protocol.ranking.metrics")
    return look(run.messages("order-in-list"), "no model finds as many targets as another one and ranks them lower")


def precision_and_recall(run: FinishedRun) -> Answer:
    """Find the lowest recall together with a good precision: relevant items are counted wrongly."""
    if _is_labeled(run):
        return cannot_tell(_NOT_RANKED)
    if run.results.protocol["cases"]["targets"] != "together":
        return ok("each case has one target, so precision@k is recall@k / k and cannot disagree with it")
    if len(run.rows) < 3 or not _has(run, "precision", "recall"):
        return cannot_tell("needs precision and recall at one k, and three models to compare")
    return look(run.messages("precision-without-recall"), "no model has a good precision beside the worst recall")


def baselines(run: FinishedRun) -> Answer:
    """Find models that lose to a model that only counts."""
    others = [row for row in run.rows if not row.baseline]
    if len(others) == len(run.rows):
        return cannot_tell("the run has no baselines; leave out --no-baselines")
    return look(
        run.messages("loses-to-baseline"), f"none of {len(others)} models loses to a baseline on a headline metric"
    )


def ties(run: FinishedRun) -> Answer:
    """Find ties where there should be none, and a rule that rewards them."""
    lines = [
        f"{row.label}: {row.ties}; are its scores clipped, rounded or constant?" for row in run.trained if row.ties
    ]
    if run.results.protocol["ranking"]["ties"] == "optimistic":
        lines.append("ties=optimistic ranks a target before its equals: a constant model is perfect; use ties=served")
    counting = [row.label for row in run.rows if row.ties and not row.curve]
    expected = f"; ties of {', '.join(counting)} are expected, because they count" if counting else ""
    return look(lines, f"no network ties more than 1% of its targets{expected}")


def _has(run: FinishedRun, *names: str) -> bool:
    """Return whether all of some metrics were measured at one cut-off."""
    parsed = list(map(MetricName.parse, chain.from_iterable(row.metrics for row in run.rows[:1])))
    lengths = [{metric.k for metric in parsed if metric.name == name} for name in names]
    return bool(set.intersection(*lengths))


def _is_labeled(run: FinishedRun) -> bool:
    return bool(run.results.protocol["ranking"]["candidates"] == "labeled")


def _n_candidates(run: FinishedRun) -> int | None:
    kind = run.results.protocol["ranking"]["candidates"]
    if run.n_items is None:
        return None
    draw = Ranking(candidates=kind).draw
    return run.n_items if draw is None else min(run.n_items, draw[1] + 1)
