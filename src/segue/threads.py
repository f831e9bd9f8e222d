"""Distribute rows over threads, for compiled loops that release the interpreter lock.

Plain threads, and no parallel loops of numba: these are OpenMP's, whose threads burn a core while they wait and thereby
slow down everything else in the process, and concurrent callers (as in a server) are not safe with all of its
backends.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch

_VARIABLES = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables that torch takes its number of threads from; the first one that is set counts."""


def worker_threads(workers: int) -> int:
    """Return the threads of each of several worker processes: an equal share of the cores, or what the user has set."""
    if workers == 1 or any(name in os.environ for name in _VARIABLES):
        return torch.get_num_threads()
    return max(1, (os.cpu_count() or 1) // workers)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute a block in one thread, for results that must not depend on their number: products of matrices do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def other_threads(before: int, now: int) -> str:
    """Say that a training was started with another number of threads, and how to set that number."""
    name = next((name for name in _VARIABLES if name in os.environ), _VARIABLES[-1])
    return f"{before} {'thread' if before == 1 else 'threads'}, got {now}: put {name}={before} before the command"


def share_rows(rows: int, work: Callable[[slice], None], *, least: int = 16) -> None:
    """Call ``work`` for consecutive slices that together are all rows, in as many threads as torch may use.

    Args:
        rows: how many rows there are.
        work: does the rows of a slice, and writes nothing that another slice touches.
        least: rows below which a further thread does not pay.
    """
    threads = min(torch.get_num_threads(), rows // least)
    if threads <= 1:
        work(slice(0, rows))
        return
    cuts = np.linspace(0, rows, threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, (slice(start, end) for start, end in pairwise(cuts))))
