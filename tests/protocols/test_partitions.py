"""A pipeline on several partitions gives what it gives on one."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from partitioned_logs import PARAMETERS, make_log
from segue.data.events import SessionBounds, sort_events
from segue.data.partitions import InMemory, PartitionedLog
from segue.protocols.pipeline import Pipeline
from segue.protocols.protocol import Protocol


def cut(log: pl.DataFrame, pieces: int) -> PartitionedLog:
    """Cut a sorted log into partitions of whole sessions."""
    starts = SessionBounds.of(log).starts
    bounds = [0, *starts[np.linspace(0, len(starts) - 1, pieces + 1).astype(int)][1:-1], log.height]
    parts = tuple(log[int(a) : int(b)] for a, b in pairwise(bounds))
    return PartitionedLog(InMemory(), parts)


@pytest.mark.parametrize("pieces", [2, 5])
@pytest.mark.parametrize("ids", ["int", "text"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_partitions_give_what_the_whole_log_gives(name: str, ids: str, pieces: int) -> None:
    for seed in (1, 2):
        log = sort_events(make_log(seed, ids=ids, coarse=pieces == 2))
        protocol = Protocol.named("session-next", PARAMETERS[name])
        whole, parts = Pipeline(protocol), Pipeline(protocol)
        whole.run(PartitionedLog.of(log))
        parts.run(cut(log, pieces))
        assert parts.stages == whole.stages
        assert parts.notes == whole.notes
        assert list(parts.parts) == list(whole.parts)
        for part, expected in whole.parts.items():
            assert parts.parts[part].frame().equals(expected.frame()), part
