"""Checks of how a factorisation was trained: train_auc compared with the test, and validation during the training."""

from collections.abc import Iterator
from math import sqrt

from segue.evaluation.linter.checks import Issue
from segue.evaluation.linter.entries import LeaderboardEntry, is_clearly_worse
from segue.evaluation.train_auc import band

MIN_TRAIN_AUC = 0.8
"""train_auc below which a factorisation has not learnt."""

HIGH_TRAIN_AUC, LOW_SHARE, MAX_FALL = 0.9, 0.5, 0.1
"""train_auc from which a factorisation knows its training sessions; share of a counting baseline below which its test
is low then; and share of the best validation that it may lose by the end of the training."""


def training_failed(entry: LeaderboardEntry) -> Issue | None:
    """Find a factorisation that ranks the items of its own training sessions badly."""
    auc = entry.row.diagnostics.get("train_auc", 1.0)
    if auc >= MIN_TRAIN_AUC:
        return None
    return Issue(
        f"train_auc {auc:.3f} is below {MIN_TRAIN_AUC}: the training failed; try another training.learning_rate, more "
        "training.epochs (als: training.iterations) and less regularization"
    )


def overfitting(entry: LeaderboardEntry) -> Issue | None:
    """Find a factorisation that ranks its training sessions well, and the test badly; or validation worse and worse."""
    row, figures = entry.row, entry.row.diagnostics
    if "train_auc" not in figures:
        return None
    found = list(_low_on_test(entry)) if figures["train_auc"] >= HIGH_TRAIN_AUC else []
    best, last = figures.get("validation_best", 0.0), figures.get("validation_last", 0.0)
    # Twice the largest standard error that a mean of this number of values between 0 and 1 can have.
    noise = 2 * sqrt(best * (1 - best) / max(1.0, figures.get("validation_cases", 0.0)))
    if best - last > max(MAX_FALL * best, noise):
        found.append(f"validation fell from {best:.4f} to {last:.4f} during training")
    if not found:
        return None
    auc = figures["train_auc"]
    return Issue(
        f"train_auc {auc:.3f} is {band(auc)}, but {' and '.join(found)}: {row.label} overfits the training sessions; "
        "raise regularization, or lower embedding_size or training.epochs (als: training.iterations)"
    )


def _low_on_test(entry: LeaderboardEntry) -> Iterator[str]:
    """Yield the NDCG and recall that are clearly below popularity, or half of another baseline that counts."""
    row, others = entry.row, entry.baselines
    for metric in ("ndcg", "recall"):
        cutoffs = [int(name.partition("@")[2]) for name in row.metrics if name.startswith(f"{metric}@")]
        if not cutoffs or not others:
            continue
        name = f"{metric}@{max(cutoffs)}"
        best = max(others, key=lambda one: one.metrics.get(name, 0.0))
        popular = max(
            (one for one in others if one.label.startswith("popularity")),
            key=lambda one: one.metrics.get(name, 0.0),
            default=None,
        )
        value = row.metrics[name]
        if popular is not None and name in popular.metrics and is_clearly_worse(row, popular, name):
            yield f"{name} {value:.4f} is below the {popular.metrics[name]:.4f} of the baseline {popular.label}"
        elif value < LOW_SHARE * best.metrics.get(name, 0.0):
            yield f"{name} {value:.4f} is below half of the {best.metrics[name]:.4f} of the baseline {best.label}"
