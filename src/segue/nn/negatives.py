"""The negatives of a step: what each target is compared with, and how often each item is expected among them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from segue.transfer import to_device


class Pairs(NamedTuple):
    """Rows and columns of scores that are left out, ordered by row."""

    rows: Int64[Tensor, "E"]
    columns: Int64[Tensor, "E"]


@dataclass(frozen=True, eq=False)
class Negatives:
    """The items in use in a step, and the negatives of each of its T rows.

    Attributes:
        ids: the targets of the rows, then the sampled items.
        first: where the negatives begin in ``ids``: at 0 if the targets of other rows are negatives, else at T.
        excluded: rows and negatives that are not compared.
        log_counts: logarithm of how often each item is expected among the negatives of a row; None where every group
            of rows has negatives of its own.
        group_size: consecutive rows with negatives of their own; 0 if all rows share them. A group's negatives follow
            those of the group before, and ``excluded`` counts columns within the group.
        missing: rows of the first group that come before the first of the T rows.
    """

    ids: Int64[Tensor, "R"]
    first: int
    excluded: Pairs
    log_counts: Float32[Tensor, "R"] | None = None
    group_size: int = 0
    missing: int = 0

    def to(self, device: torch.device) -> "Negatives":
        """Return the negatives on a device."""
        counts = None if self.log_counts is None else to_device(self.log_counts, device)
        excluded = Pairs(*(to_device(one, device) for one in self.excluded))
        return Negatives(to_device(self.ids, device), self.first, excluded, counts, self.group_size, self.missing)

    def part(self, rows: slice, n_rows: int) -> "Negatives":
        """Return what consecutive rows are compared with: the same negatives as among all ``n_rows`` rows T.

        Where the targets of other rows are negatives, those of ``rows`` come first.
        """
        every = torch.arange(len(self.ids))
        own, missing = every[rows], 0
        if self.group_size:
            size = (len(self.ids) - n_rows) // -(-n_rows // self.group_size)
            missing = rows.start % self.group_size
            groups = slice(rows.start // self.group_size, -(-rows.stop // self.group_size))
            order = torch.cat((own, every[n_rows + groups.start * size : n_rows + groups.stop * size]))
        elif self.first:
            order = torch.cat((own, every[self.first :]))
        else:
            order = torch.cat((own, every[: rows.start], every[rows.stop :]))
        first, end = torch.searchsorted(self.excluded.rows, torch.tensor([rows.start, rows.stop])).tolist()
        columns = self.excluded.columns[first:end]
        if not self.first:
            columns = torch.empty_like(order).index_put_((order,), every)[columns]
        excluded = Pairs(self.excluded.rows[first:end] - rows.start, columns)
        counts = None if self.log_counts is None else self.log_counts[order]
        return Negatives(self.ids[order], len(own) if self.first else 0, excluded, counts, self.group_size, missing)
