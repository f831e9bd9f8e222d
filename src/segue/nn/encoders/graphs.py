"""Layers of graph networks: the transitions of a session, and attention to neighbours in it and in a global graph."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from segue.data.vocabulary import PADDING
from segue.nn.encoders.layers import Dropout

_SLOPE = 0.2
"""Slope of the leaky ReLU below 0, as in the paper."""


class Transitions(NamedTuple):
    """Which items come directly before and after those of B sessions.

    Attributes:
        before: whether the item of an event (column) came directly before that of another one (row) somewhere.
        after: whether it came directly after it.
    """

    before: Bool[Tensor, "B L L"]
    after: Bool[Tensor, "B L L"]


def transitions(items: Int64[Tensor, "B L"]) -> Transitions:
    """Return the edges of the graph of each session.

    A node of the graph is an item. Here each event of the item has its row, since context and dropout differ between
    events. As a neighbour the node counts once, with the state of its first event: only that column is filled.
    """
    real = (items != PADDING).unsqueeze(2)
    same = (items.unsqueeze(2) == items.unsqueeze(1)) & real
    first = ~same.tril(-1).any(dim=2, keepdim=True) & real  # [B, L, 1]
    copies = same.float()
    follows = (copies[:, :, :-1] @ copies[:, 1:]) > 0  # [B, L, L]: the row's item is followed by the column's
    return Transitions(follows.mT & first.mT, follows & first.mT)


def session_relations(items: Int64[Tensor, "B L"]) -> Int64[Tensor, "B L L"]:
    """Return how the item of each event (column) is related to that of another one (row).

    0 if it came directly before it somewhere in the session, 1 directly after it, 2 both, 3 for the event itself, and
    -1 otherwise. An item has the column of its first event, see ``transitions``.
    """
    other = items.unsqueeze(2) != items.unsqueeze(1)
    before, after = transitions(items)
    relations = (before & other).long() + 2 * (after & other).long() - 1
    return relations.masked_fill(torch.eye(items.shape[1], dtype=torch.bool, device=items.device), 3)


class LocalAggregator(nn.Module):
    """Attention of each item to itself and its neighbours in the session, with a weight vector per kind of relation.

    Args:
        hidden_size: width D.
    """

    def __init__(self, *, hidden_size: int) -> None:
        super().__init__()
        self.relations = nn.Parameter(torch.empty(4, hidden_size))
        nn.init.uniform_(self.relations, -(hidden_size**-0.5), hidden_size**-0.5)

    def forward(self, events: Float[Tensor, "B L D"], relations: Int64[Tensor, "B L L"]) -> Float[Tensor, "B L D"]:
        """Return the attended vector of each event; see ``session_relations``."""
        logits = (events.unsqueeze(1) * self.relations.unsqueeze(1)) @ events.mT.unsqueeze(1)  # [B, 4, L, L]
        logits = logits.gather(1, relations.clamp(min=0).unsqueeze(1)).squeeze(1)
        logits = functional.leaky_relu(logits, _SLOPE).masked_fill(relations < 0, -torch.inf)
        return logits.softmax(dim=2) @ events


class GlobalAggregator(nn.Module):
    """An item and its neighbours in the global graph, weighted by how they fit the session and how frequent they are.

    Args:
        hidden_size: width D.
        dropout: dropout rate of the input of the last layer.
    """

    def __init__(self, *, hidden_size: int, dropout: float) -> None:
        super().__init__()
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.frequency = nn.Parameter(torch.empty(hidden_size))
        self.importance = nn.Linear(hidden_size, 1, bias=False)
        self.output = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.dropout = Dropout(dropout)
        nn.init.uniform_(self.frequency, -(hidden_size**-0.5), hidden_size**-0.5)

    def forward(
        self,
        nodes: Float[Tensor, "M D"],
        neighbours: Float[Tensor, "M S D"],
        weights: Float[Tensor, "M S"],
        session: Float[Tensor, "M D"],
    ) -> Float[Tensor, "M D"]:
        """Return the next vector of each node.

        Args:
            nodes: the nodes.
            neighbours: their neighbours; zero where there is none.
            weights: how frequent they are; 0 where there is none.
            session: the session of each node.
        """
        fit = self.key(session.unsqueeze(1) * neighbours) + weights.unsqueeze(2) * self.frequency
        logits = self.importance(functional.leaky_relu(fit, _SLOPE)).squeeze(2)
        # Not -inf: the neighbourhood of a node without neighbours is the mean of zeros.
        logits = logits.masked_fill(weights == 0, torch.finfo(logits.dtype).min)
        around = (logits.softmax(dim=1).unsqueeze(1) @ neighbours).squeeze(1)
        output: Tensor = self.output(self.dropout(torch.cat((nodes, around), dim=1))).relu()
        return output
