"""The contract of scorers."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError
from segue.evaluation.ranking import top_k


@runtime_checkable
class Scorer(Protocol):
    """A scorer that can be evaluated: a model, or any other object with these two attributes.

    ``score_items`` and ``top_k`` of a model are used where the object has them.
    """

    vocabulary: Vocabulary
    """The catalogue; its support decides between equal scores in the lists, and is the popularity of an item."""

    def score(self, prefixes: Prefixes) -> Float[Tensor, "B M"]:
        """Score every item as the next event of each prefix; column 0 is never ranked."""


def require_scorer(scorer: Any, place: str = "scorer") -> None:
    """Refuse what cannot be evaluated.

    Raises:
        ParameterError: it cannot score, or it is not fitted.
    """
    if not hasattr(scorer, "score"):
        raise no_model(scorer, place)
    if not isinstance(getattr(scorer, "vocabulary", None), Vocabulary):
        name = getattr(scorer, "name", type(scorer).__name__)
        raise ParameterError(f"{place}: must be fitted, got {name} without a vocabulary; call fit first")


def no_model(given: Any, place: str) -> ParameterError:
    """Return the refusal of what is not a model."""
    kind = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
    return ParameterError(f"{place}: must be a model, got {kind}; segue.load(...) reads a saved one")


def score_all(scorer: Scorer, prefixes: Prefixes) -> Float[Tensor, "B M"]:
    """Score every item for each prefix.

    Raises:
        ParameterError: there is not one column per item of the scorer's vocabulary, and one for padding.
    """
    scores = scorer.score(prefixes)
    if tuple(scores.shape) != (len(prefixes), len(scorer.vocabulary) + 1):
        raise ParameterError(
            f"scorer: must score {len(prefixes)} prefixes x {len(scorer.vocabulary) + 1} columns, padding and the "
            f"{len(scorer.vocabulary)} items of its vocabulary, got {' x '.join(map(str, scores.shape))}"
        )
    return scores


def score_items(scorer: Scorer, prefixes: Prefixes, items: Int64[np.ndarray, "B C"]) -> Float32[np.ndarray, "B C"]:
    """Score some items for each prefix; what the score of padding is has no meaning."""
    own = getattr(scorer, "score_items", None)
    if own is not None:
        scores: Tensor = own(prefixes, items)
    else:
        every = score_all(scorer, prefixes)
        scores = every.gather(1, torch.from_numpy(items).to(every.device))
    numbers: np.ndarray = scores.detach().float().cpu().numpy()
    return numbers


def best_items(
    scorer: Scorer, prefixes: Prefixes, k: int, *, exclude: Prefixes | None = None
) -> tuple[Int64[np.ndarray, "B k"], Float32[np.ndarray, "B k"]]:
    """List the best items of each prefix and their scores, as they are served; see ``segue.Model.top_k``."""
    own = getattr(scorer, "top_k", None)
    if own is not None:
        items, scores = own(prefixes, k, exclude=exclude)
        return items, scores
    return top_k(score_all(scorer, prefixes), k, order=scorer.vocabulary.order, exclude=exclude)
