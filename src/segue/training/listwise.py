"""Lists to put in order: what a retriever found before each event of the training sessions, and what followed."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Int64
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from segue.data.vocabulary import PADDING
from segue.nn.losses.listwise import lambda_rank, list_net

ListLoss = Callable[[Float[Tensor, "T M"], Float[Tensor, "T M"], Bool[Tensor, "T M"]], Float[Tensor, "T"]]

_LOSSES: Mapping[str, ListLoss] = {"listnet": list_net, "lambdarank": lambda_rank}


class ListTraining(BaseModel):
    """How a model that re-ranks goes on to learn from whole lists."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    loss: Literal["listnet", "lambdarank"] | None = None
    """Loss over a retrieved list that a sequence encoder as ranker goes on with, once it is trained by its own; None
    leaves it as it is."""
    length: int = Field(50, ge=1)
    """Items of a training list, the retriever's best ones; the item that followed is put beside them."""
    epochs: int = Field(3, ge=1)
    """Most passes over the training data."""
    learning_rate: float | None = Field(None, gt=0)
    """Step size; None takes that of the ranker's own training."""


class ListLesson:
    """A lesson whose rows are lists: the item that followed is to stand above all that was retrieved.

    Args:
        rows: for each event of the training sessions its row below.
        retrieved: the items that were retrieved before it; 0 stands for none.
        items: item index of each event.
        loss: name of the loss.
    """

    def __init__(
        self,
        rows: Int64[np.ndarray, "n"],
        retrieved: Int32[np.ndarray, "R K"],
        items: Int32[np.ndarray, "n"],
        loss: str,
    ) -> None:
        self._rows = rows
        self._retrieved = retrieved
        self._items = items
        self._loss = loss

    def fingerprint(self) -> str:
        """Return a hash of the lists and the loss."""
        return f"{hashlib.sha256(self._retrieved.tobytes()).hexdigest()} {self._loss}"

    def label_weights(self, events: Int64[Tensor, "T"]) -> Float[Tensor, "T"]:
        """Return zeros: the label is in the list."""
        return torch.zeros(len(events))

    def loss(
        self, states: Float[Tensor, "T D"], events: Int64[Tensor, "T"], table: Float[Tensor, "M W"]
    ) -> Float[Tensor, ""]:
        """Return the mean loss of the lists; see ``Lesson``."""
        retrieved = self._retrieved[self._rows[events.numpy()]]
        targets = self._items[events.numpy()][:, None]
        lists = torch.from_numpy(np.concatenate((targets, retrieved), axis=1)).to(states.device)
        relevance = functional.pad(states.new_ones(len(lists), 1), (0, retrieved.shape[1]))
        mask = ((lists != lists[:, :1]) & (lists != PADDING)) | (relevance > 0)
        rows, width = functional.embedding(lists, table), states.shape[1]
        scores = (rows[:, :, :width] @ states.unsqueeze(2)).squeeze(2) + rows[:, :, width:].sum(2)
        return _LOSSES[self._loss](scores, relevance, mask).mean()
