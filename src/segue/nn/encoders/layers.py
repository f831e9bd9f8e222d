"""Layers that several networks share: embedding look-up, dropout, event context, positions, feed-forward."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.context import Context, Standardizer
from segue.data.vocabulary import PADDING

_BYTE_VALUES = 256

Activation = Literal["relu", "gelu", "swish", "tanh", "sigmoid"]
ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "swish": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def sparse_lookup(table: Float[Tensor, "N D"], *ids: Int64[Tensor, "_"]) -> tuple[Float[Tensor, "_ D"], ...]:
    """Return the rows of one or several lists of ids.

    The gradient of the table is sparse and not coalesced: one row per id, in the order given. Looking up all lists at
    once, a table that is used as input and as output gets one gradient; autograd would merge two at a higher cost.
    """
    rows: tuple[Tensor, ...] = _SparseLookup.apply(table, *ids)  # type: ignore[no-untyped-call]
    return rows


class _SparseLookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, *ids: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*ids)
        ctx.shape = table.shape
        return tuple(table.index_select(0, one) for one in ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_rows: Tensor) -> tuple[Tensor | None, ...]:
        ids, values = torch.cat(ctx.saved_tensors), torch.cat(grad_rows)
        grad_table = torch.sparse_coo_tensor(ids.unsqueeze(0), values, ctx.shape, check_invariants=False)
        return grad_table, *(None for _ in grad_rows)


class Dropout(nn.Module):
    """``torch.nn.Dropout``; on a CPU the rate is rounded to a multiple of 1/256.

    A random byte decides on each value, eight to a draw of the generator, which is several times as fast as a draw
    for each; the values that stay are scaled by the rounded rate, so that the mean is exact.

    Args:
        rate: share of the values that training sets to zero.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the values with some set to zero, in training only."""
        if not self.training or self.rate == 0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.rate)
        dropped = min(max(round(self.rate * _BYTE_VALUES), 1), _BYTE_VALUES - 1)
        draws = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
        return values * kept.to(values.dtype).mul_(_BYTE_VALUES / (_BYTE_VALUES - dropped))

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate}"


class ContextEmbedding(nn.Module):
    """The context of events as vectors that are added to the embeddings of their items.

    Each feature gives one vector: a row of a table for a category, a learnt vector times a number. Unknown values
    contribute nothing: row 0 of a table is zero and stays so, and an unknown number is 0. Nor does a feature that the
    window does not hold.

    Args:
        reader: the learnt features, which reads them from a log.
        embedding_size: width D of the item embeddings.
        init_std: standard deviation of the initial values.
    """

    def __init__(self, *, reader: Context, embedding_size: int, init_std: float = 0.02) -> None:
        super().__init__()
        self.reader = reader
        self.weights = nn.ParameterList()
        for learnt in reader.encoders.values():
            rows = 1 if isinstance(learnt, Standardizer) else len(learnt.values) + 1
            weight = nn.init.normal_(torch.empty(rows, embedding_size), std=init_std)
            if not isinstance(learnt, Standardizer):
                nn.init.zeros_(weight[PADDING])
            self.weights.append(nn.Parameter(weight))

    def forward(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the sum for each event, zero at padding."""
        total: Tensor = self.weights[0].new_zeros(*window.items.shape, self.weights[0].shape[1])
        for weight, (name, learnt) in zip(self.weights, self.reader.encoders.items(), strict=True):
            if name not in window.context:
                continue
            values = window.context[name]
            if isinstance(learnt, Standardizer):
                total = total + values.unsqueeze(2) * weight
            else:
                total = total + functional.embedding(values, weight, padding_idx=PADDING)
        total = total * (window.items != PADDING).unsqueeze(2)
        return total


class VectorProjection(nn.Module):
    """What the vectors of items add to their embeddings: a learnt linear map of one fixed vector per item.

    Args:
        vectors: standardised vector of each item index, zero for the padding; they are no weights, and not saved.
        embedding_size: width D of the item embeddings.
        init_std: standard deviation of the initial weights.
    """

    def __init__(self, *, vectors: Float[Tensor, "M V"], embedding_size: int, init_std: float = 0.02) -> None:
        super().__init__()
        self.vectors: Tensor
        self.register_buffer("vectors", vectors, persistent=False)
        self.weight = nn.Parameter(torch.empty(vectors.shape[1], embedding_size))
        nn.init.normal_(self.weight, std=init_std)

    def forward(self, ids: Int64[Tensor, "*K"] | None = None) -> Float[Tensor, "*K D"]:
        """Return what some items get, or all of them."""
        projected: Tensor = (self.vectors if ids is None else self.vectors[ids]) @ self.weight
        return projected


class Positions(nn.Module):
    """A learnt vector for each position, counted back from the last event, so that wider padding changes nothing.

    Args:
        max_length: number of positions.
        hidden_size: width D.
    """

    def __init__(self, *, max_length: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(max_length, hidden_size))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, embedded: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
        """Return the events with their positions added; row 0 belongs to the last event."""
        return embedded + self.weight[: embedded.shape[1]].flip(0)


class FeedForward(nn.Module):
    """Two linear layers, applied to each position separately.

    Args:
        hidden_size: width D of input and output.
        inner_size: width between the layers.
        activation: activation between the layers.
        dropout: dropout rate of the inner values.
    """

    def __init__(self, *, hidden_size: int, inner_size: int, activation: Activation, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden_size, inner_size)
        self.outer = nn.Linear(inner_size, hidden_size)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the output of each position."""
        output: Tensor = self.outer(self.dropout(self.activation(self.inner(values))))
        return output


class SwiGLU(nn.Module):
    """A feed-forward layer gated by a swish of its input (Shazeer 2020, arXiv 2002.05202).

    Args:
        hidden_size: width D of input and output.
        inner_size: width between the layers.
        dropout: dropout rate of the inner values.
    """

    def __init__(self, *, hidden_size: int, inner_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden_size, 2 * inner_size, bias=False)
        self.outer = nn.Linear(inner_size, hidden_size, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, values: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return the output of each position."""
        gate, value = self.inner(values).chunk(2, dim=-1)
        output: Tensor = self.outer(self.dropout(functional.silu(gate) * value))
        return output
