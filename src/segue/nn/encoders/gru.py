"""A recurrent network over windows, as against one that carries its state from event to event."""

from jaxtyping import Float
from torch import Tensor, nn

from segue.data.batches.windows import Window
from segue.nn.encoders.dropout import Dropout
from segue.nn.encoders.sequence import CausalEncoder


class RecurrentEncoder(CausalEncoder):
    """Gated recurrent layers over the embedded events, and a way from their state back to the items.

    The layers have no biases: over padding, where the input is zero, a state of zero stays zero.

    Args:
        n_items: number of items N.
        embedding_size: width D of the item embeddings.
        max_length: events of a session that are read.
        hidden_size: width H of the recurrent layers.
        layers: recurrent layers.
        dropout: share of the embedded events and of the last layer's output that training drops.
    """

    def __init__(
        self, *, n_items: int, embedding_size: int, max_length: int, hidden_size: int, layers: int, dropout: float
    ) -> None:
        super().__init__(n_items=n_items, embedding_size=embedding_size, max_length=max_length)
        self.gru = nn.GRU(embedding_size, hidden_size, layers, bias=False, batch_first=True)
        self.output = nn.Linear(hidden_size, embedding_size)
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
