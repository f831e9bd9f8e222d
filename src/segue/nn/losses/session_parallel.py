"""The losses of GRU4Rec's session-parallel steps: each row against the targets of all rows and the drawn items."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from torch import Tensor

from segue.nn.losses.functions import Loss, cross_entropy
from segue.nn.losses.fused import sampled_cross_entropy
from segue.nn.sampling.samplers import AccidentalHits, Sampler


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items that the rows of a step are compared with.

    Attributes:
        ids: item index of each column; the first B are the targets of the B rows.
        log_q: what the logQ correction subtracts from each column.
        rows: rows of the accidental hits.
        columns: columns of the accidental hits.
    """

    ids: Int64[Tensor, "M"]
    log_q: Float32[Tensor, "M"]
    rows: Int64[Tensor, "E"]
    columns: Int64[Tensor, "E"]


class SampledLoss:
    """Scores each state against all targets of the batch and the drawn items, and applies a loss.

    With cross-entropy, the logQ correction takes back that popular items are compared with more often than others
    (Bengio and Senecal, 2008): an item meets the other rows in proportion to its support as their target, and to
    ``support ** alpha`` as a drawn item, and the logarithm of that is subtracted from its score, as the authors of
    GRU4Rec do. The other losses compare scores in pairs and need no correction.

    Args:
        loss: what is applied to the scores.
        sampler: where the drawn items come from; None compares with the other targets only.
        support: training events per item index.
        logq: strength of the correction; 1 is all of it, 0 none.
        reject_hits: leave a column out for a row whose target it holds by accident.
    """

    def __init__(
        self,
        loss: Loss,
        sampler: Sampler | None,
        support: Int[np.ndarray, "M"],
        *,
        logq: float = 0.0,
        reject_hits: bool = True,
    ) -> None:
        self._loss = loss
        self._sampler = sampler
        self._logq = np.float32(logq if loss is cross_entropy else 0.0)
        self._log_support = np.log(np.maximum(support, 1)).astype(np.float32)
        self._hits = AccidentalHits(len(support) - 1) if reject_hits else None

    def draw(
        self, targets: Int64[np.ndarray, "B"], epoch: int, step: int, device: torch.device | str = "cpu"
    ) -> Candidates:
        """Put the targets and the drawn items of a step together.

        Args:
            targets: the item that followed each row.
            epoch: which draw of the sampler.
            step: which draw of the sampler.
            device: where the candidates are needed.
        """
        ids, log_q = targets, self._log_support[targets]
        if self._sampler is not None:
            drawn = self._sampler.draw(epoch, step)
            ids = np.concatenate((targets, drawn))
            log_q = np.concatenate((log_q, self._sampler.log_weights[drawn]))
        none = np.zeros(0, dtype=np.int64)
        hits = (none, none) if self._hits is None else self._hits.find(targets, ids, own=True)
        arrays = (ids, self._logq * log_q, *hits)
        return Candidates(*(torch.from_numpy(array).to(device) for array in arrays))

    def __call__(
        self, states: Float[Tensor, "B D"], rows: Float[Tensor, "M W"], candidates: Candidates
    ) -> Float[Tensor, "B"]:
        """Return the loss of each row.

        Args:
            states: what the encoder says about each session.
            rows: embedding and, in the last column, bias of each candidate.
            candidates: what ``draw`` returned.
        """
        hits = candidates.rows, candidates.columns
        if self._loss is cross_entropy:
            return sampled_cross_entropy(states, rows, candidates.log_q, hits)
        scores = torch.addmm(rows[:, -1], states, rows[:, :-1].T)
        excluded = torch.zeros_like(scores, dtype=torch.bool)
        excluded[hits] = True
        return self._loss(scores, torch.arange(len(states), device=states.device), excluded)
