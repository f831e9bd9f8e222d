"""Label smoothing: a share of each label is spread evenly over the items that the target is compared with.

Szegedy et al. 2016 (arXiv 1512.00567), as in ``torch.nn.functional.cross_entropy``. Cross-entropy is linear in the
labels, so smoothed labels add ``label_smoothing * (score of the target - mean score)`` to it. Scores are dot products:
their sum over many items is the score against the sum of the embeddings, and needs no matrix of scores.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from segue.nn.negatives import Pairs


def smoothed(own: Float[Tensor, "T W"], table: Float[Tensor, "M W"], label_smoothing: float) -> Float[Tensor, "T W"]:
    """Return the mean embedding by the smoothed labels of each row.

    Args:
        own: embedding, and bias, of each row's target.
        table: embedding, and bias, of every item; row 0 (padding) has no share.
        label_smoothing: share of the labels that is spread over all items.
    """
    return torch.lerp(own, table[1:].mean(0), label_smoothing) if label_smoothing else own


def add_smoothed(
    grad_table: Float[Tensor, "M W"],
    targets: Int64[Tensor, "T"],
    grad_own: Float[Tensor, "T W"],
    label_smoothing: float,
) -> None:
    """Add the gradient by ``smoothed(table[targets], table, label_smoothing)`` to that by the table.

    Args:
        grad_table: gradient by the table, which is changed.
        targets: item index of each row's target.
        grad_own: gradient by the mean embedding of each row.
        label_smoothing: share of the labels that is spread over all items.
    """
    grad_table.index_add_(0, targets, grad_own, alpha=1.0 - label_smoothing)
    if label_smoothing:
        grad_table[1:] += grad_own.sum(0) * (label_smoothing / (len(grad_table) - 1))


def summed_scores(
    states: Float[Tensor, "T D"],
    own: Float[Tensor, "T"],
    items: Float[Tensor, "M W"],
    log_counts: Float[Tensor, "M"],
    hits: Pairs,
) -> tuple[Float[Tensor, "T"], Float[Tensor, "T"]]:
    """Return the sum of the scores of each row against shared items, and the number of these scores.

    Args:
        states: output of the encoder at each row.
        own: score of each row's target.
        items: embedding, and bias where W = D + 1, of each item.
        log_counts: subtracted from the score of each item.
        hits: scores that are left out, all of them of the target of their row.
    """
    size, summed = states.shape[1], items.sum(0)
    n_hits = torch.zeros_like(own).index_add_(0, hits.rows, torch.ones_like(own[:1]).expand(len(hits.rows)))
    log_counts_of_hits = torch.zeros_like(own).index_add_(0, hits.rows, log_counts[hits.columns].to(own.dtype))
    sums = states @ summed[:size] + summed[size:].sum() - log_counts.sum()
    return sums - n_hits * own + log_counts_of_hits, len(items) - n_hits
