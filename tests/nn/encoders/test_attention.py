"""Attention with dropout, a few sessions at a time."""

import pytest
import torch
from torch import Tensor

from largest_tensor import LargestTensor
from segue.nn.encoders import attention
from segue.nn.encoders.attention import Attention, attention_mask

SESSIONS, LENGTH, HEADS = 6, 16, 2
WEIGHTS = HEADS * LENGTH**2


def run(at_once: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Tensor], int]:
    """Return the output of a layer and all gradients, and the numbers in the largest tensor on the way."""
    monkeypatch.setattr(attention, "_WEIGHTS_KEPT", at_once)
    monkeypatch.setattr(attention, "_WEIGHTS_AT_ONCE", at_once)
    torch.manual_seed(0)
    layer = Attention(hidden_size=8, heads=HEADS, dropout=0.5).train()
    items = torch.randint(0, 5, (SESSIONS, LENGTH))
    queries, memory = (torch.randn(SESSIONS, LENGTH, 8, requires_grad=True) for _ in range(2))
    with LargestTensor() as largest:
        output = layer(queries, memory, attention_mask(items, causal=True))
        (output * torch.randn_like(output)).sum().backward()
    gradients = [one.grad for one in (queries, memory, *layer.parameters())]
    assert all(one is not None for one in gradients)
    return [output, *(one for one in gradients if one is not None)], largest.numel


@pytest.mark.parametrize("sessions", [1, 2, 4])
def test_parts_of_a_step_have_the_result_of_the_step(sessions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = run(SESSIONS * WEIGHTS, monkeypatch)
    parts, _ = run(sessions * WEIGHTS, monkeypatch)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


def test_parts_of_a_step_need_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = run(SESSIONS * WEIGHTS, monkeypatch)
    _, parts = run(WEIGHTS, monkeypatch)
    mask = SESSIONS * LENGTH**2
    assert whole == SESSIONS * WEIGHTS
    assert parts == mask


def test_a_session_alone_may_be_larger_than_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = run(SESSIONS * WEIGHTS, monkeypatch)
    alone, _ = run(1, monkeypatch)
    torch.testing.assert_close(alone[0], whole[0], rtol=1e-5, atol=1e-6)
