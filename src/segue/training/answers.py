"""What a model thinks comes next at the events of the training sessions: its best items and their shares."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.nn.ranking import top_k
from segue.progress import Progress

_ROWS = 512
"""Prefixes that a teacher scores at once."""


class Teacher(Protocol):
    """Whoever is asked: whatever scores the items of a catalogue."""

    vocabulary: Vocabulary

    def score(self, prefixes: Prefixes) -> Float32[Tensor, "B N+1"]:
        """Score every item as the next event of each prefix."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Soft labels, or lists to put in order.

    Attributes:
        rows: for each event of the training sessions its row below, -1 where nobody was asked.
        items: the K best items of each row.
        shares: the softmax of their softened scores, which sums to 1.
    """

    rows: Int64[np.ndarray, "n"]
    items: Int32[np.ndarray, "R K"]
    shares: Float32[np.ndarray, "R K"]

    def fingerprint(self) -> str:
        """Return a hash of the answers."""
        return hashlib.sha256(self.items.tobytes() + self.shares.tobytes()).hexdigest()


def ask(
    teacher: Teacher,
    prefixes: Prefixes,
    events: Int64[np.ndarray, "R"],
    n_events: int,
    *,
    k: int,
    temperature: float,
    progress: Progress,
) -> Answers:
    """Ask a teacher what comes next.

    Only the best ``k`` items are kept: the shares of all others are taken as zero, so that what is kept has the size
    of the log and not of log x catalogue.

    Args:
        teacher: who is asked.
        prefixes: what the teacher is told before each event.
        events: the event that each prefix is about.
        n_events: number of events n of the training sessions.
        k: items that are kept.
        temperature: scores are divided by it before the softmax.
        progress: who is told how far the work is.
    """
    items = np.zeros((len(prefixes), k), dtype=np.int32)
    shares = np.zeros((len(prefixes), k), dtype=np.float32)
    with progress.task("asking the teacher", len(prefixes)) as task:
        for start in range(0, len(prefixes), _ROWS):
            chunk = slice(start, start + _ROWS)
            best, values = top_k(teacher.score(prefixes[chunk]), k)
            items[chunk] = best
            shares[chunk] = torch.from_numpy(values / np.float32(temperature)).softmax(dim=1).numpy()
            task.advance(len(best))
    rows = np.full(n_events, -1, dtype=np.int64)
    rows[events] = np.arange(len(events))
    return Answers(rows, items, shares)
