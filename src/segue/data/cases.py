"""Test and validation cases: prefixes of sessions, and the items that followed."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64

from segue.data.arrays import concatenate_ranges
from segue.data.sessions import Prefixes
from segue.data.vocabulary import Vocabulary
from segue.errors import ParameterError


@dataclass(frozen=True, eq=False, repr=False)
class Cases:
    """Test cases.

    Attributes:
        prefixes: C prefixes of sessions.
        targets: the item index of the next event of each, 1..N; with ``offsets``, those of case ``c`` are
            ``targets[offsets[c]:offsets[c + 1]]`` without duplicates.
        groups: the session (or user) of each case; cases of one group are not independent, so confidence intervals
            resample groups.
        exclude_seen: True if items of the prefix are not candidates.
        offsets: bounds of the targets of each case, if a case may have several.
        labels: the logged value of each target, for example a rating, or 1 for liked and 0 for not; None if every
            target is relevant.
    """

    prefixes: Prefixes
    targets: Int32[np.ndarray, "T"]
    groups: Int64[np.ndarray, "C"]
    exclude_seen: bool = False
    offsets: Int64[np.ndarray, "offsets"] | None = None
    labels: Float64[np.ndarray, "C"] | None = None

    def __repr__(self) -> str:
        return f"Cases(cases={len(self)})"

    def __len__(self) -> int:
        """Number of cases C."""
        return len(self.groups)

    def require_valid(self, vocabulary: Vocabulary, name: str = "cases") -> None:
        """Refuse cases whose prefixes or targets do not match a vocabulary, or each other.

        Args:
            vocabulary: the vocabulary.
            name: name of the argument, for messages.

        Raises:
            ParameterError: the first mismatch.
        """
        self.prefixes.require_valid(vocabulary, name)
        offsets, n_targets = self.offsets, len(self.targets)
        if offsets is None:
            fits = n_targets == len(self)
        else:
            fits = len(offsets) == len(self) + 1 and offsets[0] == 0 and offsets[-1] == n_targets
            fits = fits and bool((np.diff(offsets) >= 0).all())
        if len(self.prefixes) != len(self) or not fits:
            raise ParameterError(
                f"{name}: must have a prefix, a group and targets for each case, got {len(self.prefixes)} prefixes, "
                f"{len(self)} groups and {n_targets} targets"
            )
        if n_targets and not 1 <= self.targets.min() <= self.targets.max() <= len(vocabulary):
            raise ParameterError(
                f"{name}: targets must be item indices from 1 to {len(vocabulary)}, got {self.targets.min()} to "
                f"{self.targets.max()}; encode the log with segue.prepare(log, vocabulary=model.vocabulary)"
            )

    def __getitem__(self, rows: slice | Int[np.ndarray, "_"]) -> "Cases":
        part = replace(
            self,
            prefixes=self.prefixes[rows],
            groups=self.groups[rows],
            labels=None if self.labels is None else self.labels[rows],
        )
        if self.offsets is None:
            return replace(part, targets=self.targets[rows])
        counts = self.offsets[1:][rows] - self.offsets[:-1][rows]
        targets = self.targets[concatenate_ranges(self.offsets[:-1][rows], counts)]
        return replace(part, targets=targets, offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]))

    @property
    def counts(self) -> Int64[np.ndarray, "C"]:
        """Targets per case."""
        if self.offsets is None:
            return np.ones(len(self), dtype=np.int64)
        counts: np.ndarray = np.diff(self.offsets)
        return counts

    def padded_targets(self) -> Int32[np.ndarray, "C R"]:
        """Return the targets, one row per case, right-padded with 0."""
        if self.offsets is None:
            return self.targets[:, None]
        counts = self.counts
        rows = np.zeros((len(self), int(counts.max(initial=1))), dtype=np.int32)
        rows[np.arange(rows.shape[1]) < counts[:, None]] = self.targets
        return rows
