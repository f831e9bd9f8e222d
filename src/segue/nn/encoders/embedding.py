"""Rows of a table, with a gradient that names the rows in use instead of being a table itself."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable


def look_up(table: Float[Tensor, "N D"], *ids: Int64[Tensor, "_"]) -> tuple[Float[Tensor, "_ D"], ...]:
    """Return the rows of one or several lists of ids.

    The gradient of the table is sparse and not coalesced: one row per id, in the order given. Looking up all lists at
    once, a table that is used as input and as output gets one gradient; autograd would merge two at a higher cost.
    """
    rows: tuple[Tensor, ...] = _LookUp.apply(table, *ids)  # type: ignore[no-untyped-call]
    return rows


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, *ids: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*ids)
        ctx.shape = table.shape
        return tuple(table.index_select(0, one) for one in ids)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_rows: Tensor) -> tuple[Tensor | None, ...]:
        ids, values = torch.cat(ctx.saved_tensors), torch.cat(of_rows)
        of_table = torch.sparse_coo_tensor(ids.unsqueeze(0), values, ctx.shape, check_invariants=False)
        return of_table, *(None for _ in of_rows)
