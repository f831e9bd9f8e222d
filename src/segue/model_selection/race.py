"""The validation of networks during their training, by which one that falls behind is stopped."""

import numpy as np

_FIRST_LOOK = 0.2
"""Share of its training after which a network may be stopped."""
_BEHIND = 0.1
"""A network is stopped if it is behind the leader at the same share of its training by more than this share."""


class Race:
    """Validation of each network by the share of its training that is done."""

    def __init__(self) -> None:
        self._values: dict[str, dict[float, float]] = {}

    def note(self, label: str, share: float, value: float) -> None:
        """Note the validation of a network after a share of its training."""
        self._values.setdefault(label, {0.0: 0.0})[share] = value

    def behind(self, label: str, leader: str | None, metric: str) -> str:
        """Say by how much a network is behind the leader; empty if it need not be stopped.

        Args:
            label: the network.
            leader: the best network that is trained; None if there is none.
            metric: name of the values.
        """
        if leader not in self._values or label not in self._values:
            return ""
        shares, values = self._best_so_far(label)
        share, value = float(shares[-1]), float(values[-1])
        expected = float(np.interp(share, *self._best_so_far(leader)))
        if not _FIRST_LOOK <= share < 1 or value >= (1 - _BEHIND) * expected:
            return ""
        return f"{metric} {value:.4f} after {share:.0%} of its training, where {leader} had about {expected:.4f}"

    def _best_so_far(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the shares at which a network was validated, and its best value until each."""
        shares, values = zip(*sorted(self._values[label].items()), strict=True)
        return np.array(shares), np.maximum.accumulate(values)
