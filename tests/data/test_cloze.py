"""The batches of the cloze task, on a log whose item numbers say where they come from."""

import numpy as np
import pytest
from test_windows import LOG, log

from segue.data.batches.cloze import Cloze
from segue.data.batches.next_item import NextItemBatch
from segue.errors import EmptyDataError

MASK = len(LOG.items) + 1


def epoch_of(batches: Cloze, epoch: int = 0) -> list[NextItemBatch]:
    return [batches.batch(step) for step in range(batches.begin_epoch(epoch))]


def filled(batch: NextItemBatch) -> list[list[int]]:
    """The windows with the targets put back, without padding."""
    items = batch.window.items.clone()
    assert (items.reshape(-1)[batch.positions] == MASK).all()
    items.reshape(-1)[batch.positions] = batch.targets
    assert (items < MASK).all()
    return [row[row > 0].tolist() for row in items]


@pytest.mark.parametrize("longest", [2, 5, 50])
def test_a_window_is_a_run_of_one_session_with_its_targets_masked(longest: int) -> None:
    batches = Cloze(LOG, 3, longest, seed=0, mask_ratio=0.3, last_ratio=0.2)
    for epoch in range(5):
        seen = []
        for batch in epoch_of(batches, epoch):
            for items in filled(batch):
                assert 2 <= len(items) <= longest
                assert items == list(range(items[0], items[0] + len(items)))
                assert len(set(np.searchsorted(LOG.offsets, np.array(items) - 1, side="right"))) == 1
                seen += items
            assert (batch.window.items == MASK).any(1).all()
            assert batch.events.tolist() == (batch.targets - 1).tolist()
        assert len(seen) == len(set(seen))
        if longest == 50:
            lone = [
                session[0] + 1
                for session in np.split(np.arange(len(LOG.items)), LOG.offsets[1:-1])
                if len(session) == 1
            ]
            assert sorted([*seen, *lone]) == LOG.items.tolist()


def test_only_the_most_recent_window_is_kept_on_request() -> None:
    batches = Cloze(LOG, 100, 4, seed=0, mask_ratio=0.3, last_ratio=0.0, recent_only=True)
    sessions = [LOG.items[a:b].tolist() for a, b in zip(LOG.offsets, LOG.offsets[1:], strict=False)]
    assert sorted(filled(epoch_of(batches)[0])) == sorted(one[-4:] for one in sessions if len(one) > 1)


@pytest.mark.parametrize("last_ratio", [0.0, 0.3, 1.0])
def test_shares_of_masked_events_and_of_windows_that_mask_their_last_alone(last_ratio: float) -> None:
    wide = log(*[20] * 3_000)
    batches = Cloze(wide, 1_000, 20, seed=0, mask_ratio=0.2, last_ratio=last_ratio)
    masked = np.concatenate([batch.window.items.numpy() for batch in epoch_of(batches)]) == len(wide.items) + 1
    last_alone = masked[:, -1] & (masked.sum(1) == 1)
    by_chance = 0.2 * 0.8**19 + 0.8**20 / 20
    assert abs(last_alone.mean() - (last_ratio + (1 - last_ratio) * by_chance)) < 0.03
    if last_ratio < 1:
        assert abs(masked[~last_alone].mean() - 0.2) < 0.01
        assert abs(masked[~last_alone].mean(0) - 0.2).max() < 0.05


def test_a_batch_is_a_function_of_seed_epoch_and_step() -> None:
    def windows(seed: int, *epochs: int) -> list[list[int]]:
        batches = Cloze(LOG, 4, 5, seed=seed, mask_ratio=0.3, last_ratio=0.2)
        for epoch in epochs:
            steps = batches.begin_epoch(epoch)
        return [batches.batch(step).window.items.tolist() for step in reversed(range(steps))][::-1]

    assert windows(7, 3) == windows(7, 0, 3)
    assert windows(7, 3) != windows(7, 2)
    assert windows(7, 3) != windows(8, 3)


def test_a_log_without_pairs_is_refused() -> None:
    with pytest.raises(EmptyDataError, match="at least 1 must have two events or more, got 0"):
        Cloze(log(1, 1), 4, 5, seed=0, mask_ratio=0.2, last_ratio=0.1)
