"""The context of events as vectors that are added to the embeddings of their items."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.context import Context, Standardizer
from segue.data.vocabulary import PADDING


class ContextEmbedding(nn.Module):
    """The sum of a vector per feature: a row of a table for a category, a learned vector times a number.

    What is not known contributes nothing: row 0 of a table is zero and stays so, and a number is 0 then. So does an
    event of which the window holds no context.

    Args:
        reader: what was learnt of the features, and reads them from a log.
        width: width D of the item embeddings.
        init_std: standard deviation of the first values.
    """

    def __init__(self, *, reader: Context, width: int, init_std: float = 0.02) -> None:
        super().__init__()
        self.reader = reader
        self.weights = nn.ParameterList()
        for learnt in reader.encoders.values():
            rows = 1 if isinstance(learnt, Standardizer) else len(learnt.values) + 1
            weight = nn.init.normal_(torch.empty(rows, width), std=init_std)
            if not isinstance(learnt, Standardizer):
                nn.init.zeros_(weight[PADDING])
            self.weights.append(nn.Parameter(weight))

    def forward(self, window: Window) -> Float[Tensor, "B L D"]:
        """Return the sum for each event, zero at padding."""
        total: Tensor = self.weights[0].new_zeros(*window.items.shape, self.weights[0].shape[1])
        for weight, (name, learnt) in zip(self.weights, self.reader.encoders.items(), strict=True):
            if name not in window.context:
                continue
            numbers = window.context[name]
            if isinstance(learnt, Standardizer):
                total = total + numbers.unsqueeze(2) * weight
            else:
                total = total + functional.embedding(numbers, weight, padding_idx=PADDING)
        total = total * (window.items != PADDING).unsqueeze(2)
        return total
