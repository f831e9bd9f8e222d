"""Improved GRU4Rec: a recurrent network and the four recipes of Tan et al., which any sequence encoder can use."""

from typing import Unpack

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.base import CausalEncoder, WindowSizes
from segue.nn.encoders.layers import Dropout
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Around, Range
from segue.training.config import SequenceTraining


class ImprovedGRU4RecConfig(SequenceConfig):
    """Parameters of Improved GRU4Rec."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings."""
    max_length: int = Field(20, ge=1, le=100_000)
    """Number of most recent events of a session to use."""
    hidden_size: int = Field(100, ge=1)
    """Number of units of each recurrent layer."""
    layers: int = Field(1, ge=1, le=100)
    """Number of recurrent layers."""
    dropout: float = Field(0.25, ge=0, lt=1)
    """Dropout rate of the embedded events and of the output."""
    training: SequenceTraining = SequenceTraining(
        positions="last",
        epochs=5,
        batch_size=128,
        optimizer="mixed",
        learning_rate=3e-3,
        schedule="linear",
        loss=SampledSoftmax(n_samples=2048),
        click_dropout=0.1,
    )
    """Training parameters."""

    presets = {
        "recbole": {
            "embedding_size": 64,
            "hidden_size": 128,
            "layers": 1,
            "dropout": 0.3,
            "max_length": 50,
            "training": {
                "epochs": 300,
                "patience": 11,
                "metric": "mrr@10",
                "batch_size": 2048,
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "schedule": "constant",
                "loss": "cross-entropy",
                "click_dropout": 0.0,
            },
        },
    }

    search = {
        **SequenceConfig.search,
        "hidden_size": Range(50, 400, log=True),
        "dropout": Range(0.0, 0.6),
        "training.table_learning_rate": Around(5),
        "training.click_dropout": Range(0.0, 0.3),
    }


class GRUEncoder(CausalEncoder):
    """Gated recurrent layers over the embedded events, and a linear layer back to the width of the items.

    The layers have no biases: over padding, where the input is zero, a state of zero stays zero.

    Args:
        hidden_size: width H of the recurrent layers.
        layers: recurrent layers.
        dropout: dropout rate of the embedded events and of the last layer's output.
        **sizes: see ``SequenceEncoder``.
    """

    def __init__(self, *, hidden_size: int, layers: int, dropout: float, **sizes: Unpack[WindowSizes]) -> None:
        super().__init__(**sizes)
        self.gru = nn.GRU(self.input_size, hidden_size, layers, bias=False, batch_first=True)
        self.output = nn.Linear(hidden_size, self.input_size)
        self.dropout = Dropout(dropout)

    def states(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the state after each event."""
        return self._read_out(self.gru(self.dropout(self.embed(window)))[0])

    def last(self, window: Window) -> Float[Tensor, "B D"]:
        """Return the state after the last event of each session."""
        return self._read_out(self.gru(self.dropout(self.embed(window)))[1][-1])

    def _read_out(self, hidden: Float[Tensor, "*B H"]) -> Float[Tensor, "*B D"]:
        state: Tensor = self.output(self.dropout(hidden))
        return state


class ImprovedGRU4Rec(SequenceModel):
    """Recurrent network trained on every prefix of a session, with random dropout of whole clicks.

    The other recipes of the paper are parts of the training section of any sequence encoder: ``fine_tuning`` on a
    recent selection of the sessions, ``privileged`` information (a teacher that sees the events after the label), and
    the loss ``cosine``, which predicts the embedding of the next item. Unlike in the paper, whose output layer has
    separate weights, input and output share one item table.
    """

    name = "improved-gru4rec"
    paper = "Tan et al. 2016, arXiv 1606.08117"
    Config = ImprovedGRU4RecConfig
    Network = GRUEncoder
    config: ImprovedGRU4RecConfig

    def build(self, n_items: int) -> GRUEncoder:
        """Return a network with fresh weights."""
        return GRUEncoder(
            **self.sizes(n_items),
            hidden_size=self.config.hidden_size,
            layers=self.config.layers,
            dropout=self.config.dropout,
        )
