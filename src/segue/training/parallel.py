"""Data-parallel training: the micro-batches of a step, and what the processes of a training exchange.

A step is divided into micro-batches, and each process computes the gradients of consecutive ones. The gradients are
added as a binary tree over the micro-batches, whose number is a power of two: the part of the tree in one process is a
tree of its own, so the sums, and with them the weights, do not depend on the number of processes, bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed

from segue.errors import ParameterError, ProcessLostError

Gradients = list[Tensor | None]
"""Dense or sparse gradients; None where there is none. Sparse ones are not coalesced."""

_NONE, _DENSE = -2, -1
"""Kinds of gradients; 0 and above: the rows of a sparse one."""


@dataclass(frozen=True)
class Part:
    """A micro-batch: the ``index``-th of ``count`` consecutive parts of a step."""

    index: int = 0
    count: int = 1

    def of(self, rows: int) -> slice:
        """Return the part of so many rows; it may be empty."""
        return slice(self.index * rows // self.count, (self.index + 1) * rows // self.count)


WHOLE = Part()
"""A whole step."""


@dataclass(frozen=True)
class Group:
    """The processes that train one model together; by default, there is only this one.

    Every process calls the same methods in the same order.

    Attributes:
        rank: number of this process, from 0. Process 0 validates, logs and writes.
        size: number of processes R.
        device: where tensors have to be when they are exchanged.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process validates, logs and writes."""
        return self.rank == 0

    def check(self, model: str, micro_batches: int | None) -> None:
        """Refuse a model whose training so many processes cannot share.

        Args:
            model: its name.
            micro_batches: micro-batches of a step; None for a model without them.

        Raises:
            ParameterError: there are several processes, and no micro-batches or not a multiple of the processes.
        """
        if self.size > 1 and micro_batches is None:
            raise ParameterError(
                f"processes: must be 1 for {model}, whose training is not divided into micro-batches, got {self.size}"
            )
        if (micro_batches or 1) % self.size:
            raise ParameterError(
                f"{model}.training.micro_batches: must be a multiple of the {self.size} processes, got "
                f"{micro_batches}; it is a power of two: start 1, 2, 4, ... processes; another value changes the model"
            )

    def parts(self, count: int) -> list[Part]:
        """Return the micro-batches of this process."""
        share = count // self.size
        return [Part(index, count) for index in range(self.rank * share, (self.rank + 1) * share)]

    def sum_gradients(self, gradients: Gradients, like: Sequence[Tensor]) -> Gradients:
        """Add the gradients of all processes; those of this one are used up.

        Dense gradients are added as a tree. Of sparse ones, rows and row numbers are concatenated in the order of the
        processes.

        Args:
            gradients: the sums over the micro-batches of this process.
            like: tensors of their shapes.
        """
        if self.size == 1:
            return gradients
        kinds = self._gather(torch.tensor([[_kind(one) for one in gradients]])).T.tolist()
        total: Gradients = [None] * len(gradients)
        dense = [index for index, found in enumerate(kinds) if _DENSE in found]
        for index in dense:
            one = gradients[index]
            total[index] = torch.zeros_like(like[index]) if one is None else one
        self._sum([one for index in dense if (one := total[index]) is not None])
        for index, found in enumerate(kinds):
            if max(found) >= 0:
                total[index] = self._concatenate(gradients[index], like[index], [max(rows, 0) for rows in found])
        return total

    def gather_rows(self, rows: Shaped[Tensor, "n *D"]) -> Shaped[Tensor, "m *D"]:
        """Return the rows of all processes, in their order."""
        if self.size == 1:
            return rows
        sizes = self._gather(torch.tensor([len(rows)])).tolist()
        return self._gather_uneven(rows, sizes)

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of process 0."""
        if self.size > 1:
            for tensor in tensors:
                sent = tensor.detach().to(self.device).contiguous()
                with self._connected():
                    distributed.broadcast(sent, 0)
                tensor.detach().copy_(sent)

    def agree(self, value: float) -> float:
        """Return the value of process 0."""
        if self.size == 1:
            return value
        number = torch.tensor([value], dtype=torch.float64)
        self.broadcast([number])
        return number.item()

    def agrees(self, digest: bytes) -> bool:
        """Return whether all processes have an equal digest, of equal length."""
        found = self._gather(torch.tensor([list(digest)], dtype=torch.int64)) if self.size > 1 else None
        return found is None or bool((found == found[0]).all())

    def _sum(self, tensors: list[Tensor]) -> None:
        """Add tensors over the processes, in place.

        Each process adds one section of the numbers, so that it sends all of them twice, however many processes there
        are.
        """
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        width = -(-len(flat) // self.size)
        sections = flat.new_zeros(self.size, width)
        sections.view(-1)[: len(flat)] = flat
        sections = sections.to(self.device)
        own = torch.empty_like(sections)
        with self._connected():
            distributed.all_to_all_single(own, sections)
        while len(own) > 1:
            own = own[0::2] + own[1::2]
        with self._connected():
            distributed.all_gather(list(sections), own[0])
        sums = torch.split(sections.view(-1)[: len(flat)], [tensor.numel() for tensor in tensors])
        for tensor, summed in zip(tensors, sums, strict=True):
            tensor.copy_(summed.view_as(tensor))

    def _concatenate(self, one: Tensor | None, like: Tensor, sizes: list[int]) -> Tensor:
        ids, values = (
            (like.new_zeros(0, dtype=torch.int64), like.new_zeros(0, *like.shape[1:]))
            if one is None
            else (one._indices()[0], one._values())
        )
        ids, values = self._gather_uneven(ids, sizes), self._gather_uneven(values, sizes)
        return torch.sparse_coo_tensor(ids.unsqueeze(0), values, like.shape, check_invariants=False)

    def _gather(self, rows: Tensor) -> Tensor:
        """Concatenate tensors of equal shapes."""
        own = rows.to(self.device).contiguous()
        every = [torch.empty_like(own) for _ in range(self.size)]
        with self._connected():
            distributed.all_gather(every, own)
        return torch.cat(every).to(rows.device)

    def _gather_uneven(self, rows: Tensor, sizes: list[int]) -> Tensor:
        longest = max(sizes)
        padded = rows.new_zeros(longest, *rows.shape[1:])
        padded[: len(rows)] = rows
        every = torch.split(self._gather(padded), longest)
        return torch.cat([one[:size] for one, size in zip(every, sizes, strict=True)])

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Turn the loss of another process into an error of segue."""
        try:
            yield
        except RuntimeError as error:
            raise ProcessLostError(self.size) from error


ALONE = Group()
"""This process alone."""


def tree_sum(gradients: Callable[[Part], Gradients], parts: Sequence[Part]) -> Gradients:
    """Add the gradients of micro-batches as a binary tree, in their order.

    Args:
        gradients: computes those of a micro-batch, which may be overwritten.
        parts: the micro-batches; their number is a power of two.
    """
    if len(parts) == 1:
        return gradients(parts[0])
    half = len(parts) // 2
    first, second = tree_sum(gradients, parts[:half]), tree_sum(gradients, parts[half:])
    return [_added(one, other) for one, other in zip(first, second, strict=True)]


def _added(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        found = other if one is None else one
        # Another process sends zeros for None; adding them turns -0.0 into 0.0.
        return found if found is None or found.is_sparse else found.add_(0.0)
    assert one.is_sparse == other.is_sparse
    if not one.is_sparse:
        return one.add_(other)
    ids = torch.cat((one._indices(), other._indices()), dim=1)
    values = torch.cat((one._values(), other._values()))
    return torch.sparse_coo_tensor(ids, values, one.shape, check_invariants=False)


def _kind(one: Tensor | None) -> int:
    return _NONE if one is None else len(one._values()) if one.is_sparse else _DENSE
