"""Compiled loops of the optimisers."""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE = 16
"""float32 numbers in a cache line."""
_AHEAD = 8
"""Rows between the one that is asked for and the one that is worked on: long enough to hide the wait for memory."""


def _prefetch(_: Any, table: Any, row: Any, column: Any) -> Any:
    """Ask the processor to bring ``table[row, column]`` near, without waiting for it."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        address = cgutils.get_item_pointer(context, builder, kind, array, arguments[1:])  # type: ignore[no-untyped-call]
        number = ir.IntType(32)
        bytes_ = builder.bitcast(address, ir.IntType(8).as_pointer())
        call = ir.FunctionType(ir.VoidType(), [bytes_.type, number, number, number])
        intrinsic = builder.module.declare_intrinsic("llvm.prefetch", [bytes_.type], call)
        # For writing, to be kept in all cache levels, data rather than instructions.
        builder.call(intrinsic, [bytes_, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(table, row, column), codegen


prefetch: Any = intrinsic(_prefetch)


class Rule(NamedTuple):
    """How gradients become steps; numbers of the parameters' own precision.

    Attributes:
        rate: learning rate.
        momentum: share of the last step that is added to the next.
        epsilon: added under the square root.
    """

    rate: np.floating
    momentum: np.floating
    epsilon: np.floating


@njit(cache=True, error_model="numpy")
def adagrad(values: np.ndarray, sums: np.ndarray, momenta: np.ndarray, gradient: np.ndarray, rule: Rule) -> None:
    """Update ``values`` [n] in one pass.

    Args:
        values: the parameters, updated.
        sums: sums of squared gradients, updated.
        momenta: last steps, updated; not looked at where the rule has no momentum.
        gradient: the gradient.
        rule: the rule.
    """
    if rule.momentum > 0:
        for d in range(len(values)):
            sums[d] += gradient[d] * gradient[d]
            momenta[d] = rule.momentum * momenta[d] - rule.rate * gradient[d] / np.sqrt(sums[d] + rule.epsilon)
            values[d] += momenta[d]
    else:
        for d in range(len(values)):
            sums[d] += gradient[d] * gradient[d]
            values[d] -= rule.rate * gradient[d] / np.sqrt(sums[d] + rule.epsilon)


@njit(cache=True, error_model="numpy")
def adagrad_rows(
    table: np.ndarray,
    sums: np.ndarray,
    momenta: np.ndarray,
    ids: np.ndarray,
    gradients: np.ndarray,
    first: np.ndarray,
    rule: Rule,
) -> None:
    """Update the rows of ``table`` [N, D] that ``ids`` names, each once, by the sum of its gradients.

    Args:
        table: the parameters, updated.
        sums: [N, D], as for ``adagrad``.
        momenta: [N, D], as for ``adagrad``.
        ids: [n] row of each gradient; may repeat.
        gradients: [n, D]; the first one of a row takes the sum.
        first: [N] scratch, all -1; left as it was.
        rule: the rule.
    """
    for i in range(len(ids)):
        if first[ids[i]] < 0:
            first[ids[i]] = i
        else:
            gradients[first[ids[i]]] += gradients[i]
    for i in range(len(ids)):
        if i + _AHEAD < len(ids):
            for d in range(0, table.shape[1], _LINE):
                prefetch(table, ids[i + _AHEAD], d)
                prefetch(sums, ids[i + _AHEAD], d)
        row = ids[i]
        if first[row] == i:
            adagrad(table[row], sums[row], momenta[row], gradients[i], rule)
    for i in range(len(ids)):
        first[ids[i]] = -1
