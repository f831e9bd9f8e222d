"""The listwise losses against loops over pairs and places."""

import math

import pytest
import torch

from segue.nn.losses.listwise import lambda_rank, list_net

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
