import numpy as np
import pytest
import torch
from torch import nn

from segue.data.sessions import Prefixes
from segue.nn.encoders.recurrent import GRU4RecEncoder

N_ITEMS = 20
KINDS = [
    {"cell": cell, "embedding": embedding, "layers": layers}
    for cell in ("gru", "lstm")
    for embedding in ("shared", "separate", "one-hot")
    for layers in (1, 2)
]


def network(**kind: object) -> GRU4RecEncoder:
    torch.manual_seed(0)
    network = GRU4RecEncoder(n_items=N_ITEMS, hidden_size=6, embedding_size=4, **kind)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5)
    return network.eval()


def take(network: GRU4RecEncoder, items: list[int], state: list[torch.Tensor]) -> tuple:
    inputs, _ = network.lookup(torch.tensor(items), torch.tensor([1]))
    return network.step(inputs, state)


def walk(network: GRU4RecEncoder, items: list[int]) -> torch.Tensor:
    """The output after one session, event by event."""
    output, state = torch.zeros(1, 6), network.initial_state(1)
    for item in items:
        output, state = take(network, [item], state)
    return output


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_encode_equals_a_walk_through_each_prefix(kind: dict) -> None:
    model = network(**kind)
    items = np.random.default_rng(0).integers(1, N_ITEMS + 1, 40, dtype=np.int32)
    starts = np.array([0, 0, 0, 7, 7, 20, 12, 0, 39, 5])
    ends = np.array([1, 5, 3, 8, 19, 20, 30, 5, 40, 7])
    with torch.no_grad():
        states = model.encode(Prefixes(items, starts, ends))
        expected = torch.cat([walk(model, items[a:b].tolist()) for a, b in zip(starts, ends, strict=True)])
    torch.testing.assert_close(states, expected)


def test_no_prefix_and_empty_prefixes_are_encoded() -> None:
    model = network()
    none, empty = np.zeros(0, dtype=np.int64), np.zeros(3, dtype=np.int64)
    assert model.encode(Prefixes(np.zeros(0, dtype=np.int32), none, none)).shape == (0, 6)
    assert torch.equal(model.encode(Prefixes(np.ones(4, dtype=np.int32), empty, empty)), torch.zeros(3, 6))


def test_logits_are_dot_products_plus_biases() -> None:
    model = network()
    states = torch.randn(3, 6)
    expected = states @ model.output[:, :-1].T + model.output[:, -1]
    torch.testing.assert_close(model.logits(states), expected)


def test_one_hot_lstm_equals_an_lstm_on_one_hot_vectors() -> None:
    model = network(cell="lstm", embedding="one-hot")
    ours = model.cells[0]
    theirs = nn.LSTMCell(N_ITEMS + 1, 6)
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.table.T)
        theirs.weight_hh.copy_(ours.gates.T)
        theirs.bias_ih.copy_(ours.bias)
        theirs.bias_hh.zero_()
        items, state = [3, 17], [torch.randn(2, 6), torch.randn(2, 6)]
        hidden, cell = theirs(nn.functional.one_hot(torch.tensor(items), N_ITEMS + 1).float(), tuple(state))
        output, after = take(model, items, state)
    torch.testing.assert_close(output, hidden)
    torch.testing.assert_close(after[1], cell)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_weights_get_a_gradient_and_padding_none(kind: dict) -> None:
    model = network(**kind).train()
    inputs, rows = model.lookup(torch.tensor([1, 5]), torch.tensor([5, 7, 9]))
    output, _ = model.step(inputs, [part.uniform_() for part in model.initial_state(2)])
    (output.sum() + (output @ rows[:, :-1].T + rows[:, -1]).sum()).backward()
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.to_dense()
        assert gradient.abs().sum() > 0, name
        if len(parameter) == N_ITEMS + 1:
            assert gradient[0].abs().sum() == 0, name


def test_fresh_tables_have_a_zero_row_for_padding_and_zero_biases() -> None:
    for embedding in ("shared", "separate", "one-hot"):
        model = GRU4RecEncoder(n_items=N_ITEMS, hidden_size=6, embedding=embedding, embedding_size=4)
        for name, parameter in model.named_parameters():
            if len(parameter) == N_ITEMS + 1:
                assert not parameter[0].any(), name
                assert parameter[1:].any(), name
        assert not model.output[:, -1].any()


def test_what_is_dropped_is_dropped_from_the_carried_state() -> None:
    model = network(dropout_hidden=0.5).train()
    output, state = take(model, [4] * 50, model.initial_state(50))
    assert 0.3 < (output == 0).float().mean() < 0.7
    assert torch.equal(output, state[0])
    embedding = network(dropout_embedding=0.5).train()
    outputs, _ = take(embedding, [4] * 50, embedding.initial_state(50))
    assert len(outputs.unique(dim=0)) > 10


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_step_runs_in_bf16(kind: dict) -> None:
    model = network(**kind)
    exact, _ = take(model, [3, 4, 5], model.initial_state(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough, _ = take(model, [3, 4, 5], model.initial_state(3))
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)
    rough.float().sum().backward()
