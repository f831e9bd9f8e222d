"""Trains BPR with negatives of any distribution, in place of implicit's trainer, which samples by popularity."""

from collections.abc import Callable
from time import perf_counter

import numpy as np
from jaxtyping import Float32
from scipy.sparse import csr_matrix

from segue.compiled import njit
from segue.nn.sampling import alias_table


class PairwiseRanking:
    """Matrix factorisation by pairwise ranking, with the interface and the update of implicit's.

    An epoch goes through all pairs of a session and one of its items in random order. A negative that is in the
    session is sampled again; a session that contains all items has no negative and is skipped.

    Args:
        factors: width of the factors, to which one column of biases is added; it is 1 for all sessions.
        learning_rate: step size.
        regularization: weight of the squared factors and biases.
        iterations: epochs.
        n_samples: negatives per pair.
        alpha: negatives are sampled in proportion to the number of sessions with the item, to the power ``alpha``.
        candidate_num: candidates sampled for each negative, of which the one with the highest score is used.
        rng: samples the initial factors, the order and the negatives.
    """

    def __init__(
        self,
        *,
        factors: int,
        learning_rate: float,
        regularization: float,
        iterations: int,
        n_samples: int,
        alpha: float,
        candidate_num: int,
        rng: np.random.Generator,
    ) -> None:
        self.factors = factors
        self.step = np.float32(learning_rate), np.float32(regularization)
        self.iterations = iterations
        self.draws = n_samples, candidate_num
        self.alpha = alpha
        self.rng = rng
        self.user_factors = self.item_factors = np.zeros((0, factors + 1), dtype=np.float32)

    def fit(
        self, user_items: csr_matrix, *, show_progress: bool, callback: Callable[[int, float, int, int], None]
    ) -> None:
        """Learn, and call ``callback`` after every epoch with its number, seconds, pairs ranked right and skipped ones.

        Args:
            user_items: sessions x items.
            show_progress: without effect.
            callback: see above; what it raises ends the training.
        """
        user_items.sort_indices()
        held = user_items.indices.astype(np.int64), user_items.indptr.astype(np.int64)
        sessions = np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))
        counts = np.bincount(user_items.indices, minlength=user_items.shape[1])
        drawn = np.flatnonzero(counts)
        sampler = drawn, *alias_table(counts[drawn] ** float(self.alpha))
        self.user_factors, self.item_factors = self._initial(np.diff(user_items.indptr)), self._initial(counts)
        self.user_factors[:, -1] = 1.0
        for epoch in range(self.iterations):
            start, order = perf_counter(), self.rng.permutation(user_items.nnz)
            correct, skipped = climb(
                self.rng, order, sessions, held, sampler, self.user_factors, self.item_factors, self.draws, self.step
            )
            callback(epoch, perf_counter() - start, correct, skipped)

    def _initial(self, counts: np.ndarray) -> Float32[np.ndarray, "M D"]:
        """Return small random factors, and zeros in rows without a pair."""
        factors = (self.rng.random((len(counts), self.factors + 1), dtype=np.float32) - np.float32(0.5)) / self.factors
        return np.where(counts[:, None] > 0, factors, np.float32(0.0))


@njit(nogil=True)
def climb(
    rng: np.random.Generator,
    order: np.ndarray,
    sessions: np.ndarray,
    held: tuple[np.ndarray, np.ndarray],
    sampler: tuple[np.ndarray, np.ndarray, np.ndarray],
    user_factors: np.ndarray,
    item_factors: np.ndarray,
    draws: tuple[int, int],
    step: tuple[np.float32, np.float32],
) -> tuple[int, int]:
    """Take one step of gradient descent for each negative of each pair.

    Args:
        rng: samples the negatives.
        order: [n], the pairs in the order in which they are learnt.
        sessions: [n], session of each pair.
        held: [n], item of each pair, ascending within a session; and [s+1], where each session begins.
        sampler: items to sample from, and their alias table.
        user_factors: [s, D+1], updated.
        item_factors: [N, D+1], updated.
        draws: negatives per pair, and candidates per negative.
        step: learning rate and regularisation.

    Returns:
        Number of negatives that ranked below the item of their pair, and number of negatives that there were none for.
    """
    items, starts = held
    n_samples, candidate_num = draws
    rate, decay = step
    width = user_factors.shape[1]
    correct, skipped = 0, 0
    for pair in order:
        session = sessions[pair]
        own = items[starts[session] : starts[session + 1]]
        if len(own) >= len(sampler[0]):
            skipped += n_samples
            continue
        user, liked = user_factors[session], item_factors[items[pair]]
        for _ in range(n_samples):
            disliked = item_factors[draw_negative(rng, own, sampler, user, item_factors, candidate_num)]
            margin = np.float32(0.0)
            for d in range(width):
                margin += user[d] * (liked[d] - disliked[d])
            correct += int(margin > 0)
            pull = np.float32(1.0) / (np.float32(1.0) + np.exp(margin))
            for d in range(width):
                before = user[d]
                if d < width - 1:
                    user[d] += rate * (pull * (liked[d] - disliked[d]) - decay * before)
                liked[d] += rate * (pull * before - decay * liked[d])
                disliked[d] -= rate * (pull * before + decay * disliked[d])
    return correct, skipped


@njit()
def draw_negative(
    rng: np.random.Generator,
    own: np.ndarray,
    sampler: tuple[np.ndarray, np.ndarray, np.ndarray],
    user: np.ndarray,
    item_factors: np.ndarray,
    candidate_num: int,
) -> int:
    """Return the item with the highest score among sampled items that are not among ``own``, which is ascending."""
    drawn, keep, alias = sampler
    best, highest = -1, np.float32(-np.inf)
    for _ in range(candidate_num):
        item = -1
        while item < 0:
            point = rng.random() * len(drawn)
            cell = int(point)
            candidate = drawn[cell] if point - cell < keep[cell] else drawn[alias[cell]]
            place = np.searchsorted(own, candidate)
            if place == len(own) or own[place] != candidate:
                item = candidate
        if candidate_num == 1:
            return item
        score = np.float32(0.0)
        for d in range(len(user)):
            score += user[d] * item_factors[item, d]
        if best < 0 or score > highest:
            best, highest = item, score
    return best
