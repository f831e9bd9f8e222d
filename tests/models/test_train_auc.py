"""The sampled train_auc against a loop over all triples, and its bands."""

import numpy as np
import pytest
from chains import browsing, sessions

from segue.evaluation.train_auc import SampledAUC, band
from segue.models.als import ALS
from segue.models.factorisation import training_matrix


def test_sampled_auc_is_that_of_all_triples() -> None:
    """Against a loop over every session, item that it holds, and event whose item it does not hold."""
    log, rng = browsing()[0], np.random.default_rng(0)
    pairs = training_matrix(log, np.ones(len(log.items), dtype=np.float32))
    users, items = rng.normal(size=(len(log), 4)).astype(np.float32), rng.normal(size=(60, 4)).astype(np.float32)
    users += pairs @ items  # Better than chance.
    scores, held = users @ items.T, pairs.toarray() > 0
    weights, right, total = held.sum(axis=0), 0, 0
    for session, row in enumerate(scores):
        for item in np.flatnonzero(held[session]):
            others = np.where(held[session], 0, weights)
            right += others[row[item] > row].sum()
            total += others.sum()
    found = SampledAUC(pairs)(users, items)
    assert found == SampledAUC(pairs)(users, items)
    assert abs(found - right / total) < 0.01
    assert right / total > 0.6


def test_a_session_that_holds_everything_has_no_auc() -> None:
    log = sessions([[1, 2, 3]] * 4, 3)
    assert (
        SampledAUC(training_matrix(log, np.ones(12, dtype=np.float32)))(
            np.ones((4, 2), np.float32), np.ones((3, 2), np.float32)
        )
        is None
    )
    model = ALS(embedding_size=2).fit(log)
    assert "train_auc" not in model.diagnostics
    assert len(model.notes) == 1


@pytest.mark.parametrize(
    ("auc", "name"),
    [
        (1.0, "excellent"),
        (0.95, "excellent"),
        (0.949, "good"),
        (0.9, "good"),
        (0.8, "weak"),
        (0.79, "poor"),
        (0.0, "poor"),
    ],
)
def test_the_bands_of_train_auc(auc: float, name: str) -> None:
    assert band(auc) == name
