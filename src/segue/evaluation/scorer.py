"""What can be evaluated."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary


@runtime_checkable
class Scorer(Protocol):
    """What can be evaluated."""

    vocabulary: Vocabulary
    """The catalogue; its support decides between equal scores in the lists, and is the popularity of an item."""

    def score(self, prefixes: Prefixes) -> Float[Tensor, "B M"]:
        """Score every item as the next event of each prefix; column 0 is never ranked."""
