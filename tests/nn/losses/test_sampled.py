"""The fused losses against the plain ones."""

import pytest
import torch
from torch import Tensor

from segue.nn.losses.functions import cross_entropy
from segue.nn.losses.sampled import hardest, sampled_cross_entropy, shared_cross_entropy
from segue.nn.negatives import Pairs


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("with_hits", [False, True])
def test_sampled_cross_entropy_equals_the_plain_loss(with_hits: bool) -> None:
    states, table, log_q = random(4, 5), random(12, 6, seed=1), random(9, seed=2)
    ids = torch.tensor([3, 7, 3, 11, 7, 1, 2, 3, 3])
    hits = [(0, 2), (0, 7), (0, 8), (1, 4), (2, 0), (2, 7), (2, 8)] if with_hits else []
    rows, columns = (torch.tensor([pair[axis] for pair in hits], dtype=torch.int64) for axis in (0, 1))
    excluded = torch.zeros(4, 9, dtype=torch.bool)
    excluded[rows, columns] = True
    weights = torch.tensor([0.5, 2.0, -1.0, 0.25], dtype=torch.float64)

    inputs = [states.clone().requires_grad_(), table.clone().requires_grad_()]
    rows_of = inputs[1][ids]
    plain = cross_entropy(inputs[0] @ rows_of[:, :-1].T + rows_of[:, -1] - log_q, torch.arange(4), excluded)
    (plain * weights).sum().backward()
    fused_inputs = [states.clone().requires_grad_(), table.clone().requires_grad_()]
    fused = sampled_cross_entropy(fused_inputs[0], fused_inputs[1][ids], log_q, Pairs(rows, columns))
    (fused * weights).sum().backward()

    torch.testing.assert_close(fused, plain)
    torch.testing.assert_close(fused_inputs[0].grad, inputs[0].grad)
    torch.testing.assert_close(fused_inputs[1].grad, inputs[1].grad)


def test_a_hopeless_target_costs_much_but_not_infinity() -> None:
    states, candidates = torch.tensor([[1000.0]]), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]).requires_grad_()
    nothing = torch.zeros(0, dtype=torch.int64)
    loss = sampled_cross_entropy(states, candidates, torch.zeros(2), Pairs(nothing, nothing))
    loss.sum().backward()
    assert loss.item() > 50
    assert loss.isfinite().all()
    assert candidates.grad.isfinite().all()


def test_what_takes_no_part_is_not_the_score_that_others_are_measured_by() -> None:
    """The target scores 0, a negative 60, and a negative that takes no part 300."""
    states = torch.ones(1, 1, requires_grad=True)
    rows = torch.tensor([[0.0], [60.0], [300.0]], requires_grad=True)
    excluded = Pairs(torch.tensor([0]), torch.tensor([1]))
    loss = shared_cross_entropy(states, rows, torch.ones(1), torch.zeros(2), excluded)
    loss.backward()
    assert loss.item() == pytest.approx(60.0)
    assert states.grad.item() == pytest.approx(60.0)
    assert rows.grad.flatten().tolist() == pytest.approx([-1.0, 1.0, 0.0])


def test_the_hardest_candidate_that_takes_part_is_each_rows_own() -> None:
    scores = torch.tensor([[1.0, 3.0, -2.0, -1.0], [5.0, 4.0, 0.0, 2.0]], requires_grad=True)
    excluded = torch.tensor([[False, True, True, True], [False, False, False, False]])
    chosen, out = hardest(scores, excluded, 2)
    assert chosen[0, 0].item() == 1.0
    assert chosen[1].tolist() == [5.0, 2.0]
    assert out.tolist() == [[False, True], [False, False]]
    chosen[1].sum().backward()
    assert scores.grad.tolist() == [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
