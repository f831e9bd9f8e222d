"""Recurrent cells: GRU and LSTM on embedded inputs, and on one-hot items."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from segue.data.vocabulary import PADDING
from segue.nn.encoders.layers import sparse_lookup

State = list[Tensor]
"""Carried from event to event: for each layer its hidden state [B, H], and for an LSTM its cell state after it."""


def glorot_(weight: Tensor, rows: int, columns: int) -> None:
    """Initialise a weight by Glorot's uniform rule for a matrix of the given size, which may be one block of it."""
    bound = math.sqrt(6.0 / (rows + columns))
    nn.init.uniform_(weight, -bound, bound)


def gru_cell(
    inputs: Float[Tensor, "B I"],
    hidden: Float[Tensor, "B H"],
    weight_ih: Float[Tensor, "G I"],
    weight_hh: Float[Tensor, "G H"],
    bias_ih: Float[Tensor, "G"],
    bias_hh: Float[Tensor, "G"],
) -> Float[Tensor, "B H"]:
    """Return the next hidden state of ``torch.nn.GRUCell`` (G = 3 H).

    It is one differentiable operation that keeps only the few arrays its gradient needs.
    """
    if not torch.is_grad_enabled():
        return _step(inputs, hidden, weight_ih, weight_hh, bias_ih, bias_hh)[0]
    state: Tensor = _GRUCell.apply(inputs, hidden, weight_ih, weight_hh, bias_ih, bias_hh)  # type: ignore[no-untyped-call]
    return state


def _step(
    inputs: Tensor, hidden: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the next state, the two gates, the candidate, and what the hidden state gives to the candidate."""
    size = hidden.shape[1]
    from_input = torch.addmm(bias_ih, inputs, weight_ih.T)
    from_hidden = torch.addmm(bias_hh, hidden, weight_hh.T)
    gates = torch.sigmoid(from_input[:, : 2 * size] + from_hidden[:, : 2 * size])
    recurrent = from_hidden[:, 2 * size :]
    candidate = torch.addcmul(from_input[:, 2 * size :], gates[:, :size], recurrent).tanh_()
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
    def backward(ctx: Any, grad_state: Tensor) -> tuple[Tensor | None, ...]:
        inputs, hidden, weight_ih, weight_hh, gates, candidate, recurrent = ctx.saved_tensors
        reset, update = gates.chunk(2, dim=1)
        grad_candidate = torch.ops.aten.tanh_backward(grad_state - grad_state * update, candidate)
        grad_gates = torch.cat((grad_candidate * recurrent, grad_state * (hidden - candidate)), dim=1)
        grad_gates = torch.ops.aten.sigmoid_backward(grad_gates, gates)
        grad_of_input = torch.cat((grad_gates, grad_candidate), dim=1)
        grad_of_hidden = torch.cat((grad_gates, grad_candidate * reset), dim=1)
        grad_inputs = torch.mm(grad_of_input, weight_ih) if ctx.needs_input_grad[0] else None
        grad_hidden = torch.addmm(grad_state * update, grad_of_hidden, weight_hh) if ctx.needs_input_grad[1] else None
        return (
            grad_inputs,
            grad_hidden,
            torch.mm(grad_of_input.T, inputs),
            torch.mm(grad_of_hidden.T, hidden),
            grad_of_input.sum(0),
            grad_of_hidden.sum(0),
        )


def _initialise_gates(cell: nn.GRUCell | nn.LSTMCell) -> None:
    """Draw the matrices of each gate as if it were the only one; biases start at 0."""
    glorot_(cell.weight_ih, cell.hidden_size, cell.input_size)
    glorot_(cell.weight_hh, cell.hidden_size, cell.hidden_size)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)


class GRUCell(nn.GRUCell):
    """``torch.nn.GRUCell`` on a list of states, as one fused operation on a CPU."""

    n_states = 1

    def reset_parameters(self) -> None:
        """Draw fresh weights."""
        _initialise_gates(self)

    def forward(self, inputs: Float[Tensor, "B I"], state: State) -> State:  # type: ignore[override]
        """Return the next state."""
        if inputs.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return [super().forward(inputs, state[0])]
        return [gru_cell(inputs, state[0], self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)]


class LSTMCell(nn.LSTMCell):
    """``torch.nn.LSTMCell`` on a list of states."""

    n_states = 2

    def reset_parameters(self) -> None:
        """Draw fresh weights."""
        _initialise_gates(self)

    def forward(self, inputs: Float[Tensor, "B I"], state: State) -> State:  # type: ignore[override]
        """Return the next state."""
        return list(super().forward(inputs, (state[0], state[1])))


class OneHotGRUCell(nn.Module):
    """A GRU cell whose input is an item, so that its input weights are a row per item.

    As in GRU4Rec's first layer, the reset gate acts before the matrix product (Cho et al., 2014), while
    ``torch.nn.GRUCell`` resets after it; and an update gate of 1 takes the candidate, not the old state.

    Args:
        n_items: number of items N.
        hidden_size: width H.
    """

    n_states = 1

    def __init__(self, *, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(n_items + 1, 3 * hidden_size))
        self.gates = nn.Parameter(torch.empty(hidden_size, 2 * hidden_size))
        self.candidate = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(3 * hidden_size))
        glorot_(self.table.data[PADDING + 1 :], n_items, hidden_size)
        glorot_(self.gates, hidden_size, hidden_size)
        glorot_(self.candidate, hidden_size, hidden_size)

    def forward(self, items: Int64[Tensor, "B"], state: State) -> State:
        """Return the next state; the columns of the table are candidate, reset and update."""
        (hidden,) = state
        by_item = sparse_lookup(self.table, items)[0] + self.bias
        candidate, reset, update = by_item.chunk(3, dim=1)
        of_reset, of_update = (hidden @ self.gates).chunk(2, dim=1)
        reset, update = torch.sigmoid(reset + of_reset), torch.sigmoid(update + of_update)
        candidate = torch.tanh((reset * hidden) @ self.candidate + candidate)
        return [torch.lerp(hidden, candidate, update)]


class OneHotLSTMCell(nn.Module):
    """An LSTM cell whose input is an item, so that its input weights are a row per item.

    Args:
        n_items: number of items N.
        hidden_size: width H.
    """

    n_states = 2

    def __init__(self, *, n_items: int, hidden_size: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(n_items + 1, 4 * hidden_size))
        self.gates = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        glorot_(self.table.data[PADDING + 1 :], n_items, hidden_size)
        glorot_(self.gates, hidden_size, hidden_size)

    def forward(self, items: Int64[Tensor, "B"], state: State) -> State:
        """Return the next state; the columns of the table are input, forget, cell and output."""
        hidden, cell = state
        gates = sparse_lookup(self.table, items)[0] + torch.addmm(self.bias, hidden, self.gates)
        entering, kept, candidate, leaving = gates.chunk(4, dim=1)
        cell = torch.sigmoid(kept) * cell + torch.sigmoid(entering) * torch.tanh(candidate)
        return [torch.sigmoid(leaving) * torch.tanh(cell), cell]
