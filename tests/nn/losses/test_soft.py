import pytest
import torch

from segue.nn.losses.soft import soft_cross_entropy


@pytest.mark.parametrize("bias", [0, 1])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_it_is_the_softened_cross_entropy_and_its_gradient(bias: int, temperature: float) -> None:
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
