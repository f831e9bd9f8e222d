"""Views of arrays for compiled loops."""

import numpy as np
from jaxtyping import Shaped


def read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return a read-only view of a C-contiguous array; only one that is not contiguous is copied.

    numba compiles a loop once for arrays that can be written to and once for those that cannot. A loop that only reads
    is handed this view, so that it is compiled once for arrays in memory and those that are mapped from a file.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
