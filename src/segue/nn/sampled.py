"""The loss of a state against its target, the other targets of the batch, and drawn items; for any encoder."""

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor
from torch.nn import functional

from segue.nn.fused import sampled_cross_entropy
from segue.nn.losses import Loss, cross_entropy
from segue.nn.samplers import AccidentalHits, Sampler

Pairs = tuple[Int64[np.ndarray, "E"], Int64[np.ndarray, "E"]]

_NO_PAIRS: Pairs = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


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

    def __call__(
        self,
        states: Float[Tensor, "B D"],
        table: Float[Tensor, "N W"],
        targets: Int64[np.ndarray, "B"],
        epoch: int,
        step: int,
    ) -> Float[Tensor, "B"]:
        """Return the loss of each row.

        Args:
            states: what the encoder says about each session.
            table: embedding and, in the last column, bias of each item; its gradient is sparse.
            targets: the item that followed.
            epoch: which draw of the sampler.
            step: which draw of the sampler.
        """
        ids, log_q = targets, self._log_support[targets]
        if self._sampler is not None:
            drawn = self._sampler.draw(epoch, step)
            ids = np.concatenate((targets, drawn))
            log_q = np.concatenate((log_q, self._sampler.log_weights[drawn]))
        pairs = self._hits.find(ids, len(targets)) if self._hits is not None else _NO_PAIRS
        device = states.device
        rows, columns = (torch.from_numpy(indices).to(device) for indices in pairs)
        items, correction = torch.from_numpy(ids).to(device), torch.from_numpy(self._logq * log_q).to(device)
        if self._loss is cross_entropy:
            return sampled_cross_entropy(states, table, items, correction, (rows, columns))
        candidates = functional.embedding(items, table, sparse=True)
        scores = torch.addmm(candidates[:, -1], states, candidates[:, :-1].T)
        excluded = torch.zeros_like(scores, dtype=torch.bool)
        excluded[rows, columns] = True
        return self._loss(scores, torch.arange(len(targets), device=device), excluded)
