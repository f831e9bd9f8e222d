"""The same results as ``kernels``, in torch operations, for scores that lie on a GPU."""

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from torch import Tensor

from segue.data.sessions import Prefixes


def _masked(scores: Float32[Tensor, "B M"], exclude: Prefixes | None) -> Float32[Tensor, "B M"]:
    masked = scores.clone()
    masked[:, 0] = -torch.inf
    if exclude is not None:
        rows, events = exclude.events()
        seen = exclude.items[events].astype(np.int64)
        masked[torch.from_numpy(rows), torch.from_numpy(seen)] = -torch.inf
    return masked


def top_k(
    scores: Float32[Tensor, "B M"], k: int, prior: Int[np.ndarray, "M"], exclude: Prefixes | None
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the k best items of each row and their scores.

    It takes the largest of 64-bit keys, which are never equal: score in the upper half, tie-break in the lower.
    """
    values = _masked(scores, exclude).nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    # Adding zero turns -0 into +0. The bits of a float, read as an integer, sort like the float where it is
    # positive and backwards where it is negative.
    bits = (values + 0.0).view(torch.int32).long()
    upper = torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    place = np.empty(len(prior), dtype=np.int64)
    place[np.lexsort((np.arange(len(prior)), -prior))] = np.arange(len(prior))[::-1]
    keys = upper * 2**32 + torch.from_numpy(place).to(scores.device)
    width = min(k, values.shape[1])
    best = keys.topk(width, dim=1).indices
    items = np.zeros((len(scores), k), dtype=np.int64)
    listed = np.full((len(scores), k), -np.inf, dtype=np.float32)
    listed[:, :width] = values.gather(1, best).cpu().numpy()
    items[:, :width] = best.cpu().numpy()
    items[listed == -np.inf] = 0
    return items, listed


def counts(
    scores: Float32[Tensor, "B M"], targets: Int[np.ndarray, "B R"], exclude: Prefixes | None
) -> Int64[np.ndarray, "B R 2"]:
    """Count the other candidates ahead of each target, -1 for a target that is none, and those level with it."""
    masked = _masked(scores, exclude)
    of_targets = masked.gather(1, torch.from_numpy(targets.astype(np.int64)).to(scores.device))
    candidates = masked[:, 1:]
    counted = []
    for place in range(targets.shape[1]):
        target = of_targets[:, place : place + 1]
        ahead = (~(candidates <= target)).sum(1) - (~(of_targets <= target)).sum(1)
        level = (candidates == target).sum(1) - (of_targets == target).sum(1)
        counted.append(torch.stack([torch.where(target[:, 0] > -torch.inf, ahead, -1), level], dim=1))
    return torch.stack(counted, dim=1).cpu().numpy()
