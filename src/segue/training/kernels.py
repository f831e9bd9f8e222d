"""Compiled loops of the optimisers."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE = 16
"""float32 numbers in a cache line."""
_AHEAD = 8
"""Rows between the one that is asked for and the one that is worked on: long enough to hide the wait for memory."""


@intrinsic
def prefetch(_: Any, table: Any, row: Any, column: Any) -> Any:
    """Ask the processor to bring ``table[row, column]`` near, without waiting for it."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        address = cgutils.get_item_pointer(context, builder, kind, array, arguments[1:])
        number = ir.IntType(32)
        bytes_ = builder.bitcast(address, ir.IntType(8).as_pointer())
        call = ir.FunctionType(ir.VoidType(), [bytes_.type, number, number, number])
        intrinsic = builder.module.declare_intrinsic("llvm.prefetch", [bytes_.type], call)
        # For writing, to be kept in all cache levels, data rather than instructions.
        builder.call(intrinsic, [bytes_, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(table, row, column), codegen


@njit(cache=True, error_model="numpy")
def adagrad_rows(table, accumulator, momenta, ids, gradients, first, rate, momentum, epsilon):  # type: ignore[no-untyped-def]
    """Update the rows in use: sum the gradients of repeated ids, then accumulate and step, one pass per row.

    Args:
        table: the parameter, updated.
        accumulator: sums of squared gradients, updated.
        momenta: the momentum of each row, updated; empty where ``momentum`` is 0.
        ids: row of each gradient; may repeat.
        gradients: one per id; the first of a repeated id takes the sum.
        first: scratch of one int32 per row of the table, all -1; left as it was.
        rate: learning rate.
        momentum: share of the last step that is added to this one.
        epsilon: added under the square root.
    """
    width = gradients.shape[1]
    for i in range(len(ids)):
        j = first[ids[i]]
        if j < 0:
            first[ids[i]] = i
        else:
            for d in range(width):
                gradients[j, d] += gradients[i, d]
    for i in range(len(ids)):
        if i + _AHEAD < len(ids):
            for d in range(0, width, _LINE):
                prefetch(table, ids[i + _AHEAD], d)
                prefetch(accumulator, ids[i + _AHEAD], d)
        if first[ids[i]] != i:
            continue
        row, total, gradient = table[ids[i]], accumulator[ids[i]], gradients[i]
        if momentum > 0:
            momenta_row = momenta[ids[i]]
            for d in range(width):
                total[d] += gradient[d] * gradient[d]
                momenta_row[d] = momentum * momenta_row[d] - rate * gradient[d] / np.sqrt(total[d] + epsilon)
                row[d] += momenta_row[d]
        else:
            for d in range(width):
                total[d] += gradient[d] * gradient[d]
                row[d] -= rate * gradient[d] / np.sqrt(total[d] + epsilon)
    for i in range(len(ids)):
        first[ids[i]] = -1
