"""The chunked cross-entropies, of labels and of soft labels, against those of torch on all scores at once."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from largest_tensor import LargestTensor
from segue.nn.losses.softmax import SharedSoftmax, full_cross_entropy, soft_cross_entropy
from segue.nn.negatives import Pairs

ROWS, ITEMS, WIDTH = 150, 40, 6


def random(*shape: int, seed: int = 0, kind: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(kind)


def plain(states: Tensor, table: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    scores = states @ table[1:, : states.shape[1]].T + table[1:, states.shape[1] :].sum(1)
    return functional.cross_entropy(scores, targets - 1, reduction="none") @ weights


def inputs(bias: bool, kind: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    states = random(ROWS, WIDTH, kind=kind).requires_grad_()
    table = random(ITEMS + 1, WIDTH + bias, seed=1, kind=kind).requires_grad_()
    targets = torch.randint(1, ITEMS + 1, (ROWS,), generator=torch.Generator().manual_seed(2))
    return states, table, targets, random(ROWS, seed=3, kind=kind).abs()


def gradients(loss: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(3.0 * loss, of)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("budget", [1, 70 * ITEMS, 10**6])
def test_value_and_gradients_equal_those_of_torch(bias: bool, budget: int) -> None:
    states, table, targets, weights = inputs(bias)
    expected = plain(states, table, targets, weights)
    loss = full_cross_entropy(states, table, targets, weights, budget=budget)
    torch.testing.assert_close(loss, expected)
    of_states, of_table = gradients(loss, states, table)
    torch.testing.assert_close((of_states, of_table), gradients(expected, states, table))
    assert of_table[0].abs().sum() == 0


def test_without_weights_it_is_the_mean() -> None:
    states, table, targets, _ = inputs(bias=False)
    expected = plain(states, table, targets, torch.full((ROWS,), 1 / ROWS, dtype=torch.float64))
    torch.testing.assert_close(full_cross_entropy(states, table, targets), expected)


@pytest.mark.parametrize("bias", [False, True])
def test_bf16_products_are_off_by_less_than_a_hundredth(bias: bool) -> None:
    states, table, targets, weights = inputs(bias, torch.float32)
    expected = plain(states, table, targets, weights)
    loss = full_cross_entropy(states, table, targets, weights, precision="bf16")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    for one, other in zip(gradients(loss, states, table), gradients(expected, states, table), strict=True):
        assert (one - other).norm() < 0.01 * other.norm()
        assert one.dtype == torch.float32


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_targets_far_below_and_far_above_the_rest_stay_finite(precision: str) -> None:
    states = torch.tensor([[40.0], [-40.0], [1.0]], requires_grad=True)
    table = torch.tensor([[0.0], [5.0], [-5.0], [4.0]], requires_grad=True)
    targets, weights = torch.tensor([2, 2, 1]), torch.ones(3)
    expected = plain(states, table, targets, weights)
    loss = full_cross_entropy(states, table, targets, weights, precision=precision)
    torch.testing.assert_close(loss, expected, rtol=0.01, atol=0)
    torch.testing.assert_close(gradients(loss, states, table), gradients(expected, states, table), rtol=0.02, atol=0.01)


def test_all_scores_never_exist_at_once() -> None:
    rows, items, width = 3_000, 2_000, 4
    states, table = torch.zeros(rows, width, requires_grad=True), torch.zeros(items + 1, width, requires_grad=True)
    targets = torch.ones(rows, dtype=torch.int64)
    with LargestTensor() as largest:
        full_cross_entropy(states, table, targets, budget=1).backward()
    assert largest.numel == 64 * items


@pytest.mark.parametrize("bias", [0, 1])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_soft_labels_give_the_softened_cross_entropy_and_its_gradient(bias: int, temperature: float) -> None:
    torch.manual_seed(0)
    states = torch.randn(7, 4, requires_grad=True)
    table = torch.randn(12, 4 + bias, requires_grad=True)
    labels = torch.stack([torch.randperm(11)[:3] + 1 for _ in range(7)])
    shares = torch.rand(7, 3).softmax(1)
    weights = torch.rand(7)
    got = soft_cross_entropy(states, table, labels, shares, weights, temperature=temperature)
    gradients = torch.autograd.grad(got, (states, table))
    scores = states @ table[:, :4].T + (table[:, 4] if bias else 0)
    logs = torch.log_softmax(scores[:, 1:] / temperature, dim=1)
    naive = -(shares * logs.gather(1, labels - 1)).sum(1) @ weights * temperature**2
    torch.testing.assert_close(got, naive)
    for one, other in zip(gradients, torch.autograd.grad(naive, (states, table)), strict=True):
        torch.testing.assert_close(one, other)
    assert gradients[1][0].abs().sum() == 0


@pytest.mark.parametrize("budget", [1, 10**6])
def test_a_device_looked_at_once_per_step_gives_the_same(budget: int) -> None:
    states, table, targets, weights = (one.detach() for one in inputs(bias=True, kind=torch.float32))
    states[3], table[5] = 40.0, 40.0  # Its exponentials overflow.
    softmax = SharedSoftmax(table[1:], budget=budget)
    expected = softmax.loss_and_gradients(states, table[targets], weights)
    softmax._on_host = False
    found = softmax.loss_and_gradients(states, table[targets], weights)
    assert expected.loss.isfinite()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_what_is_left_out_is_left_out_of_one_chunk_and_of_several() -> None:
    states, table, targets, weights = (one.detach() for one in inputs(bias=True))
    left_out = Pairs(torch.arange(0, ROWS, 3), torch.arange(0, ROWS, 3) % ITEMS)
    scores = states @ table[1:, :-1].T + table[1:, -1]
    scores[left_out] = -torch.inf
    own = (states * table[targets][:, :-1]).sum(1) + table[targets][:, -1]
    expected = (torch.logsumexp(torch.cat((scores, own.unsqueeze(1)), dim=1), dim=1) - own) @ weights
    for budget in (1, 10**6):
        softmax = SharedSoftmax(table[1:], log_counts=torch.zeros(ITEMS), excluded=left_out, budget=budget)
        torch.testing.assert_close(softmax.loss_and_gradients(states, table[targets], weights).loss, expected)
