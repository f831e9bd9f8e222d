"""STAMP: attention over the session's items, led by its last item and by their mean."""

from typing import Literal, Unpack

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.attention import SessionAttention, attention_mask
from segue.nn.encoders.base import CausalEncoder, WindowSizes
from segue.nn.encoders.layers import Dropout
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Range
from segue.training.config import SequenceTraining


class STAMPConfig(SequenceConfig):
    """Parameters of STAMP."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings and of all layers."""
    attention: Literal["paper", "authors"] = "authors"
    """Output of the attention: the weighted sum of the events (paper), or this sum plus their mean (authors' code)."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the embedded events; the paper has none."""
    training: SequenceTraining = SequenceTraining(
        loss=SampledSoftmax(n_samples=2048), optimizer="adagrad", learning_rate=0.07, batch_size=32, epochs=5
    )
    """Training parameters."""

    search = {**SequenceConfig.search, "dropout": Range(0.0, 0.6)}


class AttentionMemory(CausalEncoder):
    """Attention over the events themselves, and the last event, multiplied.

    Args:
        add_mean: whether the mean of the events is added to the attention's output, as in the authors' code.
        dropout: dropout rate of the embedded events.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(self, *, add_mean: bool, dropout: float, **sizes: Unpack[WindowSizes]) -> None:
        super().__init__(**sizes)
        size = self.input_size
        self.attention = SessionAttention(query_size=2 * size, event_size=size, hidden_size=size, bias=True)
        self.add_mean = add_mean
        self.session = nn.Linear(size, size)
        self.newest = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the product of both memories after each event."""
        events, means = self._events_and_means(window)
        return self._product(events, means, events, attention_mask(window.items, causal=True).squeeze(1))

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the product of both memories after the last event of each session."""
        events, means = self._events_and_means(window)
        real = (window.items != PADDING).unsqueeze(1)
        return self._product(events[:, -1:], means[:, -1:], events, real).squeeze(1)

    def _events_and_means(self, window: Window) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        """Return each event and the mean of the events up to it."""
        events = self.dropout(self.embed(window))
        counts = (window.items != PADDING).cumsum(dim=1).clamp(min=1)
        return events, _running_sum(events) / counts.unsqueeze(2)

    def _product(
        self,
        newest: Float[Tensor, "B Q D"],
        means: Float[Tensor, "B Q D"],
        events: Float[Tensor, "B L D"],
        mask: Bool[Tensor, "B Q L"],
    ) -> Float[Tensor, "B Q D"]:
        memory = self.attention(torch.cat((newest, means), dim=2), events, mask)
        if self.add_mean:
            memory = memory + means
        return torch.tanh(self.session(memory)) * torch.tanh(self.newest(newest))


def _running_sum(events: Float[Tensor, "B L D"]) -> Float[Tensor, "B L D"]:
    """Sum the events up to each one; by a product where algorithms must be deterministic, as no other is on a GPU."""
    if events.is_cpu or not torch.are_deterministic_algorithms_enabled():
        return events.cumsum(dim=1)
    length = events.shape[1]
    return events.new_ones(length, length).tril() @ events


class STAMP(SequenceModel):
    """Attention over the session, combined with the last item by a product.

    The state after an event does not depend on later events, so one pass trains every prefix of a session. Three
    details differ from the authors' code: their layers have no biases, they clip the embeddings of the events to a norm
    of 1, and they initialise weights with a smaller variance.
    """

    name = "stamp"
    paper = "Liu et al. 2018, doi 10.1145/3219819.3219950"
    Config = STAMPConfig
    Network = AttentionMemory
    config: STAMPConfig

    def build(self, n_items: int) -> AttentionMemory:
        """Return a network with fresh weights."""
        return AttentionMemory(
            **self.sizes(n_items), add_mean=self.config.attention == "authors", dropout=self.config.dropout
        )
