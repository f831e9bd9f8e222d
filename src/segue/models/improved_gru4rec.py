"""Improved GRU4Rec: a recurrent network and the four recipes of Tan et al., which any sequence encoder can use."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.gru import RecurrentEncoder
from segue.nn.losses.config import SampledSoftmax
from segue.spaces import Around, Range, Space
from segue.training.config import SequenceTraining


class ImprovedGRU4RecConfig(SequenceConfig):
    """Parameters of Improved GRU4Rec."""

    embedding_size: int = Field(100, ge=1)
    """Width of the item embeddings."""
    max_length: int = Field(20, ge=1)
    """Events of a session that are read, the most recent ones."""
    hidden_size: int = Field(100, ge=1)
    """Units of each recurrent layer."""
    layers: int = Field(1, ge=1)
    """Recurrent layers."""
    dropout: float = Field(0.25, ge=0, lt=1)
    """Share of the embedded events and of the output that is dropped in training."""
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
    """How it is trained."""

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "hidden_size": Range(50, 400, log=True),
        "dropout": Range(0.0, 0.6),
        "training.table_learning_rate": Around(5),
        "training.click_dropout": Range(0.0, 0.3),
    }


class ImprovedGRU4Rec(SequenceModel):
    """Recurrent network trained on every prefix of a session, some clicks of which are left out.

    The other recipes of the paper are parts of the training section, for any sequence encoder: ``fine_tuning`` on a
    recent selection of the sessions, ``privileged`` information (a teacher that sees what comes after the label), and
    the loss ``cosine``, which predicts the embedding of the next item. Unlike the paper, whose output layer has
    weights of its own, input and output share one item table.
    """

    name = "improved-gru4rec"
    paper = "Tan et al. 2016, arXiv 1606.08117"
    Config = ImprovedGRU4RecConfig
    Network = RecurrentEncoder
    config: ImprovedGRU4RecConfig

    def build(self, n_items: int) -> RecurrentEncoder:
        """Return a network with fresh weights."""
        return RecurrentEncoder(
            n_items=n_items,
            embedding_size=self.config.embedding_size,
            max_length=self.config.max_length,
            hidden_size=self.config.hidden_size,
            layers=self.config.layers,
            dropout=self.config.dropout,
        )
