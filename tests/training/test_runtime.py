import os

import pytest
import torch

from segue.errors import ParameterError
from segue.training import runtime as runtimes
from segue.training.runtime import Runtime, bf16_slowdown


def test_auto_takes_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert Runtime().torch_device().type == expected
    assert Runtime(device="cpu").torch_device() == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:97", "", "meta-physics"])
def test_an_unknown_or_absent_device_is_refused(device: str) -> None:
    with pytest.raises(ParameterError, match=f"device: must be 'auto' or 'cpu' .*got '{device}'"):
        Runtime(device=device).check()


@pytest.mark.parametrize("slowdown", [0.1, 10.0])
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_a_cpu_computes_in_fp32_unless_asked_whatever_its_instructions(
    precision: str, slowdown: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "bf16_slowdown", lambda: slowdown)
    runtime = Runtime(device="cpu", precision=precision)
    assert runtime.product_precision() == "fp32"
    assert runtime.arithmetic() == "cpu, fp32"
    with runtime.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_on_a_cpu_bf16_is_the_products_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "bf16_slowdown", lambda: 1.0)
    runtime = Runtime(device="cpu", precision="bf16")
    runtime.check()
    assert runtime.product_precision() == "bf16"
    assert runtime.arithmetic() == "cpu, bf16"
    with runtime.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("use", ["check", "product_precision", "autocast", "arithmetic"])
def test_bf16_is_refused_with_the_figure_on_a_cpu_where_it_is_slower(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "bf16_slowdown", lambda: 4.2)
    with pytest.raises(ParameterError) as caught:
        getattr(Runtime(device="cpu", precision="bf16"), use)()
    assert str(caught.value) == "precision: bf16 products take 4.2 times as long as fp32 on this processor; use fp32"


def test_how_slow_bf16_is_is_measured_once() -> None:
    first = bf16_slowdown()
    assert 0 < first < 1000
    assert bf16_slowdown() == first


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_takes_bf16_on_a_gpu_that_has_instructions_for_it(
    native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(Runtime, "torch_device", lambda self: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert Runtime().product_precision() == expected
    assert Runtime().arithmetic() == f"cuda, {expected}"
    assert Runtime(precision="bf16").product_precision() == "bf16"


def test_a_gpu_that_is_not_there_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ParameterError) as caught:
        Runtime(device="cuda:97").torch_device()
    assert str(caught.value) == (
        "device: must be 'auto' or 'cpu' on this machine, which has no GPU that torch can use, got 'cuda:97'"
    )


def state() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


def test_deterministic_algorithms_are_used_for_the_duration_of_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = state()
    with Runtime(device="cpu").algorithms():
        assert state() == before
    runtime = Runtime(device="cpu", deterministic=True)
    for _ in range(2):
        with runtime.algorithms(), runtime.part("teacher").algorithms():
            assert state() == (True, False, True, False, ":4096:8")
        assert state() == before
    with pytest.raises(KeyboardInterrupt), runtime.algorithms():
        raise KeyboardInterrupt
    assert state() == before


def test_bf16_products_are_summed_in_fp32_for_the_duration_of_a_fit() -> None:
    products = torch.backends.cuda.matmul
    before = products.allow_bf16_reduced_precision_reduction
    for runtime in (Runtime(device="cpu"), Runtime(device="cpu", deterministic=True)):
        products.allow_bf16_reduced_precision_reduction = True
        try:
            with runtime.algorithms():
                assert not products.allow_bf16_reduced_precision_reduction
            assert products.allow_bf16_reduced_precision_reduction
        finally:
            products.allow_bf16_reduced_precision_reduction = before


def test_a_workspace_and_a_warning_that_were_set_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        before = state()
        with Runtime(device="cpu", deterministic=True).algorithms():
            assert state() == (True, False, True, False, ":16:8")
        assert state() == before
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_operation_without_a_deterministic_algorithm_is_named() -> None:
    raised = RuntimeError("histc_cuda does not have a deterministic implementation, but you set 'torch.use_...'")
    with pytest.raises(ParameterError) as caught, Runtime(device="cpu", deterministic=True).algorithms():
        raise raised
    assert str(caught.value) == (
        "deterministic: histc_cuda does not have a deterministic implementation on 'cpu'; "
        "leave it out, or train on a CPU"
    )
    with pytest.raises(RuntimeError, match="out of memory"), Runtime(device="cpu", deterministic=True).algorithms():
        raise RuntimeError("out of memory")


def test_only_on_a_gpu_deterministic_algorithms_make_another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Runtime(device="cpu", deterministic=True).arithmetic() == "cpu, fp32"
    monkeypatch.setattr(Runtime, "torch_device", lambda self: torch.device("cuda"))
    assert Runtime(precision="fp32", deterministic=True).arithmetic() == "cuda, fp32, deterministic"
