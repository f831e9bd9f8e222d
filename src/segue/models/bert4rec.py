"""BERT4Rec: a transformer that looks both ways and fills in masked events."""

from dataclasses import replace
from typing import Unpack

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.cloze import Cloze
from segue.data.batches.next_item import NextItemBatches
from segue.data.batches.windows import Window
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING
from segue.models.transformer import Heads, TransformerConfig, TransformerModel
from segue.nn.encoders.attention import attention_mask
from segue.nn.encoders.base import PositionwiseEncoder, WindowSizes
from segue.nn.encoders.layers import Activation
from segue.nn.encoders.transformer import NormOrder, TransformerStack
from segue.spaces import Range
from segue.training.config import SequenceTraining


class BERT4RecTraining(SequenceTraining):
    """How BERT4Rec is trained: with masked events (positions 'auto'), or after every prefix (positions 'last')."""

    mask_ratio: float = Field(0.2, gt=0, lt=1)
    """Share of the events of a window to mask, at least one; used with positions 'auto'."""
    last_ratio: float = Field(0.1, ge=0, le=1)
    """Share of the windows in which only the last event is masked; used with positions 'auto'."""


class BERT4RecConfig(TransformerConfig):
    """Parameters of BERT4Rec."""

    max_length: int = Field(50, ge=2)
    """Number of most recent events of a session to use, including the mask for the next event."""
    heads: Heads = 2
    """Attention heads; must divide embedding_size."""
    inner_size: int = Field(256, ge=1)
    """Width of the feed-forward layers."""
    activation: Activation = "gelu"
    """Activation of the feed-forward layers."""
    norm_order: NormOrder = "pre"
    """Layer normalisation: before each sub-layer (pre), after each sub-layer as in the paper (post), or as in SASRec
    (query) or eSASRec (gated)."""
    training: BERT4RecTraining = BERT4RecTraining(epochs=100, patience=10, metric="ndcg@10")
    """Training parameters."""

    presets = {
        "ml-1m": {
            "embedding_size": 128,
            "max_length": 100,
            "training": {
                "epochs": 40,
                "patience": None,
                "batch_size": 32,
                "mask_ratio": 0.3,
                "schedule": "linear",
                "warmup": 0.02,
            },
        },
        "recbole": {
            "embedding_size": 64,
            "inner_size": 256,
            "layers": 2,
            "heads": 2,
            "activation": "gelu",
            "norm_order": "post",
            "dropout": 0.2,
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
            "max_length": 50,
            "training": {"mask_ratio": 0.2, "last_ratio": 0.5, "loss": "cross-entropy"},
        },
    }

    search = {**TransformerConfig.search, "training.mask_ratio": Range(0.1, 0.6)}


class ClozeEncoder(PositionwiseEncoder):
    """A transformer whose positions attend to all events, and which fills in masked ones.

    In a window, the index N + 1 stands for a masked event, which has a vector of its own outside the item table.

    Args:
        stack: turns embedded events into states.
        **sizes: see ``SequenceEncoder``; one event of ``max_length`` is the mask for the next event.
    """

    appended = 1

    def __init__(self, *, stack: TransformerStack, **sizes: Unpack[WindowSizes]) -> None:
        super().__init__(**sizes)
        self.mask = nn.Parameter(torch.empty(sizes["embedding_size"]))
        nn.init.normal_(self.mask, std=0.02)
        self.stack = stack

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state at each position; that of a masked event predicts its item."""
        masked = window.items == len(self.items)
        embedded = self.embed(replace(window, items=window.items.masked_fill(masked, PADDING)))
        embedded = torch.where(masked.unsqueeze(2), self.mask, embedded)
        states: Tensor = self.stack(embedded, attention_mask(window.items, causal=False))
        return states

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state at a mask after the last event of each session.

        The oldest event makes room for the mask only in a session that fills the window.
        """
        window = window.map(lambda numbers: functional.pad(numbers[:, -(self.max_length - 1) :], (0, 1)))
        window.items[:, -1] = len(self.items)
        return self.states(window)[:, -1]


class BERT4Rec(TransformerModel):
    """Bidirectional self-attention that learns to fill in masked events; the next event is a mask at the end.

    Equal weights give the outputs of RecTools' code, whose blocks normalise before their sub-layers. Where we differ
    from the paper: so do ours by default; a state is compared with the item embeddings as it is, without a further
    layer and without item biases; positions count back from the end. Where we differ from RecTools: a masked event is
    always replaced by the mask, as in the paper, and in some windows only the last event is masked. It needs long
    training.
    """

    name = "bert4rec"
    paper = "Sun et al. 2019, arXiv 1904.06690"
    Config = BERT4RecConfig
    Network = ClozeEncoder
    config: BERT4RecConfig

    def build(self, n_items: int) -> ClozeEncoder:
        """Return a network with fresh weights."""
        stack = self.stack(activation=self.config.activation, norm_order=self.config.norm_order)
        return ClozeEncoder(**self.sizes(n_items), stack=stack)

    def _on_every_prefix(self) -> bool:
        return self.config.training.positions == "last"

    def batches(self, train: Sessions, seed: int) -> NextItemBatches:
        """Return masked windows, or every prefix where the positions are 'last'."""
        plan = self.config.training
        if self._on_every_prefix():
            return super().batches(train, seed)
        return Cloze(
            train,
            plan.batch_size,
            self.network.max_length,
            seed,
            mask_ratio=plan.mask_ratio,
            last_ratio=plan.last_ratio,
            recent_only=plan.windows == "recent",
        )
