"""Every loss against a loop over rows and columns, values and gradients; listwise ones over pairs and places."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segue.nn.losses.functions import (
    LOSSES,
    activate,
    activated,
    bpr_max,
    cosine,
    gbce,
    lambda_rank,
    list_net,
    row_shares,
)


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def naive(name: str, row: list[float], target: int, excluded: list[bool], regularisation: float = 1.0) -> float:
    r = row[target]
    negatives = [score for column, score in enumerate(row) if column != target and not excluded[column]]
    if name == "cross-entropy":
        return math.log(math.exp(r) + sum(map(math.exp, negatives))) - r
    if name in ("bce", "gbce", "nce"):
        of_target, of_negatives = -math.log(sigma(r)), -sum(math.log(1 - sigma(s)) for s in negatives)
        if name == "bce":
            return of_target + of_negatives / max(len(negatives), 1)
        return (of_target + of_negatives) / (len(negatives) + 1 if name == "gbce" else 1)
    if not negatives:
        return 0.0
    if name == "bpr":
        return sum(-math.log(sigma(r - s)) for s in negatives) / len(negatives)
    if name == "top1":
        return sum(sigma(s - r) + sigma(s * s) for s in negatives) / len(negatives)
    total = sum(map(math.exp, negatives))
    share = [math.exp(s) / total for s in negatives]
    if name == "top1-max":
        return sum(w * (sigma(s - r) + sigma(s * s)) for w, s in zip(share, negatives, strict=True))
    ranking = -math.log(sum(w * sigma(r - s) for w, s in zip(share, negatives, strict=True)))
    return ranking + regularisation * sum(w * s * s for w, s in zip(share, negatives, strict=True))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = torch.from_numpy(rng.normal(0, 3, (rows, columns)))
    targets = torch.from_numpy(rng.integers(0, columns, rows))
    excluded = torch.from_numpy(rng.random((rows, columns)) < draw(st.sampled_from([0.0, 0.3, 0.9])))
    return scores, targets, excluded.scatter(1, targets[:, None], False)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_values_equal_a_loop(name: str, case: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, targets, excluded = case
    losses = LOSSES[name](scores, targets, excluded)
    expected = [
        naive(name, row, target, mask)
        for row, target, mask in zip(scores.tolist(), targets.tolist(), excluded.tolist(), strict=True)
    ]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=15, deadline=None)
@given(case=cases())
def test_gradients_equal_differences_of_the_loop(name: str, case: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, targets, excluded = case
    scores.requires_grad_()
    LOSSES[name](scores, targets, excluded).sum().backward()
    step = 1e-6
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            values = []
            for sign in (1, -1):
                moved = scores[row].tolist()
                moved[column] += sign * step
                values.append(naive(name, moved, int(targets[row]), excluded[row].tolist()))
            expected = (values[0] - values[1]) / (2 * step)
            assert scores.grad[row, column].item() == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_without_a_mask_nothing_is_excluded(name: str) -> None:
    scores, targets = torch.tensor([[1.0, -0.5, 2.0], [0.0, 3.0, 0.2]]), torch.tensor([0, 1])
    mask = torch.zeros_like(scores, dtype=torch.bool)
    assert torch.equal(LOSSES[name](scores, targets), LOSSES[name](scores, targets, mask))


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_scores_stay_finite(name: str) -> None:
    scores = torch.tensor([[-500.0, 500.0, 0.0], [500.0, -500.0, 0.0]], requires_grad=True)
    losses = LOSSES[name](scores, torch.tensor([0, 0]))
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(scores.grad).all()


def test_regularisation_is_weighted() -> None:
    scores, targets = torch.tensor([[0.3, -0.5, 2.0]]), torch.tensor([0])
    none, half, full = (bpr_max(scores, targets, regularisation=weight).item() for weight in (0.0, 0.5, 1.0))
    assert half == pytest.approx((none + full) / 2)


def test_final_activations() -> None:
    scores = torch.tensor([[-2.0, 0.0, 3.0]])
    assert activate(scores, "linear", 0.5) is scores
    torch.testing.assert_close(activate(scores, "tanh", 0.5), torch.tanh(scores))
    expected = torch.tensor([[0.5 * (math.exp(-2) - 1), 0.0, 3.0]])
    torch.testing.assert_close(activate(scores, "elu", 0.5), expected)


def test_an_activated_loss_is_the_loss_of_the_activated_scores() -> None:
    scores, targets = torch.tensor([[-2.0, 0.0, 3.0]]), torch.tensor([1])
    made = activated(LOSSES["top1"], "elu", 0.5)
    assert torch.equal(made(scores, targets), LOSSES["top1"](activate(scores, "elu", 0.5), targets))
    assert activated(LOSSES["top1"], "linear") is LOSSES["top1"]


@pytest.mark.parametrize("excluded", [None, torch.tensor([[False, True, False, False]])])
def test_gbce_weighs_the_target_by_the_share_of_items_drawn(excluded: Tensor | None) -> None:
    row, k, t, n_items = [0.4, -0.3, 1.2, 0.1], 3 if excluded is None else 2, 0.75, 9
    alpha = k / (n_items - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    negatives = [score for column, score in enumerate(row) if column != 2 and (excluded is None or column != 1)]
    expected = -(beta * math.log(sigma(row[2])) + sum(math.log(1 - sigma(score)) for score in negatives)) / (k + 1)
    loss = gbce(torch.tensor([row]), torch.tensor([2]), excluded, n_items=n_items, calibration=t)
    assert loss.item() == pytest.approx(expected)


def test_more_negatives_than_items_are_calibrated_as_all_of_them() -> None:
    scores, targets = torch.randn(2, 9), torch.tensor([0, 3])
    assert torch.equal(gbce(scores, targets, n_items=4), gbce(scores, targets))


def test_cosine_equals_a_loop_and_leaves_the_target_alone() -> None:
    states, embeddings = (torch.randn(3, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    losses = cosine(states, embeddings)
    for loss, one, other in zip(losses.tolist(), states.tolist(), embeddings.tolist(), strict=True):
        dot = sum(x * y for x, y in zip(one, other, strict=True))
        assert loss == pytest.approx(1 - dot / (math.hypot(*one) * math.hypot(*other)))
    losses.sum().backward()
    assert embeddings.grad is None
    assert states.grad.abs().sum() > 0


def test_rows_share_the_mean_by_their_weights() -> None:
    states = torch.zeros(4, 2)
    assert row_shares(states, None).tolist() == [0.25] * 4
    assert row_shares(states, torch.tensor([1.0, 0.0, 2.0, 5.0])).tolist() == [0.125, 0.0, 0.25, 0.625]


SCORES = torch.tensor([[0.3, 1.2, -0.4, 0.9], [2.0, -1.0, 0.5, 9.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
RELEVANCE = torch.tensor([[0.0, 2.0, 1.0, 0.0], [1.0, 0.0, 3.0, 5.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
MASK = torch.tensor([[True, True, True, True], [True, True, True, False], [True, True, False, False]])


def lists() -> list[tuple[list[float], list[float]]]:
    return [(s[m].tolist(), r[m].tolist()) for s, r, m in zip(SCORES, RELEVANCE, MASK, strict=True)]


def naive_list_net(scores: list[float], relevance: list[float]) -> float:
    total = sum(map(math.exp, scores))
    return sum(
        -r / max(sum(relevance), 1) * math.log(math.exp(s) / total) for s, r in zip(scores, relevance, strict=True)
    )


def ndcg(relevance: list[float]) -> float:
    def dcg(ranked: list[float]) -> float:
        return sum((2**r - 1) / math.log2(place + 2) for place, r in enumerate(ranked))

    return dcg(relevance) / (dcg(sorted(relevance, reverse=True)) or 1)


def naive_lambda_rank(scores: list[float], relevance: list[float]) -> float:
    order = sorted(range(len(scores)), key=lambda item: -scores[item])
    ranked = [relevance[item] for item in order]
    loss = 0.0
    for one, above in enumerate(order):
        for other, below in enumerate(order):
            if relevance[above] > relevance[below]:
                swapped = list(ranked)
                swapped[one], swapped[other] = swapped[other], swapped[one]
                change = abs(ndcg(ranked) - ndcg(swapped))
                loss += change * math.log(1 + math.exp(scores[below] - scores[above]))
    return loss


def test_list_net_equals_a_loop() -> None:
    expected = [naive_list_net(*one) for one in lists()]
    torch.testing.assert_close(list_net(SCORES, RELEVANCE, MASK), torch.tensor(expected, dtype=torch.float64))


def test_lambda_rank_weighs_each_pair_by_what_swapping_it_changes_in_ndcg() -> None:
    expected = [naive_lambda_rank(*one) for one in lists()]
    torch.testing.assert_close(lambda_rank(SCORES, RELEVANCE, MASK), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("loss", [list_net, lambda_rank])
def test_descent_puts_a_list_in_order(loss) -> None:
    scores, relevance = torch.tensor([[0.3, 0.2, 0.1, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    for _ in range(100):
        (gradient,) = torch.autograd.grad(loss(scores, relevance, mask).sum(), scores)
        with torch.no_grad():
            scores -= gradient
    assert scores.argsort(1, descending=True).tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize("loss", [list_net, lambda_rank])
def test_what_follows_the_end_of_a_list_and_a_list_without_relevance_count_nothing(loss) -> None:
    scores = SCORES.clone().requires_grad_()
    loss(scores, RELEVANCE, MASK).sum().backward()
    assert scores.grad[~MASK].abs().sum() == 0
    assert scores.grad[2].abs().sum() == 0
    assert scores.grad[:2].abs().sum() > 0
