"""The transformer's parts against loops over single numbers and vectors, and what no part may depend on."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.models.bert4rec import ClozeEncoder
from segue.models.hstu import HSTUBlock, HSTUEncoder, RelativeBias
from segue.nn.encoders.attention import Attention, attention_mask
from segue.nn.encoders.base import CausalEncoder
from segue.nn.encoders.layers import Dropout, FeedForward, SwiGLU
from segue.nn.encoders.transformer import NormOrder, TransformerBlock, TransformerEncoder, TransformerStack

WIDTH, HEADS, LENGTH, N_ITEMS = 6, 2, 5, 9
ITEMS = torch.tensor([[0, 0, 3, 1, 3], [4, 5, 6, 7, 8], [0, 0, 0, 0, 9]])
NORM_ORDERS = get_args(NormOrder)


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.uniform_(-0.6, 0.6)
            if name == "items":
                parameter[0] = 0
    return module.eval()


def new_block(norm_order: str) -> TransformerBlock:
    return TransformerBlock(
        attention=Attention(hidden_size=WIDTH, heads=HEADS, mix_heads=norm_order != "query"),
        feed_forward=SwiGLU(hidden_size=WIDTH, inner_size=4)
        if norm_order == "gated"
        else FeedForward(hidden_size=WIDTH, inner_size=4, activation="tanh"),
        hidden_size=WIDTH,
        norm_order=norm_order,
        dropout=0.0,
    )


def new_stack(norm_order: str) -> TransformerStack:
    return TransformerStack(
        max_length=LENGTH,
        hidden_size=WIDTH,
        layers=2,
        heads=HEADS,
        inner_size=4,
        activation="swiglu" if norm_order == "gated" else "tanh",
        norm_order=norm_order,
        dropout=0.0,
        attention_dropout=0.0,
        epsilon=1e-8,
        mix_heads=norm_order != "query",
        final_norm=1e-5,
    )


def new_encoder(kind: str) -> CausalEncoder:
    sizes = {"n_items": N_ITEMS, "embedding_size": WIDTH, "max_length": LENGTH}
    if kind != "hstu":
        return randomised(TransformerEncoder(**sizes, stack=new_stack(kind), scale=2.0))
    bias = RelativeBias(max_length=LENGTH, buckets=9)
    blocks = [HSTUBlock(hidden_size=WIDTH, heads=HEADS, bias=bias, length=LENGTH, dropout=0.0) for _ in range(2)]
    return randomised(HSTUEncoder(**sizes, blocks=blocks, buckets=9, dropout=0.0))


def attend(attention: Attention, queries: list[Tensor], memory: list[Tensor], position: int) -> Tensor:
    """The attention of one position to itself and those before it, one head and one number at a time."""
    size = WIDTH // HEADS
    query = attention.query(queries[position])
    key_values = [attention.key_value(vector) for vector in memory[: position + 1]]
    parts = []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        logits = [sum(q * k for q, k in zip(query[own], one[own], strict=True)) / math.sqrt(size) for one in key_values]
        total = sum(math.exp(logit) for logit in logits)
        values = [one[WIDTH:][own] for one in key_values]
        parts.append(sum(math.exp(logit) / total * value for logit, value in zip(logits, values, strict=True)))
    return attention.output(torch.cat(parts))


def by_hand(block: TransformerBlock, values: list[Tensor]) -> list[Tensor]:
    """The definition of each norm_order for a sub-layer f and its norm n, in its own words."""
    norm, attention, places = block.norms[0], block.attention, range(len(values))
    normed = [norm(value) for value in values]

    def second(value: Tensor) -> Tensor:
        n, f = block.norms[1], block.feed_forward
        return {
            "post": lambda: n(value + f(value)),
            "pre": lambda: value + f(n(value)),
            "query": lambda: n(value) + f(n(value)),
            "gated": lambda: value + torch.sigmoid(block.gates[1](value)) * f(n(value)),
        }[block.norm_order]()

    match block.norm_order:
        case "post":
            middle = [norm(values[t] + attend(attention, values, values, t)) for t in places]
        case "pre":
            middle = [values[t] + attend(attention, normed, normed, t) for t in places]
        case "query":
            middle = [normed[t] + attend(attention, normed, values, t) for t in places]
        case "gated":
            gates = [torch.sigmoid(block.gates[0](value)) for value in values]
            middle = [values[t] + gates[t] * attend(attention, normed, normed, t) for t in places]
    return [second(value) for value in middle]


@torch.no_grad()
@pytest.mark.parametrize("norm_order", NORM_ORDERS)
def test_a_block_equals_a_loop(norm_order: str) -> None:
    block = randomised(new_block(norm_order))
    values = torch.randn(len(ITEMS), LENGTH, WIDTH)
    output = block(values, attention_mask(ITEMS, causal=True))
    for row, items in enumerate(ITEMS):
        first = int((items == 0).sum())
        expected = torch.stack(by_hand(block, list(values[row, first:])))
        torch.testing.assert_close(output[row, first:], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", [*NORM_ORDERS, "hstu"])
def test_a_state_depends_on_no_later_event_and_on_every_earlier_one(kind: str) -> None:
    encoder, items = new_encoder(kind), ITEMS[1:2]
    times = torch.tensor([[0, 60, 90, 4000, 5000]])
    states = encoder.states(Window(items, times))
    for changed in range(LENGTH):
        other, later = items.clone(), times.clone()
        other[0, changed] = 9
        later[0, changed:] += 10_000
        moved = (encoder.states(Window(other, later)) - states).abs().amax(2)[0] > 1e-7
        assert moved.tolist() == [place >= changed for place in range(LENGTH)]


@torch.no_grad()
@pytest.mark.parametrize("kind", [*NORM_ORDERS, "hstu"])
def test_wider_padding_changes_nothing(kind: str) -> None:
    encoder = new_encoder(kind)
    for items in ITEMS:
        alone = encoder.states(Window(items[items > 0][None]))
        torch.testing.assert_close(encoder.states(Window(items[None]))[:, -alone.shape[1] :], alone)


@torch.no_grad()
def test_a_cloze_encoder_looks_both_ways_but_not_at_padding_or_behind_a_mask() -> None:
    encoder = randomised(
        ClozeEncoder(n_items=N_ITEMS, embedding_size=WIDTH, max_length=LENGTH, stack=new_stack("post"))
    )
    mask = N_ITEMS + 1
    items = torch.tensor([[0, 2, mask, 4, mask]])
    states = encoder.states(Window(items))
    torch.testing.assert_close(encoder.states(Window(items[:, 1:])), states[:, 1:])
    for changed in (1, 3):
        other = items.clone()
        other[0, changed] = 9
        assert ((encoder.states(Window(other)) - states).abs().amax(2)[0, 1:] > 1e-7).all()
    assert encoder.table().shape == (N_ITEMS + 1, WIDTH)


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
def test_dropout_keeps_the_mean_and_drops_its_rate(rate: float) -> None:
    torch.manual_seed(0)
    layer, n = Dropout(rate), 1_000_003
    values = layer(torch.ones(n))
    rounded = round(256 * rate) / 256
    kept = values != 0
    assert abs((~kept).double().mean().item() - rounded) < 5 * math.sqrt(rate * (1 - rate) / n)
    np.testing.assert_allclose(values[kept].unique(), [1 / (1 - rounded)], rtol=1e-6)
    assert abs(rounded - rate) <= 1 / 512


def test_dropout_is_a_function_of_the_seed_and_is_for_training_only() -> None:
    layer, values = Dropout(0.3), torch.randn(3, 7, 5)

    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return layer(values)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert layer.eval()(values) is values
    assert Dropout(0.0)(values) is values
