"""Lists of re-ranked candidates: filters, and the retriever's next items where candidates are too few."""

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING
from segue.evaluation.ranking import excluded_mask
from segue.models.base import Model
from segue.models.why.answer import Part
from segue.progress import Progress
from segue.training.objectives import ListwiseLoss
from segue.training.soft_labels import predict_top_k


def fill_lists(
    retriever: Model,
    prefixes: Prefixes,
    candidates: Int64[np.ndarray, "B C"],
    below: Float32[np.ndarray, "B"],
    allowed: Bool[np.ndarray, "M"] | None,
    exclude: Prefixes | None,
    items: Int64[np.ndarray, "B k"],
    values: Float32[np.ndarray, "B k"],
) -> None:
    """Fill lists of fewer than k candidates with the retriever's next items, in place.

    Args:
        retriever: finds the items.
        prefixes: the current sessions.
        candidates: the re-ranked items of each.
        below: the scores of further items start 1 below this number.
        allowed: see ``Model.top_k``.
        exclude: see ``Model.top_k``.
        items: the lists, which end in padding.
        values: their scores.
    """
    rows = np.flatnonzero((items == PADDING).any(axis=1))
    n_items = len(retriever.vocabulary)
    length = 2 * (items.shape[1] + candidates.shape[1])
    while len(rows):
        length = min(length, n_items)
        lists, _ = retriever._top_k(prefixes[rows], length, None, None)
        masks = excluded_mask(lists, allowed, None if exclude is None else exclude[rows])
        for row, listed, mask in zip(rows, lists, masks, strict=True):
            others = np.flatnonzero(~np.isin(listed, candidates[row]) & (listed != PADDING))
            scores = float(below[row]) - 1 - np.arange(len(others))
            kept = ~mask[others]
            start = np.count_nonzero(np.isin(items[row], candidates[row]) & (items[row] != PADDING))
            count = min(items.shape[1] - start, int(kept.sum()))
            items[row, start : start + count] = listed[others[kept][:count]]
            values[row, start : start + count] = scores[kept][:count]
        if length == n_items:
            return
        rows, length = rows[(items[rows] == PADDING).any(axis=1)], 8 * length


def own_items(prefixes: Prefixes) -> Int64[np.ndarray, "B L"]:
    """Return the items of each prefix, each once, among zeros."""
    own = np.zeros((len(prefixes), int(prefixes.lengths.max(initial=0))), dtype=np.int64)
    rows, events = prefixes.events()
    own[rows, events - prefixes.starts[rows]] = prefixes.items[events]
    own.sort(axis=1)
    own[:, 1:][own[:, 1:] == own[:, :-1]] = PADDING
    return own


def put_below(
    scores: Float32[Tensor, "B M"], chosen: Bool[np.ndarray, "B M"], lists: Int64[np.ndarray, "B N"]
) -> Float32[Tensor, "B M"]:
    """Return the scores of the chosen items of each row; all others score less, in the order of a list.

    Args:
        scores: scores of all items.
        chosen: the items that keep their score.
        lists: all items of each row, best first, right-padded with 0.
    """
    within = torch.from_numpy(chosen).to(scores.device)
    listed = ~np.take_along_axis(chosen, lists, axis=1) & (lists != PADDING)
    others, counts = lists[listed], listed.sum(axis=1)  # Row after row, best first.
    place = np.arange(len(others)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Whole numbers, which float32 holds exactly where items have neighbouring places.
    below = scores.masked_fill(~(within & scores.isfinite()), 0.0).amin(1).floor().cpu().numpy()
    rows = np.repeat(np.arange(len(counts)), counts)
    numbers = torch.from_numpy((below.astype(np.float64)[rows] - 1 - place).astype(np.float32)).to(scores.device)
    scores = scores.masked_fill(~within, -torch.inf)
    scores[torch.from_numpy(rows), torch.from_numpy(others)] = numbers
    return scores


def listwise_loss(retriever: Model, train: Sessions, loss: str, k: int, progress: Progress) -> ListwiseLoss:
    """Return a loss on the retriever's lists before each event of the training sessions.

    Args:
        retriever: the fitted retriever.
        train: the sessions.
        loss: name of the loss.
        k: length of the lists.
        progress: of the lists.
    """
    events, starts = train.targets()
    prefixes = train.prefixes(starts, events, ahead=True)
    lists, _ = predict_top_k(retriever, prefixes, k, task="asking the retriever", progress=progress)
    rows = np.full(len(train.items), -1)
    rows[events] = np.arange(len(events))
    return ListwiseLoss(rows, lists, train.items, loss)


def candidate_parts(
    ranker: Model,
    candidates: Int64[np.ndarray, "*shape"],
    prefixes: Prefixes,
    items: Int64[np.ndarray, "C"],
    scores: Float32[np.ndarray, "C"],
    most: int,
) -> list[list[Part] | None]:
    """Return the ranker's parts of the scores of candidates; the score of another item is its place in a list.

    The arguments but for the first two are those of ``Model._parts``.
    """
    source = f"place behind all that {ranker.name} ranked"
    return [
        own if inside else [Part("rank", source, score)]
        for own, inside, score in zip(
            ranker._parts(prefixes, items, scores, most), np.isin(items, candidates), scores.tolist(), strict=True
        )
    ]
