"""The recurrent cell as one differentiable operation, which keeps only the few arrays that its gradient needs.

``torch.nn.GRUCell`` says the same, and is what the tests compare with.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def gru_cell(
    inputs: Float[Tensor, "B I"],
    hidden: Float[Tensor, "B H"],
    weight_ih: Float[Tensor, "G I"],
    weight_hh: Float[Tensor, "G H"],
    bias_ih: Float[Tensor, "G"],
    bias_hh: Float[Tensor, "G"],
) -> Float[Tensor, "B H"]:
    """Return the next hidden state; weights and result are those of ``torch.nn.GRUCell`` (G = 3 H)."""
    if not torch.is_grad_enabled():
        return _step(inputs, hidden, weight_ih, weight_hh, bias_ih, bias_hh)[0]
    state: Tensor = _GRUCell.apply(inputs, hidden, weight_ih, weight_hh, bias_ih, bias_hh)  # type: ignore[no-untyped-call]
    return state


def _step(
    inputs: Tensor, hidden: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the next state, the two gates, the candidate, and what the hidden state gives to the candidate."""
    size = hidden.shape[1]
    of_input = torch.addmm(bias_ih, inputs, weight_ih.T)
    of_hidden = torch.addmm(bias_hh, hidden, weight_hh.T)
    gates = torch.sigmoid(of_input[:, : 2 * size] + of_hidden[:, : 2 * size])
    recurrent = of_hidden[:, 2 * size :]
    candidate = torch.addcmul(of_input[:, 2 * size :], gates[:, :size], recurrent).tanh_()
    return torch.lerp(candidate, hidden, gates[:, size:]), gates, candidate, recurrent


class _GRUCell(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        hidden: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> Tensor:
        state, gates, candidate, recurrent = _step(inputs, hidden, weight_ih, weight_hh, bias_ih, bias_hh)
        ctx.save_for_backward(inputs, hidden, weight_ih, weight_hh, gates, candidate, recurrent)
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_state: Tensor) -> tuple[Tensor | None, ...]:
        inputs, hidden, weight_ih, weight_hh, gates, candidate, recurrent = ctx.saved_tensors
        reset, update = gates.chunk(2, dim=1)
        of_candidate = torch.ops.aten.tanh_backward(of_state - of_state * update, candidate)
        of_gates = torch.cat((of_candidate * recurrent, of_state * (hidden - candidate)), dim=1)
        of_gates = torch.ops.aten.sigmoid_backward(of_gates, gates)
        on_input = torch.cat((of_gates, of_candidate), dim=1)
        on_hidden = torch.cat((of_gates, of_candidate * reset), dim=1)
        of_inputs = torch.mm(on_input, weight_ih) if ctx.needs_input_grad[0] else None
        of_hidden = torch.addmm(of_state * update, on_hidden, weight_hh) if ctx.needs_input_grad[1] else None
        return (
            of_inputs,
            of_hidden,
            torch.mm(on_input.T, inputs),
            torch.mm(on_hidden.T, hidden),
            on_input.sum(0),
            on_hidden.sum(0),
        )
