import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from segue.training.optimizers import RowAdagrad, SplitOptimizer, clip_gradients

IDS = torch.tensor([3, 1, 3, 0, 3])


def sparse(ids: torch.Tensor, values: torch.Tensor, rows: int) -> torch.Tensor:
    return torch.sparse_coo_tensor(ids[None], values, (rows, values.shape[1]), check_invariants=False)


def reference(table: np.ndarray, steps: list[tuple[list[int], np.ndarray]], rate: float, momentum: float) -> np.ndarray:
    """Adagrad with momentum, one row at a time, on the summed gradient of the rows in use."""
    table, sums, momenta = table.copy(), np.zeros_like(table), np.zeros_like(table)
    for ids, gradients in steps:
        for row in set(ids):
            gradient = sum(gradients[position] for position, used in enumerate(ids) if used == row)
            sums[row] += gradient**2
            momenta[row] = momentum * momenta[row] - rate * gradient / np.sqrt(sums[row] + 1e-6)
            table[row] += momenta[row]
    return table


def steps_of(seed: int) -> list[tuple[list[int], np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.integers(0, 6, 25).tolist(), rng.normal(size=(25, 19))) for _ in range(4)]


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("way", ["compiled", "plain"])
def test_rows_in_use_are_updated(momentum: float, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "plain":  # the way of a GPU
        monkeypatch.setattr(RowAdagrad, "_step_compiled", RowAdagrad._step_rows)
    start = np.random.default_rng(9).normal(size=(8, 19))
    parameter = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = RowAdagrad([parameter], 0.1, momentum)
    steps = steps_of(1)
    for ids, gradients in steps:
        parameter.grad = sparse(torch.tensor(ids), torch.from_numpy(gradients.copy()), 8)
        optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), reference(start, steps, 0.1, momentum), rtol=1e-10)
    np.testing.assert_array_equal(parameter.detach().numpy()[6:], start[6:])


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("way", ["compiled", "plain"])
def test_dense_parameters_are_updated_alike(momentum: float, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "plain":
        monkeypatch.setattr(RowAdagrad, "_step_compiled", RowAdagrad._step_dense)
    start = np.random.default_rng(9).normal(size=(6, 19))
    weight, vector = nn.Parameter(torch.from_numpy(start.copy())), nn.Parameter(torch.from_numpy(start[0].copy()))
    unused = nn.Parameter(torch.ones(2))
    optimizer = RowAdagrad([weight, vector, unused], 0.1, momentum)
    steps = [(list(range(6)), gradients[:6]) for _, gradients in steps_of(2)]
    for _, gradients in steps:
        weight.grad, vector.grad = torch.from_numpy(gradients.copy()), torch.from_numpy(gradients[0].copy())
        optimizer.step()
    expected = reference(start, steps, 0.1, momentum)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-10)
    np.testing.assert_allclose(vector.detach().numpy(), expected[0], rtol=1e-10)
    assert torch.equal(unused, torch.ones(2))


def test_a_changed_learning_rate_is_followed() -> None:
    parameter = nn.Parameter(torch.zeros(4, 2))
    optimizer = RowAdagrad([parameter], 0.1)
    optimizer.param_groups[0]["lr"] = 0.0
    parameter.grad = sparse(IDS, torch.ones(5, 2), 4)
    optimizer.step()
    assert not parameter.any()


def test_its_state_survives_a_round_trip() -> None:
    def trained(n_steps: int, state: dict | None = None, start: torch.Tensor | None = None) -> tuple:
        parameter = nn.Parameter(torch.zeros(8, 19, dtype=torch.float64) if start is None else start)
        optimizer = RowAdagrad([parameter], 0.1, 0.3)
        if state is not None:
            optimizer.load_state_dict(state)
        for ids, gradients in steps_of(3)[4 - n_steps :] if state else steps_of(3)[:n_steps]:
            parameter.grad = sparse(torch.tensor(ids), torch.from_numpy(gradients.copy()), 8)
            optimizer.step()
        return parameter.detach(), optimizer.state_dict()

    whole, _ = trained(4)
    half, state = trained(2)
    assert torch.equal(trained(2, state, half.clone())[0], whole)


def test_clipping_bounds_the_common_norm() -> None:
    dense, table = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(4, 2))

    def gradients() -> torch.Tensor:
        return torch.cat((dense.grad, table.grad.to_dense().flatten()))

    dense.grad, table.grad = torch.tensor([3.0, 0.0, -4.0]), sparse(IDS, torch.ones(5, 2), 4)
    before = gradients()
    clip_gradients([dense, table, nn.Parameter(torch.zeros(1))], 2.0)
    after = gradients()
    assert after.norm().item() == pytest.approx(2.0, rel=1e-5)
    torch.testing.assert_close(after / after.norm(), before / before.norm())
    clip_gradients([dense, table], 100.0)
    torch.testing.assert_close(gradients(), after)


def apart(table: nn.Parameter, weight: nn.Parameter) -> SplitOptimizer:
    return SplitOptimizer(RowAdagrad([table], 0.1), torch.optim.AdamW([weight], 0.01))


def test_a_split_optimiser_is_two_optimisers_in_one_whose_state_goes_round() -> None:
    start, steps = torch.randn(8, 19, dtype=torch.float64), steps_of(3)
    table, weight = nn.Parameter(start.clone()), nn.Parameter(start[0].clone())
    alone, other = nn.Parameter(start.clone()), nn.Parameter(start[0].clone())
    adagrad, adamw = RowAdagrad([alone], 0.1), torch.optim.AdamW([other], 0.01)
    optimizer = apart(table, weight)
    for step, (ids, gradients) in enumerate(steps):
        if step == 2:  # goes on in another object, as after a restart
            kept, optimizer = optimizer.state_dict(), apart(table, weight)
            optimizer.load_state_dict({**optimizer.state_dict(), "state": kept["state"]})
        for rows, vector in ((table, weight), (alone, other)):
            rows.grad = sparse(torch.tensor(ids), torch.from_numpy(gradients.copy()), 8)
            vector.grad = torch.from_numpy(gradients[0].copy())
        optimizer.step()
        adagrad.step()
        adamw.step()
    assert torch.equal(table, alone)
    assert torch.equal(weight, other)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]


def test_it_runs_where_numba_does_not_compile() -> None:
    code = (
        "import torch; from segue.training.optimizers import RowAdagrad\n"
        "table = torch.nn.Parameter(torch.zeros(20, 40)); optimizer = RowAdagrad([table], 0.1)\n"
        "ids = torch.arange(12)\n"
        "torch.nn.functional.embedding(ids, table, sparse=True).sum().backward(); optimizer.step()\n"
        "print(round(float(table.sum()), 3))"
    )
    printed = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        command = [sys.executable, "-c", code]
        printed.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert printed == ["-48.0\n"] * 2
