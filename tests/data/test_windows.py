"""Windows and the batches of next items, against naive loops."""

import numpy as np
import polars as pl
import pytest

from segue.data.batches.next_item import EveryPosition, EveryPrefix
from segue.data.batches.windows import batch_by_length, window_of
from segue.data.sessions import Prefixes, Sessions
from segue.data.vocabulary import Vocabulary
from segue.errors import EmptyDataError


def log(*lengths: int) -> Sessions:
    """Sessions whose event number e holds item e + 1 at second e + 1: an item says where it comes from."""
    n = sum(lengths)
    table = pl.DataFrame({"item": np.arange(n), "support": np.ones(n, dtype=np.int64)})
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    numbers = np.arange(1, n + 1)
    return Sessions(numbers.astype(np.int32), offsets, numbers.astype(np.int64), Vocabulary(table))


LOG = log(1, 2, 5, 3, 23, 1, 8, 2, 12)


def sessions_of(train: Sessions) -> list[list[int]]:
    return [train.items[a:b].tolist() for a, b in zip(train.offsets, train.offsets[1:], strict=False)]


def test_a_window_holds_the_last_events_and_padding_before_them() -> None:
    prefixes = Prefixes(LOG.items, np.array([1, 3, 11]), np.array([3, 8, 12]), LOG.times)
    window = window_of(prefixes, 4)
    assert window.items.tolist() == [[0, 0, 2, 3], [5, 6, 7, 8], [0, 0, 0, 12]]
    assert window.times.tolist() == [[2, 2, 2, 3], [5, 6, 7, 8], [12, 12, 12, 12]]
    assert window_of(prefixes, 9).items.shape == (3, 5)
    assert window_of(prefixes, 4, width=6).items.tolist()[2] == [0, 0, 0, 0, 0, 12]


@pytest.mark.parametrize("longest", [1, 4, 50])
def test_at_every_position_each_event_is_a_target_once_after_what_came_before(longest: int) -> None:
    batches = EveryPosition(LOG, 3, longest, seed=0)
    session_of = np.repeat(np.arange(len(LOG)), LOG.lengths)
    for epoch in range(4):
        targets = []
        for step in range(batches.begin_epoch(epoch)):
            batch = batches.batch(step)
            assert len(batch.window) <= 3
            assert batch.window.items.shape[1] <= longest
            inputs = batch.window.items.reshape(-1)[batch.positions]
            assert (batch.targets == inputs + 1).all()
            assert (session_of[batch.targets - 1] == session_of[inputs - 1]).all()
            assert len(batch.targets) == np.count_nonzero(batch.window.items)
            targets += batch.targets.tolist()
        assert sorted(targets) == [item for session in sessions_of(LOG) for item in session[1:]]


def test_long_sessions_are_cut_at_other_places_in_every_epoch() -> None:
    batches = EveryPosition(LOG, 100, 4, seed=0)
    firsts = []
    for epoch in range(10):
        batches.begin_epoch(epoch)
        items = batches.batch(0).window.items
        firsts.append(tuple(sorted(row[row > 0][0].item() for row in items if 12 <= row.max() <= 34)))
    assert len(set(firsts)) > 2


def test_only_the_most_recent_window_is_kept_on_request() -> None:
    batches = EveryPosition(LOG, 100, 4, seed=0, recent_only=True)
    batches.begin_epoch(0)
    rows = sorted(row[row > 0].tolist() for row in batches.batch(0).window.items)
    assert rows == sorted(session[:-1][-4:] for session in sessions_of(LOG) if len(session) > 1)


@pytest.mark.parametrize(("longest", "width"), [(1, None), (4, None), (50, None), (4, 6)])
def test_every_prefix_is_an_example_once_and_never_holds_its_target(longest: int, width: int | None) -> None:
    batches = EveryPrefix(LOG, 5, longest, seed=0, width=width)
    seen = []
    for step in range(batches.begin_epoch(2)):
        batch = batches.batch(step)
        assert batch.positions is None
        if width is not None:
            assert batch.window.items.shape[1] == width
        seen += [
            (row[row > 0].tolist(), target.item())
            for row, target in zip(batch.window.items, batch.targets, strict=True)
        ]
    naive = [(s[:n][-longest:], s[n]) for s in sessions_of(LOG) for n in range(1, len(s))]
    assert sorted(seen) == sorted(naive)


def test_a_batch_is_a_function_of_seed_epoch_and_step() -> None:
    for kind in (EveryPosition, EveryPrefix):
        one, other = kind(LOG, 4, 5, seed=7), kind(LOG, 4, 5, seed=7)
        one.begin_epoch(0)
        for batches in (one, other):
            batches.begin_epoch(3)
        assert (one.batch(1).window.items == other.batch(1).window.items).all()
        another = kind(LOG, 4, 5, seed=8)
        steps = another.begin_epoch(3)
        assert any(
            one.batch(step).targets.tolist() != another.batch(step).targets.tolist() for step in range(steps - 1)
        )


def test_batches_are_of_similar_length_and_hold_every_example_once() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 5_000)
    batches = batch_by_length(lengths, rng.permutation(5_000), 50, rng)
    assert sorted(np.concatenate(batches).tolist()) == list(range(5_000))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.1 * lengths.sum()


@pytest.mark.parametrize("kind", [EveryPosition, EveryPrefix])
def test_a_log_without_targets_is_refused(kind: type) -> None:
    with pytest.raises(EmptyDataError, match="at least 1 must have two events or more, got 0"):
        kind(log(1, 1), 4, 5, seed=0)
