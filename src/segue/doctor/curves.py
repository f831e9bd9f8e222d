"""Rules on the training: train_auc, and the course of the loss and of the validation metric."""

from collections.abc import Sequence

from segue.doctor.finished_run import FinishedRun
from segue.doctor.verdict import Answer, cannot_tell, look
from segue.experiment.results import Epoch, ModelResult
from segue.models.factorisation import FACTORISATION

RISING = 0.01
"""Relative gain that counts as one: from epoch to epoch, validation metrics move by less without a reason."""

LOSS_CHANGE = 0.05
"""Relative change of the loss over a training that counts as falling or rising."""

DROPPED = 0.05
"""Relative loss of the validation metric since its best epoch that counts as over-fitting, five times the noise."""

FAILED_TRAIN_AUC = 0.8
"""train_auc below which a factorisation has not learnt: even on sparse logs it normally ends above."""

HIGH_TRAIN_AUC = 0.95
"""train_auc from which on the training pairs are as good as learnt; what is missing then is missing in new sessions."""

_NO_CURVE = (
    "no model has a validation curve; train a network, on a protocol with a validation part "
    "(protocol.split.valid_days or valid_share)"
)


def train_auc(run: FinishedRun) -> Answer:
    """Check the share of training pairs that a factorisation ranks in the right order."""
    lines, known = [], {}
    beaten = {one.subject for one in run.findings if one.code == "loses-to-baseline"}
    for row in run.rows:
        value = last_train_auc(row)
        if value is None:
            continue
        known[row.label] = value
        if value < FAILED_TRAIN_AUC:
            lines.append(
                f"{row.label}: train_auc {value:.3f} is below {FAILED_TRAIN_AUC}, the training failed; try another "
                "training.learning_rate, more training.epochs, less regularization"
            )
        elif value >= HIGH_TRAIN_AUC and row.label in beaten:
            lines.append(
                f"{row.label}: train_auc {value:.3f}, and yet it loses to a baseline: it over-fits (raise "
                "regularization or lower embedding_size), or the pairs it is trained on are too easy"
            )
    if not known:
        return cannot_tell("no model records train_auc; bpr does")
    return look(lines, ", ".join(f"{label} {value:.3f}" for label, value in known.items()))


def last_train_auc(row: ModelResult) -> float | None:
    """Return the train_auc of the last epoch that records it, or else of the diagnostics."""
    recorded = [value for epoch in row.curve if (value := getattr(epoch, "train_auc", None)) is not None]
    found = recorded[-1] if recorded else row.diagnostics.get("train_auc")
    return None if found is None else float(found)


def under_trained(run: FinishedRun) -> Answer:
    """Find trainings whose validation metric still rose in the last epoch."""
    lines, seen = [], 0
    for name, epochs, values in run.stages():
        seen += 1
        if len(values) == 1:
            lines.append(f"{name}: one epoch is too few to see whether it has converged; raise {_epochs_of(epochs)}")
        elif values[-1] > (1 + RISING) * max(values[:-1]):
            lines.append(
                f"{name}: validation still rose in the last of {len(epochs)} epochs, from {max(values[:-1]):.4f} to "
                f"{values[-1]:.4f}; raise {_epochs_of(epochs)}"
            )
    if not seen:
        return cannot_tell(_NO_CURVE)
    return look(lines, "validation no longer rose in the last epoch of any training")


def loss_and_validation(run: FinishedRun) -> Answer:
    """Find trainings whose loss falls without any gain on validation, or does not fall."""
    lines, seen = [], 0
    for name, epochs, values in run.stages():
        if len(values) < 2:
            continue
        seen += 1
        first, last = epochs[0].loss, epochs[-1].loss
        if last > first + LOSS_CHANGE * abs(first):
            lines.append(f"{name}: the loss rose from {first:.4f} to {last:.4f}; lower training.learning_rate")
        elif last < first - LOSS_CHANGE * abs(first) and max(values) <= (1 + RISING) * values[0]:
            lines.append(
                f"{name}: the loss fell from {first:.4f} to {last:.4f} while validation stayed at {values[0]:.4f} "
                f"(best {max(values):.4f}); check that training and validation have the same task, or use another loss"
            )
    if not seen:
        return cannot_tell(_NO_CURVE if not any(True for _ in run.stages()) else "needs two epochs")
    return look(lines, "where the loss fell, validation rose")


def over_fitted(run: FinishedRun) -> Answer:
    """Find trainings whose validation metric fell again, and models that are much better on validation."""
    lines, seen = [], 0
    for name, epochs, values in run.stages():
        seen += 1
        best = max(values)
        if values[-1] < (1 - DROPPED) * best:
            lines.append(
                f"{name}: validation fell from {best:.4f} in epoch {epochs[values.index(best)].epoch} to "
                f"{values[-1]:.4f}; {_remedy(epochs)}"
            )
    lines += [*run.messages("validation-above-test"), *run.messages("overfitting")]
    seen += sum(bool(row.validation) for row in run.rows)
    if not seen:
        return cannot_tell("the protocol holds out no validation part")
    return look(lines, "validation did not fall again, and is not far above the test")


def _of_factors(epochs: Sequence[Epoch]) -> bool:
    """Whether these are the passes of a factorisation, which keeps the last one."""
    return epochs[0].stage == FACTORISATION


def _epochs_of(epochs: Sequence[Epoch]) -> str:
    return f"training.epochs{' (als: training.iterations)' if _of_factors(epochs) else ''}"


def _remedy(epochs: Sequence[Epoch]) -> str:
    if _of_factors(epochs):
        return f"the last epoch was kept; raise regularization, or lower embedding_size or {_epochs_of(epochs)}"
    return "the best epoch was kept, but more dropout or a smaller network may do better"
