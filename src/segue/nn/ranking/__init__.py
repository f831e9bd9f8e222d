"""From scores to ranks and to top-k lists: exact, deterministic, equal on every device.

Three rules hold everywhere. Column 0 (padding) is never ranked. An item whose score is NaN or -inf, and an item that
is excluded, is no candidate: it is never listed, and as a target it has rank infinity. A NaN beside a target counts
as ahead of it, so that a broken model never looks good.
"""

from segue.nn.ranking.rows import target_ranks, top_k

__all__ = ["target_ranks", "top_k"]
