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
    with pytest.raises(ParameterError, match=f"device: must be 'auto', .* got '{device}'"):
        Runtime(device=device).torch_device()


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_on_a_cpu(precision: str, dtype: torch.dtype) -> None:
    with Runtime(device="cpu", precision=precision).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
