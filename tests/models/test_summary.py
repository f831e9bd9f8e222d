"""The parts of a network, counted by hand."""

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from segue.data.sessions import Prefixes
from segue.errors import ParameterError
from segue.models.gru4rec import GRU4Rec
from segue.models.summary import LayerSummary, summary
from segue.models.v_sknn import VSKNN
from segue.nn.encoders.base import Encoder

N, L = 500, 7


def cell(inputs: int, hidden: int, gates: int) -> int:
    """Parameters of a recurrent cell: two matrices and two biases per gate."""
    return gates * hidden * (inputs + hidden + 2)


def test_gru4rec() -> None:
    found = summary(GRU4Rec(hidden_size=16, layers=2), n_items=N, length=L)
    assert found is not None
    table = (N + 1) * (16 + 1)  # embeddings and biases
    assert found.layers == (
        LayerSummary("cells.0", "GRUCell", (1, 16), L, cell(16, 16, gates=3)),
        LayerSummary("cells.1", "GRUCell", (1, 16), L, cell(16, 16, gates=3)),
        LayerSummary("encode", "GRU4RecEncoder", (1, 16), 1, table),
        LayerSummary("logits", "GRU4RecEncoder", (1, N + 1), 1, 0),
    )
    assert found.parameters == table + 2 * cell(16, 16, gates=3)
    assert found.item_parameters == table
    # Per event and layer two products of the state with the three gates, each 2 x 16 x 48.
    assert found.encoder_flops == L * 2 * 2 * (2 * 16 * 48)
    assert found.logits_flops == 2 * 16 * (N + 1)


@pytest.mark.parametrize(
    ("parameters", "rest", "items", "flops"),
    [
        ({"cell": "lstm"}, cell(16, 16, gates=4), 17, 2 * (16 + 16) * 64),
        ({"embedding": "separate", "embedding_size": 5}, cell(5, 16, gates=3), 5 + 17, 2 * (5 + 16) * 48),
        ({"embedding": "one-hot"}, 16 * 48 + 48, 48 + 17, 2 * 16 * 48),
    ],
)
def test_cells_and_tables_of_gru4rec(parameters: dict[str, object], rest: int, items: int, flops: int) -> None:
    found = summary(GRU4Rec(hidden_size=16, **parameters), n_items=N, length=L)
    assert found is not None
    assert found.item_parameters == items * (N + 1)
    assert found.parameters - found.item_parameters == rest
    assert found.encoder_flops == L * flops
    assert sum(step.parameters for step in found.layers) == found.parameters


class Pooled(Encoder):
    """Attention over the events, pooled by a trained vector: products that torch's own counter passes over."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.items = nn.Parameter(torch.randn(n_items + 1, 8))
        self.norm = nn.LayerNorm(8)
        self.unused = nn.Sequential(nn.Dropout(0.5))
        self.importance = nn.ParameterDict({"vector": torch.randn(8)})

    def encode(self, prefixes: Prefixes) -> Float[Tensor, "B D"]:
        events = self.norm(self.items[torch.from_numpy(prefixes.items).long()])[None, None]
        attended = functional.scaled_dot_product_attention(events, events, events)[0, 0]
        return (attended @ self.importance["vector"]).softmax(0)[None] @ attended

    def table(self) -> Float[Tensor, "M D"]:
        return self.items

    def rows(self, ids: Tensor) -> Float[Tensor, "K D"]:
        return self.items[ids]


def test_attention_and_vectors_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GRU4Rec, "build", lambda self, n_items: Pooled(n_items))
    # The catalogue has as many rows as another parameter; the items are known by their growth all the same.
    found = summary(GRU4Rec(), n_items=7, length=L)
    assert found is not None
    assert found.item_parameters == 8 * 8
    assert found.encoder_flops == 2 * (2 * L * L * 8) + 2 * L * 8 + 2 * L * 8
    assert [(step.name, step.shape, step.parameters) for step in found.layers] == [
        ("norm", (L, 8), 16),
        ("importance", (), 8),
        ("encode", (1, 8), 64),
        ("logits", (1, 8), 0),
    ]


def test_it_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    summary(GRU4Rec(hidden_size=4), n_items=5, length=2)
    assert torch.equal(torch.rand(1), expected)


def test_a_model_without_a_network_has_none() -> None:
    assert summary(VSKNN()) is None


@pytest.mark.parametrize(("sizes", "message"), [({"n_items": 0}, "items: must"), ({"length": 0}, "length: must")])
def test_sizes_below_one_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ParameterError, match=f"{message} be at least 1, got 0"):
        summary(GRU4Rec(), **sizes)
