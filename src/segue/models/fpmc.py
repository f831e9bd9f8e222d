"""FPMC: a Markov chain and a matrix factorisation in one, learnt by pairs."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.events import USER
from segue.data.sessions import Sessions
from segue.data.vocabulary import PADDING
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.base import CausalEncoder
from segue.nn.losses.config import RankingLoss
from segue.spaces import Choice
from segue.training.config import SequenceTraining


class FPMCConfig(SequenceConfig):
    """Parameters of FPMC."""

    embedding_size: int = Field(64, ge=1)
    """Width of each of the factors: of items as the next one and as the last one, and of users."""
    user: bool = False
    """Whether there is a user term; needs a log with a column of users."""
    basket: Literal["last-event", "equal-times"] = "last-event"
    """What came last: the last event alone, or all events of the session with the time of the last one."""
    training: SequenceTraining = SequenceTraining(
        loss=RankingLoss(kind="bpr", n_samples=512), batch_size=512, learning_rate=3e-3
    )
    """How it is trained."""

    presets = {
        "recbole": {
            "embedding_size": 64,
            "user": True,
            "training": {
                "epochs": 300,
                "patience": 11,
                "metric": "mrr@10",
                "positions": "last",
                "loss": {"kind": "bpr", "n_samples": 1, "targets_per_draw": 1, "alpha": 0.0},
                "batch_size": 2048,
                "learning_rate": 1e-3,
            },
        },
    }

    search = {**SequenceConfig.search, "training.batch_size": Choice((128, 256, 512, 1024, 2048))}


class FactorisedChain(CausalEncoder):
    """Pairwise interactions of the next item with the user and with the items of the last basket.

    The table holds the factors ``[i^UI | i^IL]`` of an item as the next one, a state is ``[u | mean of l^LI]``. The
    user term is the sum of the context embeddings, of which the user is one; it is zero for an unknown user.

    Args:
        n_items: number of items N.
        embedding_size: width D of each of the factors.
        max_length: events of a session that are read.
        in_context: whether there is a user term.
        baskets: whether the events of equal time at the end of a session count together; else, and where times are
            unknown, its last event alone counts.
    """

    def __init__(self, *, n_items: int, embedding_size: int, max_length: int, in_context: bool, baskets: bool) -> None:
        width = 2 * embedding_size if in_context else embedding_size
        super().__init__(n_items=n_items, embedding_size=width, max_length=max_length)
        self.input_size = embedding_size
        self.in_context = in_context
        self.baskets = baskets
        self.before = nn.Parameter(torch.empty(n_items + 1, embedding_size))
        nn.init.normal_(self.before, std=0.02)
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


class FPMC(SequenceModel):
    """Factorised personalised Markov chain: what follows the last items, and what this user likes.

        score(i) = <u^UI, i^IU> + mean over the last basket of <i^IL, l^LI>

    The user of a session is given by ``recommend(..., context={"user": ...})``; an unknown user has no user term.
    Further ``features`` have factors beside those of the user. Where we differ from the paper: a negative of S-BPR is
    shared by all targets of a step, and only the target itself is none; an item of a basket that is being filled is
    predicted from what is in it so far, as in a running session.
    """

    name = "fpmc"
    paper = "Rendle et al. 2010, WWW"
    Config = FPMCConfig
    Network = FactorisedChain
    config: FPMCConfig

    @property
    def features(self) -> tuple[str, ...]:
        """The features that are named, and the user."""
        return (*self.config.features, f"{USER}:category") if self.config.user else self.config.features

    def build(self, n_items: int) -> FactorisedChain:
        """Return a network with fresh weights."""
        return FactorisedChain(
            **self.sizes(n_items), in_context=bool(self.features), baskets=self.config.basket == "equal-times"
        )

    def data_problems(self, train: Sessions) -> Iterator[str]:
        """Say which parameters ask for what the log does not have."""
        yield from super().data_problems(train)
        if self.config.user and (train.columns is None or USER not in train.columns.columns):
            yield (
                f"{self.name}.user: needs a log with a column '{USER}', got one without it; "
                "name the column when it is read (--columns user=NAME), or leave the user out"
            )
        if self.config.basket == "equal-times" and train.times is None:
            yield (f"{self.name}.basket: 'equal-times' needs a log with times and this one has none; use 'last-event'")
