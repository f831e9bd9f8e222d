"""The weights of a blend: which combination of several models ranks validation cases best."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from segue.data.cases import Cases
from segue.data.vocabulary import PADDING, ItemOrder
from segue.evaluation.confidence import intervals
from segue.evaluation.ranking import TargetCounts, excluded_mask
from segue.metrics import MetricName
from segue.metrics.rank_metrics import RANK_METRICS

MOST_CASES = 20_000
"""Validation cases that choose the weights; of more cases, as many at equal distances."""

_STEPS = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
"""Weight that is moved from one part to another, from coarse to fine."""
_LEAST_GAIN = 1e-9
"""What a move must gain; less is rounding."""

Weights = Float64[np.ndarray, "P"]


def choosing_cases(valid: Cases) -> Cases:
    """Return the cases that choose the weights: those with something relevant, not more than ``MOST_CASES``."""
    if valid.labels is not None:
        valid = valid[np.flatnonzero(valid.labels > 0)]
    if len(valid) <= MOST_CASES:
        return valid
    return valid[np.linspace(0, len(valid) - 1, MOST_CASES).astype(np.int64)]


@dataclass(frozen=True, eq=False)
class BlendedCases:
    """Cases with what each part of a blend says of their candidates, to be ranked with any weights.

    Attributes:
        candidates: item indices of C cases, each once, and 0.
        shares: what each of P parts gives to each candidate; 0 for targets, and where it cannot be recommended.
        targets: the targets of each case, with 0 behind the last one.
        own: what each part gives to each target; 0 where it cannot be recommended.
        order: decides between equal sums.
        groups: the session of each case.
    """

    candidates: Int32[np.ndarray, "C W"]
    shares: Float32[np.ndarray, "P C W"]
    targets: Int32[np.ndarray, "C R"]
    own: Float32[np.ndarray, "P C R"]
    order: ItemOrder
    groups: Int64[np.ndarray, "C"]

    @classmethod
    def of(
        cls,
        cases: Cases,
        order: ItemOrder,
        candidates: Int64[np.ndarray, "C W"],
        shares: Float32[np.ndarray, "P C W"],
        own: Float32[np.ndarray, "P C R"],
    ) -> "BlendedCases":
        """Return cases; items of the session get nothing where the cases exclude them."""
        targets = cases.padded_targets()
        exclude = cases.prefixes if cases.exclude_seen else None
        is_target = (candidates[:, :, None] == targets[:, None, :]).any(axis=2)  # Targets do not compete.
        shares = np.where(is_target | excluded_mask(candidates, None, exclude), np.float32(0), shares)
        own = np.where(excluded_mask(targets.astype(np.int64), None, exclude), np.float32(0), own)
        return cls(candidates.astype(np.int32), shares, targets, own, order, cases.groups)

    @classmethod
    def joined(cls, chunks: Sequence["BlendedCases"]) -> "BlendedCases":
        """Return the cases of several chunks as one."""
        width, most = max(one.candidates.shape[1] for one in chunks), max(one.targets.shape[1] for one in chunks)
        return cls(
            np.concatenate([_padded(one.candidates, width) for one in chunks]),
            np.concatenate([_padded(one.shares, width) for one in chunks], axis=1),
            np.concatenate([_padded(one.targets, most) for one in chunks]),
            np.concatenate([_padded(one.own, most) for one in chunks], axis=1),
            chunks[0].order,
            np.concatenate([one.groups for one in chunks]),
        )

    def values(self, weights: Weights, metrics: Sequence[MetricName]) -> Float64[np.ndarray, "C"]:
        """Return the metric of each case under some weights.

        Of several metrics, the mean over the cases is the geometric mean of their means: each case contributes what it
        changes (the delta method).
        """
        ranks, counts = self._ranks(weights), (self.targets != PADDING).sum(axis=1)
        each: np.ndarray = np.stack([RANK_METRICS[metric.name](ranks, counts, metric.k) for metric in metrics])
        means: np.ndarray = each.mean(axis=1, keepdims=True)
        if len(metrics) > 1 and means.all():
            each *= np.exp(np.log(means).mean()) / means
        mean: np.ndarray = each.mean(axis=0) * means.all()
        return mean

    def _ranks(self, weights: Weights) -> Float64[np.ndarray, "C R"]:
        mixed = np.tensordot(weights.astype(np.float32), self.shares, axes=1)
        own = np.tensordot(weights.astype(np.float32), self.own, axes=1)
        places, ranked = self.order.places, own > 0
        ahead, tied, before = (np.zeros(own.shape, dtype=np.int64) for _ in range(3))
        for column in range(own.shape[1]):
            level = own[:, column, None]
            same = (mixed == level) & ranked[:, column, None]
            rows, at = np.divmod(np.flatnonzero(same), same.shape[1])  # Much faster than np.nonzero.
            earlier = places[self.candidates[rows, at]] < places[self.targets[rows, column]]
            ahead[:, column] = np.count_nonzero(mixed > level, axis=1)
            tied[:, column] = np.bincount(rows, minlength=len(own))
            before[:, column] = np.bincount(rows[earlier], minlength=len(own))
        return TargetCounts(np.where(ranked, ahead, -1), tied, before).ranks("served")


@dataclass(frozen=True, eq=False)
class ChosenWeights:
    """The best weights, and what each part adds.

    Attributes:
        weights: one per part, which sum to 1.
        value: the metric with them.
        without: the metric of the best blend without each part; NaN for a part of weight 0.
        gains: by how much the metric is higher with the part, with a 95% interval.
    """

    weights: Weights
    value: float
    without: Float64[np.ndarray, "P"]
    gains: list[tuple[float, float, float]]

    def described(self, names: Sequence[str], metric: str, n_cases: int) -> Iterator[str]:
        """Yield remarks for the reader."""
        if "," in metric:
            metric = f"the geometric mean of {metric.replace(',', ' and ')}"
        shown = ", ".join(f"{name} {weight:.3f}" for name, weight in zip(names, self.weights, strict=True))
        yield f"weights: {shown}; chosen on {n_cases:,} validation cases ({metric} {self.value:.4f})"
        for name, value, (gain, low, high) in zip(names, self.without, self.gains, strict=True):
            if np.isfinite(value):
                added = f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]"
                yield f"{name} adds {added} to {metric} on validation; without it {value:.4f}"
            else:
                yield f"{name} adds nothing on validation"


def choose_weights(cases: BlendedCases, metrics: Sequence[MetricName], *, gains: bool = True) -> ChosenWeights:
    """Choose the weights with the highest mean of a metric, and leave out each part in turn.

    Args:
        cases: the cases, with what each part gives.
        metrics: the metric, or several, of which the geometric mean counts.
        gains: whether to leave out each part, which takes most of the time.
    """
    n_parts = len(cases.shares)

    def mean(weights: Weights) -> float:
        return float(cases.values(weights, metrics).mean())

    weights = best_weights(mean, range(n_parts), n_parts)
    without, added = np.full(n_parts, np.nan), [(0.0, 0.0, 0.0)] * n_parts
    if not gains:
        return ChosenWeights(weights, mean(weights), without, added)
    while True:  # Where no move gains, the best weights without a part may still be better.
        rests = _without_each(mean, weights)
        best, value = max(((rest, mean(rest)) for rest in rests.values()), key=itemgetter(1))
        if value <= mean(weights) + _LEAST_GAIN:
            break
        weights = best
    chosen = cases.values(weights, metrics)
    for part, others in rests.items():
        rest = cases.values(others, metrics)
        ((low, high),) = intervals((chosen - rest)[:, None], cases.groups)
        without[part], added[part] = rest.mean(), (float((chosen - rest).mean()), float(low), float(high))
    return ChosenWeights(weights, float(chosen.mean()), without, added)


def _without_each(value: Callable[[Weights], float], weights: Weights) -> dict[int, Weights]:
    """Return the best weights without each part that has a weight."""
    count = len(weights)
    return {
        part: best_weights(value, [other for other in range(count) if other != part], count)
        for part in np.flatnonzero(weights).tolist()
    }


def best_weights(value: Callable[[Weights], float], parts: Sequence[int], n_parts: int) -> Weights:
    """Return the weights on a simplex with the highest value.

    From the best of all single parts and of equal weights, weight is moved between two parts as long as that gains, in
    ever smaller steps.

    Args:
        value: what is maximised.
        parts: the parts that may have a weight.
        n_parts: number of all parts.
    """
    starts = [np.eye(n_parts)[part] for part in parts]
    starts.append(np.sum(starts, axis=0) / len(parts))
    best, weights = _best(value, starts)
    for step in _STEPS:
        while moves := list(_moves(weights, parts, step)):
            found, moved = _best(value, moves)
            if found <= best + _LEAST_GAIN:
                break
            best, weights = found, moved
    return weights


def _best(value: Callable[[Weights], float], several: Sequence[Weights]) -> tuple[float, Weights]:
    """Return the highest value and its weights, of equal values the first."""
    values = [value(weights) for weights in several]
    first = int(np.argmax(values))
    return values[first], several[first]


def _moves(weights: Weights, parts: Sequence[int], step: float) -> Iterator[Weights]:
    """Yield the weights after each move of up to ``step`` from one part to another."""
    for giver in parts:
        for taker in parts:
            if giver != taker and weights[giver] > 0:
                moved = weights.copy()
                amount = min(step, weights[giver])
                moved[giver] -= amount
                moved[taker] += amount
                yield moved


def _padded(array: np.ndarray, width: int) -> np.ndarray:
    missing = width - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)]) if missing else array
