"""The base of the SASRec family: parameters of a transformer, and the model that stacks its blocks."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.base import SequenceEncoder
from segue.nn.encoders.layers import Activation
from segue.nn.encoders.transformer import NormOrder, TransformerEncoder, TransformerStack, initialize_normal
from segue.spaces import Choice, Range


def _divides_embedding_size(heads: int, values: ValidationInfo) -> int:
    size = values.data.get("embedding_size", heads)
    if size % heads:
        raise ValueError(f"a divisor of embedding_size, which is {size}")
    return heads


Heads = Annotated[int, Field(ge=1, validate_default=True), AfterValidator(_divides_embedding_size)]
"""Attention heads, each of which attends over an equal part of the embedding."""


class TransformerConfig(SequenceConfig):
    """Parameters of every transformer."""

    layers: int = Field(2, ge=1, le=100)
    """Number of transformer blocks."""
    heads: Heads = 1
    """Number of attention heads; must divide embedding_size."""
    inner_size: int = Field(64, ge=1)
    """Width of the feed-forward layers."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout rate of the input, of the attention weights and of the output of each layer."""
    attention_dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout rate of the attention weights; None uses dropout."""
    layer_norm_eps: float = Field(1e-5, gt=0)
    """Epsilon of the layer normalisations."""
    initializer_range: float | None = Field(None, gt=0)
    """Standard deviation of the initial weights, with biases of zero, as in BERT; None takes 0.02 for embeddings and
    PyTorch's defaults for linear layers."""

    search = {
        **SequenceConfig.search,
        "layers": Range(1, 4),
        "heads": Choice((1, 2, 4)),
        "inner_size": Choice((64, 128, 256, 512)),
        "dropout": Range(0.0, 0.6),
    }


class TransformerModel(SequenceModel):
    """A transformer over the most recent events; a subclass chooses the details of its blocks."""

    Network: ClassVar[type[SequenceEncoder]] = TransformerEncoder
    config: TransformerConfig

    def assemble(self) -> SequenceEncoder:
        """Return a network with fresh weights that reads the features."""
        network = super().assemble()
        if self.config.initializer_range is not None:
            initialize_normal(network, self.config.initializer_range)
        return network

    def stack(
        self,
        *,
        activation: Activation | Literal["swiglu"],
        norm_order: NormOrder,
        mix_heads: bool = True,
        input_norm: bool = False,
        final_norm: bool = False,
        inner_dropout: float | None = None,
    ) -> TransformerStack:
        """Return fresh blocks of the configured size; see ``TransformerStack``."""
        config = self.config
        return TransformerStack(
            max_length=config.max_length,
            hidden_size=config.embedding_size,
            layers=config.layers,
            heads=config.heads,
            inner_size=config.inner_size,
            dropout=config.dropout,
            attention_dropout=config.dropout if config.attention_dropout is None else config.attention_dropout,
            activation=activation,
            norm_order=norm_order,
            epsilon=config.layer_norm_eps,
            mix_heads=mix_heads,
            inner_dropout=inner_dropout,
            input_norm=config.layer_norm_eps if input_norm else None,
            final_norm=config.layer_norm_eps if final_norm else None,
        )
