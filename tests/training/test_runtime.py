import pytest
import torch

from segue.errors import ParameterError
from segue.training.runtime import Runtime


def test_auto_takes_what_is_there() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert Runtime().torch_device().type == expected
    assert Runtime(device="cpu").torch_device() == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:97", "", "meta-physics"])
def test_an_unknown_or_absent_device_is_refused(device: str) -> None:
    with pytest.raises(ParameterError, match=f"device: must be 'auto' or 'cpu' .*got '{device}'"):
        Runtime(device=device).torch_device()


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_on_a_cpu(precision: str, dtype: torch.dtype) -> None:
    with Runtime(device="cpu", precision=precision).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_the_arithmetic_names_the_precision_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    for fast, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr("segue.training.runtime._cpu_multiplies_bf16", lambda fast=fast: fast)
        assert Runtime(device="cpu").arithmetic() == f"cpu, auto, {precision}"


def test_a_gpu_that_is_not_there_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ParameterError) as caught:
        Runtime(device="cuda:97").torch_device()
    assert str(caught.value) == (
        "device: must be 'auto' or 'cpu' on this machine, which has no GPU that torch can use, got 'cuda:97'"
    )
