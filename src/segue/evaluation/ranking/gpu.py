"""Ranking on a GPU: the results of ``cpu`` in torch operations."""

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int32, Int64
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import ItemOrder


def top_k(
    scores: Float32[Tensor, "B M"],
    k: int,
    order: ItemOrder,
    allowed: Bool[np.ndarray, "M"] | None,
    exclude: Prefixes | None,
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the k best items of each row and their scores.

    It takes the largest of 64-bit keys, which are never equal: score in the upper half, tie-break in the lower.
    """
    masked = _masked(scores, exclude)
    if allowed is not None:
        masked[:, torch.from_numpy(~allowed).to(scores.device)] = -torch.inf
    values = masked.nan_to_num_(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    # Adding zero turns -0 into +0. The bits of a float, read as an integer, sort like the float where it is
    # positive and backwards where it is negative.
    bits = (values + 0.0).view(torch.int32).long()
    upper = torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    keys = upper * 2**32 + (len(order.items) - _places(order, scores.device))
    width = min(k, values.shape[1])
    best = keys.topk(width, dim=1).indices
    items = np.zeros((len(scores), k), dtype=np.int64)
    listed = np.full((len(scores), k), -np.inf, dtype=np.float32)
    listed[:, :width] = values.gather(1, best).cpu().numpy()
    items[:, :width] = best.cpu().numpy()
    items[listed == -np.inf] = 0
    return items, listed


def counts(
    scores: Float32[Tensor, "B M"], targets: Int[np.ndarray, "B R"], order: ItemOrder, exclude: Prefixes | None
) -> Int64[np.ndarray, "B R 3"]:
    """Count the other candidates around each target; see ``cpu.count_rows``."""
    masked = _masked(scores, exclude)
    places = _places(order, scores.device)
    wanted = torch.from_numpy(targets.astype(np.int64)).to(scores.device)
    of_targets, place_of_targets = masked.gather(1, wanted), places[wanted]
    candidates, place = masked[:, 1:], places[1:]
    counted = []
    for column in range(targets.shape[1]):
        target, own = of_targets[:, column : column + 1], place_of_targets[:, column : column + 1]
        tied, tied_targets = candidates == target, of_targets == target
        ahead = (~(candidates <= target)).sum(1) - (~(of_targets <= target)).sum(1)
        before = (tied & (place < own)).sum(1) - (tied_targets & (place_of_targets < own)).sum(1)
        found = torch.stack([ahead, tied.sum(1) - tied_targets.sum(1), before], dim=1)
        none = torch.tensor([-1, 0, 0], device=scores.device)
        counted.append(torch.where(target > -torch.inf, found, none))
    return torch.stack(counted, dim=1).cpu().numpy()


def _masked(scores: Float32[Tensor, "B M"], exclude: Prefixes | None) -> Float32[Tensor, "B M"]:
    masked = scores.clone()
    masked[:, 0] = -torch.inf
    if exclude is not None:
        rows, events = exclude.events()
        excluded = exclude.items[events].astype(np.int64)
        masked[torch.from_numpy(rows), torch.from_numpy(excluded)] = -torch.inf
    return masked


def _places(order: ItemOrder, device: torch.device) -> Int32[Tensor, "M"]:
    """Return the places on a device; they are copied there once."""
    if device not in order.on_device:
        order.on_device[device] = torch.from_numpy(order.places).to(device)
    places: Tensor = order.on_device[device]
    return places
