"""CORE: the session as a weighted sum of its item embeddings, compared with the items by a sharpened cosine."""

from typing import Annotated, Literal, Unpack

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import AfterValidator, Field, ValidationInfo
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.models.sequence import BEAUTY, SESSIONS
from segue.models.transformer import Heads, TransformerConfig, TransformerModel
from segue.nn.encoders.attention import Watched, attention_mask, watched
from segue.nn.encoders.base import CausalEncoder, WindowSizes
from segue.nn.encoders.layers import Activation, Dropout
from segue.nn.encoders.transformer import TransformerStack
from segue.spaces import Range
from segue.training.config import SequenceTraining


def _reads_features(variant: str, values: ValidationInfo) -> str:
    if variant == "ave" and values.data.get("features"):
        raise ValueError(
            "'trm' with features (they only change the weights of the events, and those of 'ave' are equal)"
        )
    return variant


class COREConfig(TransformerConfig):
    """Parameters of CORE."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings and of the transformer."""
    similarity: Literal["dot", "cosine"] = "cosine"
    """Score of an item, divided by the temperature. cosine: cosine similarity of state and item embedding, as in the
    paper. dot: dot product of the state, of length 1, and the item embedding."""
    variant: Annotated[Literal["trm", "ave"], AfterValidator(_reads_features)] = "trm"
    """Weights of the events: a softmax over the outputs of a transformer (trm), or equal weights (ave)."""
    temperature: float = Field(0.07, gt=0)
    """Divides the cosines: a smaller one makes the softmax of the loss sharper."""
    session_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the item embeddings of the session."""
    item_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the embeddings of the items to score."""
    heads: Heads = 2
    """Number of attention heads; must divide embedding_size."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layers."""
    activation: Activation = "gelu"
    """Activation of the feed-forward layers."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Dropout rate of the transformer: of its input, of the attention weights and of the output of each layer."""
    layer_norm_eps: float = Field(1e-12, gt=0)
    """Epsilon of the layer normalisations."""
    initializer_range: float | None = Field(0.02, gt=0)
    """Standard deviation of the initial weights of the transformer, with biases of zero; None takes 0.02 for positions
    and PyTorch's defaults for linear layers."""
    training: SequenceTraining = SequenceTraining(positions="last", batch_size=2048, epochs=30, patience=6)
    """Training parameters."""

    presets = {
        "recbole": {
            "embedding_size": 64,
            "attention_dropout": 0.5,
            "initializer_range": None,
            "training": {"epochs": 300, "patience": 11, "metric": "mrr@10"},
        },
        "beauty": {"embedding_size": 64, "layers": 1, "training": {**BEAUTY, "metric": "ndcg@10"}},
        "sessions": {
            "embedding_size": 200,
            "inner_size": 200,
            "layers": 1,
            "max_length": 20,
            "dropout": 0.2,
            "training": {**SESSIONS, "batch_size": 256, "learning_rate": 1.5e-3},
        },
    }

    search = {
        **TransformerConfig.search,
        "temperature": Range(0.02, 0.2, log=True),
        "session_dropout": Range(0.0, 0.6),
        "item_dropout": Range(0.0, 0.6),
    }


class EventWeights(nn.Module):
    """A transformer that gives each event of a session one number.

    Args:
        stack: turns embedded events into hidden states.
        hidden_size: width D of both.
    """

    def __init__(self, *, stack: TransformerStack, hidden_size: int) -> None:
        super().__init__()
        self.stack = stack
        self.output = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, events: Float[Tensor, "B L D"], mask: Bool[Tensor, "B 1 L L"]) -> Float[Tensor, "B L"]:
        """Return the logit of the weight of each event."""
        logits: Tensor = self.output(self.stack(events, mask)).squeeze(2)
        return logits


class ConsistentEncoder(CausalEncoder):
    """A weighted sum of the embeddings of the session's items.

    Nothing is applied to the sum, so that a state lies where the items lie. Features of events only change the weights.

    Args:
        weights: logits of the weights of the events; None weights all alike.
        session_dropout: dropout rate of the item embeddings of the session.
        item_dropout: dropout rate of the output embeddings, before they are normalised.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(
        self,
        *,
        weights: EventWeights | None,
        session_dropout: float,
        item_dropout: float,
        **sizes: Unpack[WindowSizes],
    ) -> None:
        super().__init__(**sizes)
        self.draw_items()
        self.weights = weights
        self.session_dropout = Dropout(session_dropout)
        self.item_dropout = Dropout(item_dropout)

    def draw_items(self) -> None:
        """Draw the item table uniformly from ``-1 / sqrt(D)`` to ``1 / sqrt(D)``."""
        bound = self.items.shape[1] ** -0.5
        nn.init.uniform_(self.items.data[PADDING + 1 :], -bound, bound)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        return self._pool(window, attention_mask(window.items, causal=True).squeeze(1))

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        return self._pool(window, (window.items != PADDING).unsqueeze(1)).squeeze(1)

    def table(self) -> Float[Tensor, "M D"]:
        """Return the output embedding of every item; in training, some of their components are dropped."""
        return self._normalise(self.item_dropout(self.item_table()))

    def rows(self, ids: Int64[Tensor, "K"]) -> Float[Tensor, "K D"]:
        """Return some rows of ``table``; a row that is given twice is dropped from twice."""
        return self._normalise(self.item_dropout(self.lookup(ids)))

    def _pool(self, window: Window, mask: Bool[Tensor, "B Q L"]) -> Float[Tensor, "B Q D"]:
        """Return the weighted sums of the items that ``mask`` admits."""
        items = self.session_dropout(self.lookup(window.items))
        logits = items.new_zeros(window.items.shape)
        if self.weights is not None:
            events = items if self.context is None else items + self.context(window)
            logits = self.weights(events, attention_mask(window.items, causal=True))
        weights = logits.unsqueeze(1).masked_fill(~mask, -torch.inf).softmax(dim=2)  # [B, Q, L]
        if (found := watched()) is not None:
            found.append(Watched("weights of the sum", weights[:, -1:]))
        pooled: Tensor = weights @ items
        return pooled


class CORE(TransformerModel):
    """The session is a weighted sum of its item embeddings; items are scored by their cosine with it.

    With equal weights, the scores equal those of the authors' code. Where we differ: positions count back from the last
    event, padding is no item of the catalogue, and with a sampled loss, dropout is drawn for each sample of an item.
    """

    name = "core"
    paper = "Hou et al. 2022, arXiv 2204.11067"
    Config = COREConfig
    Network = ConsistentEncoder
    config: COREConfig

    def build(self, n_items: int) -> ConsistentEncoder:
        """Return a network with fresh weights."""
        config, weights = self.config, None
        if config.variant == "trm":
            stack = self.stack(activation=config.activation, norm_order="post", input_norm=True, inner_dropout=0.0)
            weights = EventWeights(stack=stack, hidden_size=config.embedding_size)
        return ConsistentEncoder(
            **self.sizes(n_items),
            weights=weights,
            session_dropout=config.session_dropout,
            item_dropout=config.item_dropout,
        )

    def assemble(self) -> ConsistentEncoder:
        """Return a network with fresh weights that reads the features."""
        network = super().assemble()
        assert isinstance(network, ConsistentEncoder)
        network.draw_items()
        return network
