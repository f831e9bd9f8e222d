"""What the targets of a step are compared with when they share their negatives."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from torch import Tensor

from segue.nn.losses.shared_softmax import Pairs
from segue.nn.sampling.samplers import AccidentalHits, Sampler, log_probabilities


@dataclass(frozen=True, eq=False)
class Draw:
    """The targets and negatives of a step.

    Attributes:
        ids: items in use: the targets of the T rows, then the drawn items; the negatives are the last M of them.
        log_counts: logarithm of how often each negative is expected among the negatives of a row.
        own_log_counts: the same of each row's target.
        excluded: rows and negatives that have nothing to do with each other.
    """

    ids: Int64[Tensor, "R"]
    log_counts: Float32[Tensor, "M"]
    own_log_counts: Float32[Tensor, "T"]
    excluded: Pairs


class Negatives:
    """Drawn items, the other targets of the step, or both.

    Args:
        sampler: where the drawn items come from; None draws none.
        support: training events per item index.
        in_batch: whether the other targets of the step are negatives.
        reject_hits: whether a negative is left out for a row whose target it is.
    """

    def __init__(
        self, sampler: Sampler | None, support: Int[np.ndarray, "M"], *, in_batch: bool, reject_hits: bool = True
    ) -> None:
        self._sampler = sampler
        self._in_batch = in_batch
        self._reject_hits = reject_hits
        self._hits = AccidentalHits(len(support) - 1)
        self._log_p = log_probabilities(np.log(np.maximum(support, 1)).astype(np.float32), support)
        self._log_q = self._log_p if sampler is None else log_probabilities(sampler.log_weights, support)

    def draw(self, targets: Int64[np.ndarray, "T"], epoch: int, step: int, device: torch.device | str = "cpu") -> Draw:
        """Put the targets and the negatives of a step together."""
        drawn = np.zeros(0, dtype=np.int64) if self._sampler is None else self._sampler.draw(epoch, step)
        ids = np.concatenate((targets, drawn))
        log_counts = self._log_counts(ids, len(targets), len(drawn))
        first = 0 if self._in_batch else len(targets)
        pairs = self._excluded(targets, ids[first:])
        arrays = (ids, log_counts[first:], log_counts[: len(targets)], *pairs)
        ids_, counts, own_counts, rows, columns = (torch.from_numpy(array).to(device) for array in arrays)
        return Draw(ids_, counts, own_counts, Pairs(rows, columns))

    def _excluded(
        self, targets: Int64[np.ndarray, "T"], negatives: Int64[np.ndarray, "M"]
    ) -> tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]:
        if self._reject_hits:
            return self._hits.find(targets, negatives, own=False)
        # Even where hits are kept, a row's own target is none of the other targets.
        own = np.arange(len(targets) if self._in_batch else 0)
        return own, own

    def _log_counts(self, items: Int64[np.ndarray, "R"], n_rows: int, n_drawn: int) -> Float32[np.ndarray, "R"]:
        others = n_rows - 1 if self._in_batch else 0
        counts = np.float32(n_drawn) * np.exp(self._log_q[items]) + np.float32(others) * np.exp(self._log_p[items])
        log_counts: Float32[np.ndarray, R] = np.log(np.maximum(counts, np.finfo(np.float32).tiny))
        return log_counts
