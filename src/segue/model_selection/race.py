"""The validation of networks during their training, by which one that falls behind is stopped."""

import numpy as np

_FIRST_LOOK = 0.2
"""Share of its training after which a network may be stopped."""
_BEHIND = 0.1
"""A network is stopped if it is behind the leader at the same share of its training by more than this share."""


class Race:
    """Validation curves by label: the best value so far at each share of the training."""

    def __init__(self) -> None:
        self._curves: dict[str, dict[float, float]] = {}

    def note(self, label: str, share: float, value: float) -> None:
        """Note the validation of a network after a share of its training."""
        curve = self._curves.setdefault(label, {0.0: 0.0})
        curve[share] = max(value, *curve.values())

    def behind(self, label: str, leader: str | None, metric: str) -> str:
        """Say by how much a network is behind the leader; empty if it need not be stopped.

        Args:
            label: the network.
            leader: the best network that is trained; None if there is none.
            metric: name of the values.
        """
        if leader is None or leader not in self._curves or label not in self._curves:
            return ""
        share, value = max(self._curves[label].items())
        shares, values = zip(*sorted(self._curves[leader].items()), strict=True)
        expected = float(np.interp(share, shares, values))
        if not _FIRST_LOOK <= share < 1 or value >= (1 - _BEHIND) * expected:
            return ""
        return f"{metric} {value:.4f} after {share:.0%} of its training, where {leader} had {expected:.4f}"
