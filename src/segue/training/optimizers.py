"""Optimizers for networks with large item tables: Adagrad on the rows in use, for all weights or the tables only."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor, nn

from segue.compiled import njit

_LINE = 16
"""float32 numbers in a cache line."""
_AHEAD = 8
"""Rows between the one that is asked for and the one that is worked on: long enough to hide the wait for memory."""


@runtime_checkable
class Optimizer(Protocol):
    """The contract of an optimizer in the training loop; torch's optimizers satisfy it."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the parameters in groups; ``lr`` is a group's learning rate, ``scale`` its factor on that of all."""

    def step(self) -> object:
        """Update every parameter that has a gradient."""

    def state_dict(self) -> dict[str, Any]:
        """Return ``state``, by the number of each parameter, and ``param_groups``."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""


class RowAdagrad(torch.optim.Optimizer):
    """Adagrad (Duchi et al., 2011) with momentum, as GRU4Rec uses it.

    ``a += g^2``, ``m = momentum * m - learning_rate * g / sqrt(a + epsilon)``, ``p += m``. A parameter with a
    sparse gradient is updated only in the rows of the gradient: neither the accumulator nor the momentum of another
    row changes, and a row that occurs several times takes one step with the sum. ``torch.optim.Adagrad`` has no
    momentum, and adds epsilon outside of the root.

    Args:
        parameters: dense parameters, or tables with sparse gradients.
        learning_rate: learning rate.
        momentum: share of the last step of a row that is added to its next step.
        epsilon: keeps the first steps finite.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float, momentum: float = 0.0, epsilon: float = 1e-6
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum, "eps": epsilon})
        self._arrays: dict[Tensor, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["sum"] = torch.zeros_like(parameter)
                if momentum > 0:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; a sparse gradient is used up."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.device.type == "cpu":
                    self._step_compiled(parameter, parameter.grad, group)
                elif parameter.grad.is_sparse:
                    self._step_rows(parameter, parameter.grad, group)
                else:
                    self._step_dense(parameter, parameter.grad, group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of ``state_dict``."""
        super().load_state_dict(state_dict)
        self._arrays.clear()

    def _step_compiled(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        if parameter not in self._arrays:
            self._arrays[parameter] = self._arrays_of(parameter)
        values, sums, momenta, first = self._arrays[parameter]
        number = values.dtype.type
        rule = Rule(number(group["lr"]), number(group["momentum"]), number(group["eps"]))
        if gradient.is_sparse:
            ids, rows = gradient._indices()[0].numpy(), gradient._values().numpy()
            adagrad_rows(values, sums, momenta, ids, rows, first, rule)
        else:
            flat = gradient.reshape(-1).numpy()
            adagrad(values.reshape(-1), sums.reshape(-1), momenta.reshape(-1), flat, rule)

    def _arrays_of(self, parameter: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the arrays of the compiled step: the parameter and its state without a copy, and scratch memory."""
        assert parameter.is_contiguous()
        state = self.state[parameter]
        momenta = state.get("momentum", state["sum"])
        scratch = np.full(parameter.shape[:1], -1, dtype=np.int32)
        return parameter.numpy(), state["sum"].numpy(), momenta.numpy(), scratch

    def _step_rows(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        gradient = gradient.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        state = self.state[parameter]
        sums = state["sum"].index_select(0, rows).addcmul_(values, values)
        state["sum"].index_copy_(0, rows, sums)
        step = values.div_(sums.add_(group["eps"]).sqrt_()).mul_(-group["lr"])
        if "momentum" in state:
            step += group["momentum"] * state["momentum"].index_select(0, rows)
            state["momentum"].index_copy_(0, rows, step)
        parameter.index_add_(0, rows, step)

    def _step_dense(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        state["sum"].addcmul_(gradient, gradient)
        step = gradient.div(state["sum"].add(group["eps"]).sqrt_()).mul_(-group["lr"])
        parameter.add_(state["momentum"].mul_(group["momentum"]).add_(step) if "momentum" in state else step)


class AdamW(torch.optim.AdamW):
    """``torch.optim.AdamW`` for sparse gradients, too; its state is there from the start, as checkpoints need it."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, **options: Any) -> None:
        super().__init__(parameters, learning_rate, **options)
        for parameter in (one for group in self.param_groups for one in group["params"]):
            step = torch.zeros((), device=parameter.device if self.defaults["fused"] else "cpu")
            zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            self.state[parameter] = {"step": step, **zeros}

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    parameter.grad = parameter.grad.to_dense()
        super().step()


class SplitOptimizer:
    """Two optimisers for one network: one for the tables with a row per item, one for all other parameters.

    An item occurs in few steps, whereas the parameters of the encoder are used in every step. Between two occurrences,
    AdamW forgets the magnitude of an item's gradients, so random negatives move it as far as its own events. Adagrad
    slows the encoder down permanently. Therefore each has its own optimizer.

    Args:
        tables: optimiser of the tables.
        others: optimiser of all other parameters.
    """

    def __init__(self, tables: torch.optim.Optimizer, others: torch.optim.Optimizer) -> None:
        self._parts = (tables, others)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return the groups of both."""
        return [group for part in self._parts for group in part.param_groups]

    def step(self) -> None:
        """Let both take a step."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both; the numbers of the second follow those of the first."""
        tables, others = (part.state_dict() for part in self._parts)
        shifted = {self._first_of_others + index: entries for index, entries in others["state"].items()}
        groups = [*tables["param_groups"], *others["param_groups"]]
        return {"state": {**tables["state"], **shifted}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give both back what is theirs."""
        tables, others = self._parts
        first, state, groups = self._first_of_others, state_dict["state"], state_dict["param_groups"]
        n_groups = len(tables.param_groups)
        own = {index: entries for index, entries in state.items() if index < first}
        rest = {index - first: entries for index, entries in state.items() if index >= first}
        tables.load_state_dict({"state": own, "param_groups": groups[:n_groups]})
        others.load_state_dict({"state": rest, "param_groups": groups[n_groups:]})

    @property
    def _first_of_others(self) -> int:
        return sum(len(group["params"]) for group in self._parts[0].param_groups)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Scale all gradients, dense and sparse, so that their common Euclidean norm is at most ``limit``."""
    values = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        elif parameter.grad is not None:
            values.append(parameter.grad)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(value) for value in values]))
    for value in values:
        value.mul_((limit / (norm + 1e-6)).clamp(max=1.0))


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


# Where numba does not compile (NUMBA_DISABLE_JIT=1), there is nothing to ask for.
prefetch: Any = (lambda *_: None) if config.DISABLE_JIT else intrinsic(_prefetch)  # type: ignore[attr-defined]


class Rule(NamedTuple):
    """Parameters of an Adagrad step, in the precision of the weights.

    Attributes:
        rate: learning rate.
        momentum: share of the last step that is added to the next.
        epsilon: added under the square root.
    """

    rate: np.floating
    momentum: np.floating
    epsilon: np.floating


@njit(error_model="numpy")
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


@njit(error_model="numpy")
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
