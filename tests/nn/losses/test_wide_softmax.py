"""The cross-entropy in chunks of items against that of torch on all scores at once."""

import pytest
import torch
from test_softmax import gradients, inputs, plain

from largest_tensor import LargestTensor
from segue.nn.losses.wide_softmax import wide_cross_entropy


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("budget", [1, 150, 7 * 150, 40 * 150, 10**6])
def test_value_and_gradients_equal_those_of_torch(bias: bool, budget: int) -> None:
    states, table, targets, _ = inputs(bias)
    expected = plain(states, table, targets, torch.ones(len(states), dtype=torch.float64))
    loss = wide_cross_entropy(states, table, targets, budget=budget)
    torch.testing.assert_close(loss, expected)
    of_states, of_table = gradients(loss, states, table)
    torch.testing.assert_close((of_states, of_table), gradients(expected, states, table))
    assert of_table[0].abs().sum() == 0


def test_two_rows_by_hand() -> None:
    """Scores 0, log 2 and log 5 of three items, and again: 8 / 2 and 8 / 5."""
    states, table = torch.ones(2, 1), torch.tensor([[9.0], [1.0], [2.0], [5.0]]).log()
    for budget in (2, 6):
        loss = wide_cross_entropy(states, table, torch.tensor([2, 3]), budget=budget)
        assert loss.item() == pytest.approx(torch.tensor(4 * 8 / 5).log().item())


def test_scores_far_apart_stay_finite() -> None:
    states = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    table = torch.tensor([[0.0], [5.0], [-5.0], [4.0]], requires_grad=True)
    targets = torch.tensor([2, 2])
    loss = wide_cross_entropy(states, table, targets, budget=2)
    torch.testing.assert_close(loss, plain(states, table, targets, torch.ones(2)))
    assert all(one.isfinite().all() for one in torch.autograd.grad(loss, (states, table)))


@pytest.mark.parametrize(("rows", "chunk"), [(64, 4_000), (3, 64 * 4_000)])
def test_all_scores_never_exist_at_once(rows: int, chunk: int) -> None:
    """The largest tensor is a chunk of the scores or, with few rows, the table."""
    items, width = 50_000, 4
    states, table = torch.zeros(rows, width, requires_grad=True), torch.zeros(items + 1, width, requires_grad=True)
    with LargestTensor() as largest:
        wide_cross_entropy(states, table, torch.ones(rows, dtype=torch.int64), budget=chunk).backward()
    assert largest.numel == max(chunk if rows == 64 else rows * items, (items + 1) * width)
