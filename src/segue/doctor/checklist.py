"""The checklist: all rules, applied to the folder of a run."""

from pathlib import Path

from segue.doctor import curves, metrics, models
from segue.doctor.finished_run import FinishedRun
from segue.doctor.verdict import Rule, Verdict

RULES: tuple[Rule, ...] = (
    Rule("linter", "leaks", metrics.linter_findings),
    Rule("candidates", "sampled-metrics", metrics.candidates),
    Rule("cutoff", "ranking-metrics", metrics.cutoffs),
    Rule("ties", "ties", metrics.ties),
    Rule("order-in-list", "loss-and-metric", metrics.order_of_lists),
    Rule("precision-and-recall", "ranking-metrics", metrics.precision_and_recall),
    Rule("baselines", "markov-chains", metrics.baselines),
    Rule("train-auc", "pointwise-pairwise-listwise", curves.train_auc),
    Rule("under-trained", "learning-curves", curves.under_trained),
    Rule("loss-and-validation", "loss-and-metric", curves.loss_and_validation),
    Rule("over-fitted", "learning-curves", curves.over_fitted),
    Rule("collapsed-vectors", "collapsed-embeddings", models.collapsed_vectors),
    Rule("seeds", "seeds", models.several_seeds),
    Rule("repeatability", "seeds", models.repeatability),
)
"""The rules in the order of the checklist."""


def examine(folder: Path) -> list[Verdict]:
    """Apply all rules to a run.

    Args:
        folder: of a run that has ended, or its results.json.

    Raises:
        ArtifactError: it is not the folder of a run that has ended.
    """
    run = FinishedRun.read(folder)
    return [rule.verdict(run) for rule in RULES]
