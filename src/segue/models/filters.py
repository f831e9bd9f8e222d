"""Which items a list may hold, as a caller gives it -> a mask and prefixes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from segue.data.indices import as_array, index_lists, item_indices
from segue.data.sessions import Prefixes
from segue.data.vocabulary import PADDING, Vocabulary
from segue.errors import ParameterError

Allowed = Bool[np.ndarray, "M"] | Int[np.ndarray, "_"] | Sequence[int]
"""The items that may be listed: a mask over item indices (column 0 is padding), or a list of item indices."""

Excluded = Prefixes | Sequence[Sequence[int] | Int[np.ndarray, "_"]]
"""For each row the items that must not be listed: prefixes, or lists of item indices."""


def filters(
    vocabulary: Vocabulary, rows: int, allowed: Allowed | None, exclude: Excluded | None
) -> tuple[Bool[np.ndarray, "M"] | None, Prefixes | None]:
    """Return which item indices are allowed, and what is excluded from each row; None for what was not given.

    Args:
        vocabulary: the catalogue.
        rows: how many lists are asked for.
        allowed: the items that may be listed.
        exclude: for each row the items that must not be listed.

    Raises:
        ParameterError: one of them is of another catalogue, has another number of rows, or holds anything but integers.
    """
    return (
        None if allowed is None else _mask(vocabulary, allowed),
        None if exclude is None else _excluded(vocabulary, rows, exclude),
    )


def _mask(vocabulary: Vocabulary, allowed: Allowed) -> Bool[np.ndarray, "M"]:
    """Return which item indices are allowed; padding is not."""
    given, items = as_array(allowed, "allowed"), len(vocabulary)
    if given.dtype == np.bool_:
        if given.shape != (items + 1,):
            raise ParameterError(
                f"allowed: a mask must have {items + 1} columns, padding and the {items} items, got the shape "
                f"{given.shape}"
            )
        mask = given.copy()
    else:
        listed = item_indices(allowed, "allowed", 1, (PADDING, items))
        if len(listed) >= items > 1 >= listed.max():
            raise ParameterError(f"allowed: a mask must be of booleans, got {given.dtype}; use array.astype(bool)")
        mask = np.zeros(items + 1, dtype=bool)
        mask[listed] = True
    mask[PADDING] = False
    return mask


def _excluded(vocabulary: Vocabulary, rows: int, exclude: Excluded) -> Prefixes:
    """Return lists of excluded items, or a prefix per row, as prefixes."""
    if not isinstance(exclude, Prefixes):
        exclude = Prefixes(*index_lists(exclude, "exclude", (PADDING + 1, len(vocabulary))))
    if len(exclude) != rows:
        raise ParameterError(f"exclude: must have one list per prefix, {rows}, got {len(exclude)}")
    exclude.require_valid(vocabulary, "exclude")
    return exclude
