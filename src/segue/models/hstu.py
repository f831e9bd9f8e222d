"""HSTU: a generative recommender's sequence encoder, attention without a softmax."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Unpack

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.events import TIME
from segue.data.sessions import Sessions
from segue.models.sequence import BEAUTY, SequenceConfig, SequenceModel
from segue.models.transformer import Heads
from segue.nn.encoders.attention import Watched, attention_mask, split_heads, watched
from segue.nn.encoders.base import CausalEncoder, WindowSizes
from segue.nn.encoders.layers import Dropout, Positions
from segue.spaces import Choice, Range
from segue.training.config import SequenceTraining

_BUCKETS = 129
"""Number of time buckets, as in the authors' code; the last buckets are never reached."""

_EPSILON = 1e-6

_AUTHORS: Mapping[str, Any] = {
    "windows": "recent",
    "epochs": 101,
    "loss": {"kind": "sampled-softmax", "n_samples": 128, "alpha": 0.0, "logq": 0.0},
}
"""Training of the authors' code, except that the negatives are shared by the targets of a step."""


class HSTUConfig(SequenceConfig):
    """Parameters of HSTU."""

    layers: int = Field(2, ge=1, le=100)
    """Number of sequential transduction units."""
    heads: Heads = 1
    """Attention heads; must divide embedding_size."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the input and of the gated values of each unit."""
    similarity: Literal["cosine"] = "cosine"
    """Score of an item: the cosine similarity of state and item embedding."""
    temperature: float = Field(0.05, gt=0)
    """Temperature: divides the cosine similarity of a state and an item."""
    training: SequenceTraining = SequenceTraining(epochs=30, metric="ndcg@10")
    """Training parameters."""

    presets = {
        "ml-1m": {
            "embedding_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 20,
                "patience": None,
                "learning_rate": 2e-3,
                "schedule": "linear",
                "warmup": 0.05,
            },
        },
        "beauty": {"layers": 1, "dropout": 0.5, "temperature": 0.1, "training": BEAUTY},
        "authors": {"embedding_size": 50, "max_length": 200, "training": _AUTHORS},
        "authors-large": {"embedding_size": 50, "max_length": 200, "layers": 8, "heads": 2, "training": _AUTHORS},
    }

    search = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "heads": Choice((1, 2, 4)),
        "dropout": Range(0.0, 0.6),
        "temperature": Range(0.02, 0.2, log=True),
    }


class RelativeBias(nn.Module):
    """A learnt number for each distance between two positions, and one for each bucket of seconds between two events.

    Args:
        max_length: distances, from 0 on.
        buckets: buckets of time; see ``time_buckets``.
    """

    def __init__(self, *, max_length: int, buckets: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(max_length))
        self.times = nn.Parameter(torch.empty(buckets))
        for weights in self.parameters():
            nn.init.normal_(weights, std=0.02)

    def forward(
        self, distances: Int64[Tensor, "L L"], buckets: Int64[Tensor, "B L L"] | None
    ) -> Float[Tensor, "*B L L"]:
        """Return the bias of each pair of positions."""
        bias = self.positions[distances]
        return bias if buckets is None else bias + functional.embedding(buckets, self.times.unsqueeze(1)).squeeze(3)


def time_buckets(moments: Int64[Tensor, "B L"], times: Int64[Tensor, "B L"], buckets: int) -> Int64[Tensor, "B L L"]:
    """Return the bucket of the seconds between each moment (row) and each event (column).

    A bucket is 1.35 times as long as the one before it: ``floor(ln(seconds) / 0.301)``, as in the authors' code.
    """
    seconds = (moments.unsqueeze(2) - times.unsqueeze(1)).abs().clamp_(min=1)
    return (seconds.float().log_() / 0.301).long().clamp_(max=buckets - 1)


class HSTUBlock(nn.Module):
    """A sequential transduction unit: ``x + W (norm(A v) * u)`` with ``A = silu(q k + bias) / length``.

    Args:
        hidden_size: width D of input and output.
        heads: number of heads; divides D.
        bias: added to the attention before its activation.
        length: divisor of the attention, whatever the length of a window.
        dropout: dropout rate of the gated values.
    """

    def __init__(self, *, hidden_size: int, heads: int, bias: RelativeBias, length: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.length = length
        self.bias = bias
        self.norm_input = nn.LayerNorm(hidden_size, _EPSILON, elementwise_affine=False)
        self.norm_output = nn.LayerNorm(hidden_size, _EPSILON, elementwise_affine=False)
        self.gate_value_query_key = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        nn.init.normal_(self.gate_value_query_key.weight, std=0.02)
        self.output = nn.Linear(hidden_size, hidden_size)
        nn.init.xavier_uniform_(self.output.weight)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "B L D"],
        mask: Bool[Tensor, "B 1 L L"],
        distances: Int64[Tensor, "L L"],
        buckets: Int64[Tensor, "B L L"] | None,
    ) -> Float[Tensor, "B L D"]:
        """Return the updated values."""
        parts = functional.silu(self.gate_value_query_key(self.norm_input(values)))
        gate, *rest = parts.chunk(4, dim=-1)
        value, query, key = (split_heads(part, self.heads) for part in rest)
        bias = self.bias(distances, buckets).unsqueeze(-3)
        weights = functional.silu(query @ key.mT + bias) * (mask / self.length)  # [B, heads, L, L]
        if (found := watched()) is not None:
            found.append(Watched("attention", weights[:, :, -1]))
        pooled = (weights @ value).transpose(1, 2).flatten(2)
        update: Tensor = self.output(self.dropout(gate * self.norm_output(pooled)))
        return values + update


class HSTUEncoder(CausalEncoder):
    """Units over embedded events; the score of an item is the cosine of its embedding and the state.

    Args:
        blocks: the units.
        buckets: buckets of time of their biases.
        dropout: dropout rate of the embedded events.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(
        self,
        *,
        blocks: Iterable[HSTUBlock],
        buckets: int,
        dropout: float,
        **sizes: Unpack[WindowSizes],
    ) -> None:
        super().__init__(**sizes)
        self.positions = Positions(max_length=self.max_length, hidden_size=self.input_size)
        self.blocks = nn.ModuleList(blocks)
        self.buckets = buckets
        self.dropout = Dropout(dropout)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        return self.states_at(window, window.times)

    def states_at(self, window: Window, moments: Int64[Tensor, "B L"] | None) -> Float[Tensor, "B L D"]:
        """Return the state after each event.

        Args:
            window: the events.
            moments: moment of each position, in seconds since 1970, that the times of the events are compared with;
                None leaves the time bias out.
        """
        values = self.positions(math.sqrt(self.items.shape[1]) * self.embed(window))
        values, mask = self.dropout(values), attention_mask(window.items, causal=True)
        places = torch.arange(window.items.shape[1], device=values.device)
        distances = (places.unsqueeze(1) - places).clamp_(min=0)  # later events are masked
        buckets = None
        if moments is not None and window.times is not None:
            buckets = time_buckets(moments, window.times, self.buckets)
        for block in self.blocks:
            values = block(values, mask, distances, buckets)
        states: Tensor = values
        return states


class HSTU(SequenceModel):
    """Gated attention without a softmax, biased by the positions of two events and by the time between them.

    Equal weights give the outputs of the authors' research code at the same moments. Where we differ: their code
    compares the times of the past events with that of the event to be predicted, which a recommender does not know;
    ours compares them with that of the last event. Positions count back from the end, and the default loss
    is the full cross-entropy. Without times, in training or in a session, the time bias is left out.
    """

    name = "hstu"
    paper = "Zhai et al. 2024, arXiv 2402.17152"
    Config = HSTUConfig
    Network = HSTUEncoder
    config: HSTUConfig

    def build(self, n_items: int) -> HSTUEncoder:
        """Return a network with fresh weights."""
        config = self.config
        blocks = [
            HSTUBlock(
                hidden_size=config.embedding_size,
                heads=config.heads,
                bias=RelativeBias(max_length=config.max_length, buckets=_BUCKETS),
                length=config.max_length,
                dropout=config.dropout,
            )
            for _ in range(config.layers)
        ]
        return HSTUEncoder(
            **self.sizes(n_items),
            blocks=blocks,
            buckets=_BUCKETS,
            dropout=config.dropout,
        )

    @property
    def context_columns(self) -> Sequence[str]:
        """What the model reads of each event: always its time."""
        return tuple(dict.fromkeys((TIME, *super().context_columns)))

    def remarks(self, train: Sessions) -> Iterator[str]:
        """Say where the times were missing."""
        yield from super().remarks(train)
        if train.times is None:
            yield "the log has no times, so the time bias was left out: not like for like with published results"
