"""FPMC: a Markov chain and a matrix factorisation in one, learnt by pairs."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from segue.data.events import USER
from segue.data.sessions import Sessions
from segue.models.sequence import SequenceConfig, SequenceModel
from segue.nn.encoders.factors import FactorisedChain
from segue.nn.losses.config import Ranking
from segue.spaces import Around, Choice, Space
from segue.training.config import SequenceTraining


class FPMCConfig(SequenceConfig):
    """Parameters of FPMC."""

    embedding_size: int = Field(64, ge=1)
    """Width of each of the factors: of items as the next one and as the last one, and of users."""
    user: bool = False
    """Whether there is a user term; needs a log that says who each session is of."""
    basket: Literal["last-event", "equal-times"] = "last-event"
    """What came last: the last event alone, or all events of the session with the time of the last one."""
    training: SequenceTraining = SequenceTraining(
        loss=Ranking(name="bpr", n_samples=512), batch_size=512, learning_rate=3e-3
    )
    """How it is trained."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "recbole": {
            "embedding_size": 64,
            "training": {
                "positions": "last",
                "loss": {"name": "bpr", "n_samples": 1024, "alpha": 0.0},
                "batch_size": 2048,
                "learning_rate": 1e-3,
            },
        },
    }

    search: ClassVar[Mapping[str, Space | Around]] = {
        **SequenceConfig.search,
        "training.batch_size": Choice((128, 256, 512, 1024, 2048)),
    }


class FPMC(SequenceModel):
    """Factorised personalised Markov chain: what follows the last items, and what this user likes.

        score(i) = <u^UI, i^IU> + mean over the last basket of <i^IL, l^LI>

    A user whom training has not seen, or who is not told, has no user term; ``recommend(..., context={"user": ...})``
    tells it. Further ``features`` have factors beside those of the user. Where we differ from the paper: a negative of
    S-BPR is shared by all targets of a step, and only the target itself is none; an item of a basket that is being
    filled is predicted from what is in it so far, for that is what a running session tells.
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
            n_items=n_items,
            embedding_size=self.config.embedding_size,
            max_length=self.config.max_length,
            in_context=bool(self.features),
            baskets=self.config.basket == "equal-times",
        )

    def refusals(self, train: Sessions) -> Iterator[str]:
        """Say which parameters ask for what the log does not have."""
        yield from super().refusals(train)
        if self.config.user and (train.columns is None or USER not in train.columns.columns):
            yield (
                f"{self.name}.user: needs a log that says who each session is of, got one without a column '{USER}'; "
                "name the column when it is read (--columns user=NAME), or leave the user out"
            )
        if self.config.basket == "equal-times" and train.times is None:
            yield (f"{self.name}.basket: 'equal-times' needs a log with times and this one has none; use 'last-event'")
