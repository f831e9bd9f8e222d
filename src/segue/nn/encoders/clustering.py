"""Clusters of events inside a session: the layers of the attention-clustering network."""

import math
from typing import Literal, NamedTuple, Unpack

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.nn.encoders.attention import Gated, GatedAttention, Watched, attention_mask, watched
from segue.nn.encoders.base import CausalEncoder, WindowSizes
from segue.nn.encoders.layers import Dropout

_LEAST = 1e-6
"""Share of the session's attention below which a cluster is empty."""
_TINY = 1e-30
"""Keeps the logarithm of a cluster's share of the events finite."""
_SHOWN, _SHOWN_WEIGHT = 5, 0.01
"""Clusters that are shown of a session, and their least weight."""


class Assignment(nn.Module):
    """Which cluster an event belongs to: ``softmax(W h / temperature)``, or one-hot.

    Args:
        hidden_size: width D.
        clusters: number of clusters K.
        straight_through: one-hot, with the gradient of the softmax at temperature 1; else a softmax whose
            temperature ``anneal`` lowers.
        final_temperature: temperature at the end of the annealing, and outside of training.
        anneal: share of the training over which the temperature falls from 1, geometrically.
    """

    def __init__(
        self, *, hidden_size: int, clusters: int, straight_through: bool, final_temperature: float, anneal: float
    ) -> None:
        super().__init__()
        self.logits = nn.Linear(hidden_size, clusters, bias=False)
        nn.init.normal_(self.logits.weight, std=2.0)  # wide: the clusters differ from the start
        self.straight_through = straight_through
        self.final_temperature = final_temperature
        self.anneal_share = anneal
        self._temperature = 1.0

    def anneal(self, progress: float) -> None:
        """Set the temperature of training, a pure function of the share of it that is done."""
        self._temperature = self.final_temperature ** min(progress / self.anneal_share, 1.0)

    def forward(self, gated: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        """Return how much of each event belongs to each cluster."""
        logits: Tensor = self.logits(gated)
        if not self.straight_through:
            return (logits / (self._temperature if self.training else self.final_temperature)).softmax(-1)
        hard = functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        soft = logits.softmax(-1)
        return hard + (soft - soft.detach())


class ClusterWeights(NamedTuple):
    """What the final attention gives to clusters and events, after each event of a session.

    Attributes:
        members: how much of each event belongs to each cluster.
        shares: share of each cluster in the attention to the events.
        clusters: weight of each cluster in the state; 0 where it is empty.
        events: weight of each event (column) after another (row).
    """

    members: Float[Tensor, "B L K"]
    shares: Float[Tensor, "B L K"]
    clusters: Float[Tensor, "B L K"]
    events: Float[Tensor, "B L L"]

    def watched(self) -> list[Watched]:
        """Return the final attention, and how much of each event belongs to the clusters of most weight.

        Their weights are those in the first session of the batch.
        """
        last = self.clusters[0, -1]
        largest = [int(one) for one in last.argsort(descending=True)[:_SHOWN] if last[one] >= _SHOWN_WEIGHT]
        return [
            Watched("final attention", self.events[:, -1:]),
            *(Watched(f"cluster {one}, weight {last[one]:.2f}", self.members[:, None, :, one]) for one in largest),
        ]


class ClusterAttention(nn.Module):
    """The final attention: over the clusters of a session, and over its events.

    With ``z`` the assignment and ``alpha`` the attention weights, a cluster's vector ``c_k`` is the mean of its
    members' ``h``, weighted by ``alpha z``, or a row of a trained table. With ``a_k = softmax_k(c_k . w)`` over the
    clusters that are not empty and ``b_t = softmax_t(e_t . w)`` over the events, the session is

        product    sum_k a_k B_k c_k / sum_k a_k B_k,  B_k = sum_t b_t z_tk
        sum        sum_k a_k c_k + sum_t b_t e_t

    Only shares of clusters and weights of events are computed, never the pooled vectors of each prefix: ``c_k . w``
    and the sum over clusters are linear in the members.

    Args:
        assignment: gives events to clusters.
        hidden_size: width D.
        clusters: number of clusters K.
        trained: whether the clusters' vectors are a trained table.
        combination: see above.
        own_importance: whether the events have an importance vector of their own in place of ``w``.
    """

    def __init__(
        self,
        *,
        assignment: Assignment,
        hidden_size: int,
        clusters: int,
        trained: bool,
        combination: Literal["product", "sum"],
        own_importance: bool,
    ) -> None:
        super().__init__()
        self.assignment = assignment
        self.combination = combination
        self.vectors = nn.Parameter(torch.empty(clusters, hidden_size)) if trained else None
        self.importance = nn.Parameter(torch.empty(hidden_size)) if own_importance else None
        for parameter in self.parameters(recurse=False):
            nn.init.normal_(parameter, std=hidden_size**-0.5)

    def forward(
        self,
        events: Float[Tensor, "B L D"],
        gated: Float[Tensor, "B L D"],
        weights: Float[Tensor, "B L L"],
        mask: Float[Tensor, "B L L"],
        importance: Float[Tensor, "D"],
    ) -> Float[Tensor, "B L D"]:
        """Return the state after each event; the arguments are those of ``weigh``."""
        final = self.weigh(events, gated, weights, mask, importance)
        if (found := watched()) is not None:
            found += final.watched()
        members, shares, chosen, attended = final
        if self.vectors is None:
            of_events = (chosen / shares.clamp(min=_LEAST)) @ members.mT  # [B, L, L]
            states: Tensor = (weights * of_events) @ gated
        else:
            states = chosen @ self.vectors
        return states if self.combination == "product" else states + attended @ events

    def weigh(
        self,
        events: Float[Tensor, "B L D"],
        gated: Float[Tensor, "B L D"],
        weights: Float[Tensor, "B L L"],
        mask: Float[Tensor, "B L L"],
        importance: Float[Tensor, "D"],
    ) -> ClusterWeights:
        """Return the weights of clusters and events.

        Args:
            events: embedding ``e`` of each event.
            gated: gated vector ``h`` of each event.
            weights: attention weights ``alpha`` of the events (columns) after each event (row).
            mask: added to the attention of the events after each event: -inf where one is left out.
            importance: importance vector ``w``.
        """
        members = self.assignment(gated)  # [B, L, K]
        shares = weights @ members  # [B, L, K]
        attended = prefix_softmax(events @ (importance if self.importance is None else self.importance), mask)
        if self.vectors is None:
            keys = weights @ (members * (gated @ importance).unsqueeze(-1)) / shares.clamp(min=_LEAST)
        else:
            keys = (self.vectors @ importance).expand_as(shares)
        if self.combination == "product":
            keys = keys + torch.log((attended @ members).clamp(min=_TINY))
        chosen = keys.masked_fill(shares < _LEAST, -torch.inf).softmax(-1)
        return ClusterWeights(members, shares, chosen, attended)


def prefix_softmax(logits: Float[Tensor, "B L"], mask: Float[Tensor, "B L L"]) -> Float[Tensor, "B L L"]:
    """Return, in each row, the softmax over the events (columns) that take part there."""
    return (logits.unsqueeze(1) + mask).softmax(-1)


class ClusteringEncoder(CausalEncoder):
    """Gated attention over the events, then attention over the clusters that they form.

    Noise-contrastive estimation takes a score for the logarithm of a probability. Therefore each item has a bias, which
    makes all items equally probable at the start.

    Args:
        attention: gates the events and weighs them.
        clusters: the final attention; None leaves it at the weighted sum of the gated events, which is what a single
            cluster would give.
        recency: whether a learnt number for each distance from the end of the session is added to the attention of
            the events; else their order does not matter.
        dropout: dropout rate of the embedded input.
        **sizes: see ``SequenceEncoder``.
    """

    biased = True

    def __init__(
        self,
        *,
        attention: GatedAttention,
        clusters: ClusterAttention | None,
        recency: bool,
        dropout: float,
        **sizes: Unpack[WindowSizes],
    ) -> None:
        super().__init__(**sizes, init_std=0.1)
        n_items = sizes["n_items"]
        self.biases = nn.Parameter(torch.full((n_items + 1, 1), -math.log(n_items)))
        self.attention = attention
        self.clusters = clusters
        self.recency = nn.Parameter(torch.zeros(self.max_length)) if recency else None
        self.dropout = Dropout(dropout)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        events = self.dropout(self.embed(window))
        gated, mask, weights = self._attend(events, window)
        if self.clusters is None:
            states: Tensor = weights @ gated.vectors
            return states
        states = self.clusters(events, gated.vectors, weights, mask, self.attention.importance)
        return states

    @torch.no_grad()
    def explain(self, window: Window) -> tuple[Gated, Float[Tensor, "B L L"], ClusterWeights | None]:
        """Return what ``states`` is made of: gates, attention weights, and weights of clusters and events."""
        events = self.embed(window)
        gated, mask, weights = self._attend(events, window)
        if self.clusters is None:
            return gated, weights, None
        final = self.clusters.weigh(events, gated.vectors, weights, mask, self.attention.importance)
        return gated, weights, final

    def _attend(
        self, events: Float[Tensor, "B L D"], window: Window
    ) -> tuple[Gated, Float[Tensor, "B L L"], Float[Tensor, "B L L"]]:
        """Return the gated events, the mask of the attention, and the attention weights."""
        gated, mask = self.attention(events), self._mask(window)
        weights = prefix_softmax(gated.attention, mask)
        if (found := watched()) is not None:
            found += [Watched("gate", gated.gates.mean(-1).unsqueeze(1)), Watched("attention", weights[:, -1:])]
        return gated, mask, weights

    def _mask(self, window: Window) -> Float[Tensor, "B L L"]:
        """Return the offset of each event (column) in the attention after another (row): -inf for later ones."""
        mask = attention_mask(window.items, causal=True).squeeze(1)
        offsets = self.items.new_zeros(mask.shape[1:])
        if self.recency is not None:
            places = torch.arange(mask.shape[1], device=mask.device)
            offsets = self.recency[(places.unsqueeze(1) - places).clamp(min=0)]
        return offsets.masked_fill(~mask, -torch.inf)

    def table(self) -> Float[Tensor, "M W"]:
        """Return the embedding and the bias of every item."""
        return torch.cat((super().table(), self.biases), dim=1)

    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K W"]:
        """Return the embedding and the bias of some items."""
        return torch.cat((super().rows(ids), self.biases[ids]), dim=-1)

    def anneal(self, progress: float) -> None:
        """Lower the temperature of the clusters to that of this share of the training."""
        if self.clusters is not None:
            self.clusters.assignment.anneal(progress)

    @torch.no_grad()
    def members(self) -> Float[Tensor, "M K"]:
        """Return how much of each item belongs to each cluster; row 0 (padding) has no meaning."""
        assert self.clusters is not None
        members: Tensor = self.clusters.assignment(self.attention(self.item_table()).vectors)
        return members
