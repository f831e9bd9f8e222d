"""From scores to ranks and to top-k lists: exact, deterministic, equal on every device.

Four rules hold everywhere. Column 0 (padding) is never ranked. Items with equal scores stand in one fixed order, that
of the training popularity where a model is served. An item whose score is NaN or -inf, and an item that is excluded or
not allowed, is no candidate: it is never listed, and as a target it has rank infinity. A NaN beside a target counts as
ahead of it, so that a broken model never looks good.
"""

from segue.evaluation.ranking.rows import TIES, TargetCounts, count_targets, target_ranks, top_k

__all__ = ["TIES", "TargetCounts", "count_targets", "target_ranks", "top_k"]
