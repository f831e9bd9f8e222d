"""Factorised Markov chain: who it is and what came last, each with factors of its own on the side of the items."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.vocabulary import PADDING
from segue.nn.encoders.sequence import CausalEncoder


class FactorisedChain(CausalEncoder):
    """Pairwise interactions of the next item with the user and with the items of the last basket.

    The table holds the factors ``[i^UI | i^IL]`` of an item as the next one, a state is ``[u | mean of l^LI]``. The
    user term is the sum of the embeddings of the context, of which the user is one; it is zero for who is not known.

    Args:
        n_items: number of items N.
        embedding_size: width D of each of the factors.
        max_length: events of a session that are read.
        in_context: whether there is a user term.
        baskets: whether the events of equal time at the end of a session count together; else its last event alone
            does, as it does where no times are known.
        init_std: standard deviation of the first values.
    """

    def __init__(
        self,
        *,
        n_items: int,
        embedding_size: int,
        max_length: int,
        in_context: bool,
        baskets: bool,
        init_std: float = 0.02,
    ) -> None:
        width = 2 * embedding_size if in_context else embedding_size
        super().__init__(n_items=n_items, embedding_size=width, max_length=max_length, init_std=init_std)
        self.input_size = embedding_size
        self.in_context = in_context
        self.baskets = baskets
        self.before = nn.Parameter(torch.empty(n_items + 1, embedding_size))
        nn.init.normal_(self.before, std=init_std)
        nn.init.zeros_(self.before.data[PADDING])

    def states(self, window: Window) -> Float[Tensor, "B L W"]:
        """Return the user and the last basket at each event, as it was then."""
        last = functional.embedding(window.items, self.before, padding_idx=PADDING, sparse=self.sparse_gradients)
        if self.baskets and window.times is not None:
            last = _basket_shares(window) @ last
        if not self.in_context:
            return last
        user = torch.zeros_like(last) if self.context is None else self.context(window)
        return torch.cat((user, last), dim=2)


def _basket_shares(window: Window) -> Float[Tensor, "B L L"]:
    """Return the share of each event (column) in the basket as it was at each event (row); none at padding."""
    assert window.times is not None
    same = window.times.unsqueeze(2) == window.times.unsqueeze(1)
    together = (same & (window.items != PADDING).unsqueeze(1)).tril().float()
    return together / together.sum(2, keepdim=True).clamp(min=1.0)
