"""FPMC: a Markov chain and a matrix factorisation in one, learnt by pairs."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from segue.data.batches.windows import Window
from segue.data.events import TIME, USER
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import PADDING
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.models.why.answer import Part
from segue.nn.encoders.base import CausalEncoder
from segue.nn.losses.config import RankingLoss
from segue.spaces import Choice
from segue.training.config import SequenceTraining


class FPMCConfig(SequenceConfig):
    """Parameters of FPMC."""

    embedding_size: int = Field(64, ge=1)
    """Width of each factor: of items as next item, of items as last item, and of users."""
    user: bool = False
    """Whether scores include a user term; needs a log with a user column."""
    basket: Literal["last-event", "equal-times"] = "last-event"
    """The last basket: only the last event, or all events of the session with the same time as the last event."""
    training: SequenceTraining = SequenceTraining(
        loss=RankingLoss(kind="bpr", n_samples=512), batch_size=512, learning_rate=3e-3
    )
    """Training parameters."""

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

    The table contains the factors ``[i^UI | i^IL]`` of an item as the next item; a state is ``[u | mean of l^LI]``. The
    user term is the sum of the context embeddings, including the user; it is zero for an unknown user.

    Args:
        n_items: number of items N.
        embedding_size: width D of each factor.
        max_length: number of most recent events of a session to use.
        in_context: whether there is a user term.
        baskets: whether the events with equal times at the end of a session form a basket; if false, or without times,
            only the last event counts.
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
            last = self.shares(window) @ last
        if not self.in_context:
            return last
        user = torch.zeros_like(last) if self.context is None else self.context(window)
        return torch.cat((user, last), dim=2)

    def shares(self, window: Window) -> Float[Tensor, "B L L"]:
        """Return the share of each event (column) in the basket as it was at each event (row); none at padding."""
        if not self.baskets or window.times is None:
            return torch.eye(window.items.shape[1], device=window.items.device).expand(len(window), -1, -1)
        return _basket_shares(window)


def _basket_shares(window: Window) -> Float[Tensor, "B L L"]:
    assert window.times is not None
    same = window.times.unsqueeze(2) == window.times.unsqueeze(1)
    together = (same & (window.items != PADDING).unsqueeze(1)).tril().float()
    return together / together.sum(2, keepdim=True).clamp(min=1.0)


class FPMC(SequenceModel):
    """Factorised personalised Markov chain: transitions from the last items, plus the preferences of the user.

        score(i) = <u^UI, i^IU> + mean over the last basket of <i^IL, l^LI>

    The user of a session is given by ``recommend(..., context={"user": ...})``; an unknown user has no user term. Other
    ``features`` have their own factors, added to those of the user. Where we differ from the paper: the negatives of
    S-BPR are shared by all targets of a step, and only negatives that equal the target are dropped; an item of a basket
    is predicted from the items of the basket so far, as in a current session.
    """

    name = "fpmc"
    paper = "Rendle et al. 2010, WWW"
    Config = FPMCConfig
    Network = FactorisedChain
    config: FPMCConfig
    network: FactorisedChain

    @property
    def features(self) -> tuple[str, ...]:
        """The configured features and the user."""
        return (*self.config.features, f"{USER}:category") if self.config.user else self.config.features

    @property
    def context_columns(self) -> Sequence[str]:
        """What the model reads of each event: also its time, if the events of a basket are those of equal times."""
        baskets = (TIME,) if self.config.basket == "equal-times" else ()
        return tuple(dict.fromkeys((*baskets, *super().context_columns)))

    def build(self, n_items: int) -> FactorisedChain:
        """Return a network with fresh weights."""
        return FactorisedChain(
            **self.sizes(n_items), in_context=bool(self.features), baskets=self.config.basket == "equal-times"
        )

    @torch.no_grad()
    def _parts(
        self, prefixes: Prefixes, items: Int64[np.ndarray, "C"], scores: Float32[np.ndarray, "C"], most: int
    ) -> Sequence[list[Part] | None]:
        """Return what each event of the last basket adds, and the user with the context; see ``Model._parts``."""
        if self.upcoming.encoders:  # They add to both terms.
            return super()._parts(prefixes, items, scores, most)
        window, network = self.network.window(prefixes), self.network
        shares = network.shares(window)[0, -1]
        rows = self._table()[0][torch.from_numpy(items).to(self.device)].double()  # [C, W]
        before = network.before[window.items[0]].double() * shares.double()[:, None]  # [L, D]
        values = (rows[:, -before.shape[1] :] @ before.T).cpu().tolist()
        first = int(prefixes.lengths[0]) - len(shares)
        context: list[list[Part]] = [[] for _ in items]
        if network.context is not None:
            user = network.context(window)[0, -1].double()
            terms = (rows[:, : len(user)] @ user).cpu().tolist()
            context = [[Part("context", "user and context", value)] for value in terms]
        return [
            [
                *(
                    Part("event", "the event's factors", row[at], (), (first + at,))
                    for at in shares.nonzero()[:, 0].tolist()
                ),
                *others,
            ]
            for row, others in zip(values, context, strict=True)
        ]

    def data_problems(self, train: Sessions) -> Iterator[str]:
        """Yield messages on parameters that need data which the log does not have."""
        yield from super().data_problems(train)
        if self.config.user and (train.columns is None or USER not in train.columns.columns):
            yield (
                f"{self.name}.user: needs a log with a column '{USER}' and this log has none; map the column with "
                f"--columns user=NAME, or set {self.name}.user=false"
            )
        if self.config.basket == "equal-times" and train.times is None:
            yield (f"{self.name}.basket: 'equal-times' needs a log with times and this one has none; use 'last-event'")
