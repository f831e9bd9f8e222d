"""Soft labels: the best next items of a teacher at the events of the training sessions, and their shares."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64

from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.evaluation.scorer import no_model, require_scorer
from segue.progress import Progress

_ROWS = 512
"""Prefixes that a teacher scores at once."""


class Teacher(Protocol):
    """A model that lists the best items of a catalogue."""

    vocabulary: Vocabulary

    @property
    def scores_are_logits(self) -> bool:
        """Whether a softmax of the scores says how likely items are; else they are in proportion to their scores."""

    def top_k(self, prefixes: Prefixes, k: int) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
        """List the best items for each prefix, and their scores."""


def require_teacher(teacher: Any) -> None:
    """Refuse a teacher that is not a fitted model.

    Raises:
        ParameterError: it is not a model, or it is not fitted.
    """
    if not hasattr(teacher, "top_k") or not hasattr(teacher, "scores_are_logits"):
        raise no_model(teacher, "teacher")
    require_scorer(teacher, "teacher")


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """A teacher's best items at events of the training sessions.

    Attributes:
        rows: for each event of the training sessions its row below, -1 where there are no labels.
        items: the K best items of each row.
        shares: how likely they are, which sums to 1 in each row that is referred to.
    """

    rows: Int64[np.ndarray, "n"]
    items: Int32[np.ndarray, "R K"]
    shares: Float32[np.ndarray, "R K"]

    def fingerprint(self) -> str:
        """Return a hash of the labels."""
        return hashlib.sha256(self.items.tobytes() + self.shares.tobytes()).hexdigest()


def predict_soft_labels(
    teacher: Teacher,
    prefixes: Prefixes,
    events: Int64[np.ndarray, "R"],
    n_events: int,
    *,
    k: int,
    temperature: float,
    progress: Progress,
) -> SoftLabels:
    """Predict the next items with a teacher.

    Only the best ``k`` items are kept: the shares of all others are taken as zero, so that what is kept has the size
    of the log and not of log x catalogue.

    Args:
        teacher: a fitted model.
        prefixes: context of each event.
        events: the event that each prefix is about.
        n_events: number of events n of the training sessions.
        k: items that are kept.
        temperature: scores are divided by it before the softmax; scores that are no logits are taken to the power of
            its inverse.
        progress: receives progress updates.
    """
    items, scores = predict_top_k(teacher, prefixes, k, task="asking the teacher", progress=progress)
    logits = torch.from_numpy(scores)
    if not teacher.scores_are_logits:
        logits = logits.clamp_(min=0.0).log_()
    shares = logits.div_(temperature).softmax(dim=1).nan_to_num_(nan=0.0).numpy()
    rows = np.full(n_events, -1, dtype=np.int64)
    rows[events] = np.where(shares.any(axis=1), np.arange(len(events)), -1)
    return SoftLabels(rows, items, shares)


def predict_top_k(
    model: Teacher, prefixes: Prefixes, k: int, *, task: str, progress: Progress
) -> tuple[Int32[np.ndarray, "R k"], Float32[np.ndarray, "R k"]]:
    """Return the best items of many prefixes, and their scores.

    Args:
        model: what scores them.
        prefixes: the current sessions.
        k: items per prefix; a row with fewer candidates ends in item 0 with -inf.
        task: what the progress is called.
        progress: receives progress updates.
    """
    items = np.zeros((len(prefixes), k), dtype=np.int32)
    scores = np.zeros((len(prefixes), k), dtype=np.float32)
    with progress.task(task, len(prefixes)) as report:
        for start in range(0, len(prefixes), _ROWS):
            chunk = slice(start, start + _ROWS)
            items[chunk], scores[chunk] = model.top_k(prefixes[chunk], k)
            report.advance(len(items[chunk]))
    return items, scores
