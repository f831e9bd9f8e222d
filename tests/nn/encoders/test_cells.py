"""The fused cell against that of torch."""

import torch
from torch import Tensor, nn

from segue.nn.encoders.cells import gru_cell


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_cell_equals_that_of_torch() -> None:
    cell = nn.GRUCell(3, 4, dtype=torch.float64)
    inputs, hidden, of_state = random(5, 3), random(5, 4, seed=1), random(5, 4, seed=2)
    results = []
    for run in (cell, lambda x, h: gru_cell(x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)):
        cell.zero_grad()
        x, h = inputs.clone().requires_grad_(), hidden.clone().requires_grad_()
        state = run(x, h)
        state.backward(of_state)
        gradients = [parameter.grad.clone() for parameter in cell.parameters()]
        results.append([state.detach(), x.grad, h.grad, *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_the_cell_of_a_constant_state_gives_no_gradient_to_it() -> None:
    cell = nn.GRUCell(3, 4)
    state = gru_cell(torch.ones(2, 3), torch.zeros(2, 4), cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    state.sum().backward()
    assert cell.weight_ih.grad.abs().sum() > 0
