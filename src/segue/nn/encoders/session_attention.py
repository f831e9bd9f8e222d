"""Networks that read a session by attention: what its last event asks for is summed up from all its events."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.nn.encoders.dropout import Dropout
from segue.nn.encoders.sequence import CausalEncoder
from segue.nn.encoders.transformer import visible


class SessionAttention(nn.Module):
    """The sum of a session's events, each weighted by how it fits a query: ``sum_i a_i x_i``.

    The weight is ``a_i = v . sigmoid(Q q + K x_i + b)``. It is a number of any size and sign: nothing makes the weights
    of a session sum to 1, so that a longer session may say more.

    Args:
        query_size: width of the queries.
        event_size: width D of the events.
        hidden_size: width of the layer that compares the two.
        bias: whether that layer has a bias.
        normalised: take the softmax of the weights, and a sigmoid of straight lines (``x / 5 + 1 / 2`` between 0 and
            1), as the code of NARM's authors does.
    """

    def __init__(
        self, *, query_size: int, event_size: int, hidden_size: int, bias: bool, normalised: bool = False
    ) -> None:
        super().__init__()
        self.queries = nn.Linear(query_size, hidden_size, bias=False)
        self.keys = nn.Linear(event_size, hidden_size, bias=bias)
        self.weights = nn.Linear(hidden_size, 1, bias=False)
        self.normalised = normalised

    def forward(
        self, queries: Float[Tensor, "B Q E"], events: Float[Tensor, "B L D"], seen: Bool[Tensor, "B Q L"]
    ) -> Float[Tensor, "B Q D"]:
        """Return the sum for each query.

        Args:
            queries: what is asked, one query or several for each session.
            events: the events of the sessions.
            seen: the events that take part in the sum of each query.
        """
        compared = self.queries(queries).unsqueeze(2) + self.keys(events).unsqueeze(1)  # [B, Q, L, H]
        if not self.normalised:
            weights = self.weights(compared.sigmoid_()).squeeze(3).masked_fill(~seen, 0.0)
        else:
            compared = (0.2 * compared + 0.5).clamp(0.0, 1.0)
            weights = self.weights(compared).squeeze(3).masked_fill(~seen, -torch.inf).softmax(dim=2)
        summed: Tensor = weights @ events
        return summed


class AttentiveGRU(CausalEncoder):
    """NARM's network: a recurrent layer, attention over its states, and a bilinear decoder.

    The recurrent layers have no biases, as in the paper's equations: over padding, where the input is zero, a state of
    zero stays zero. The item table starts wider than that of other networks, at ``1 / sqrt(D)``: a state is small
    where its inputs are, and learning starts slowly.

    Args:
        n_items: number of items N.
        embedding_size: width D of the item embeddings.
        max_length: events of a session that are read.
        hidden_size: width H of the recurrent layers.
        layers: recurrent layers.
        attention: attention of width H.
        dropout_embedding: share of the embedded events that training drops.
        dropout_context: share of what goes into the decoder that training drops.
    """

    def __init__(
        self,
        *,
        n_items: int,
        embedding_size: int,
        max_length: int,
        hidden_size: int,
        layers: int,
        attention: SessionAttention,
        dropout_embedding: float,
        dropout_context: float,
    ) -> None:
        spread = embedding_size**-0.5
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length, init_std=spread)
        self.gru = nn.GRU(embedding_size, hidden_size, layers, bias=False, batch_first=True)
        self.attention = attention
        self.decoder = nn.Linear(2 * hidden_size, embedding_size, bias=False)
        self.dropout_embedding = Dropout(dropout_embedding)
        self.dropout_context = Dropout(dropout_context)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the decoded context after each event."""
        hidden = self._hidden(window)
        return self._decode(hidden, hidden, visible(window.items, causal=True).squeeze(1))

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the decoded context after the last event of each session."""
        hidden = self._hidden(window)
        return self._decode(hidden[:, -1:], hidden, (window.items != PADDING).unsqueeze(1)).squeeze(1)

    def _hidden(self, window: Window) -> Float[Tensor, "B L H"]:
        hidden: Tensor = self.gru(self.dropout_embedding(self.embed(window)))[0]
        return hidden

    def _decode(
        self, current: Float[Tensor, "B Q H"], hidden: Float[Tensor, "B L H"], seen: Bool[Tensor, "B Q L"]
    ) -> Float[Tensor, "B Q D"]:
        context = torch.cat((current, self.attention(current, hidden, seen)), dim=2)
        decoded: Tensor = self.decoder(self.dropout_context(context))
        return decoded


class AttentionMemory(CausalEncoder):
    """STAMP's network: attention over the events themselves, and the last event, multiplied.

    Args:
        n_items: number of items N.
        embedding_size: width D of all layers.
        max_length: events of a session that are read.
        attention: what the paper computes (paper), or that plus the mean of the events (authors).
        dropout: share of the embedded events that training drops.
    """

    def __init__(
        self,
        *,
        n_items: int,
        embedding_size: int,
        max_length: int,
        attention: Literal["paper", "authors"],
        dropout: float,
    ) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        width = embedding_size
        self.attention = SessionAttention(query_size=2 * width, event_size=width, hidden_size=width, bias=True)
        self.add_mean = attention == "authors"
        self.session = nn.Linear(width, width)
        self.newest = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the product of both memories after each event."""
        events, means = self._events_and_means(window)
        return self._product(events, means, events, visible(window.items, causal=True).squeeze(1))

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the product of both memories after the last event of each session."""
        events, means = self._events_and_means(window)
        real = (window.items != PADDING).unsqueeze(1)
        return self._product(events[:, -1:], means[:, -1:], events, real).squeeze(1)

    def _events_and_means(self, window: Window) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        """Return each event and the mean of the events up to it."""
        events = self.dropout(self.embed(window))
        counts = (window.items != PADDING).cumsum(dim=1).clamp(min=1)
        return events, events.cumsum(dim=1) / counts.unsqueeze(2)

    def _product(
        self,
        newest: Float[Tensor, "B Q D"],
        means: Float[Tensor, "B Q D"],
        events: Float[Tensor, "B L D"],
        seen: Bool[Tensor, "B Q L"],
    ) -> Float[Tensor, "B Q D"]:
        memory = self.attention(torch.cat((newest, means), dim=2), events, seen)
        if self.add_mean:
            memory = memory + means
        return torch.tanh(self.session(memory)) * torch.tanh(self.newest(newest))
