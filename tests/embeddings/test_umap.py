"""UMAP: what it is asked for, and in ``make soak`` what it answers: compiling it takes 15 seconds."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clouds import groups, model_of

from segue import plot
from segue.embeddings.vectors import ItemVectors, category_purity

NOTE = "UMAP runs in one thread, so that its seed fixes the picture"


def test_umap_is_asked_for_one_thread_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    points, asked = groups(count=3), []

    class Stub:
        def __init__(self, **options: Any) -> None:
            asked.append(options)

        def fit_transform(self, vectors: np.ndarray) -> np.ndarray:
            np.testing.assert_array_equal(vectors, points.unit_vectors)
            return vectors[:, :2]

    monkeypatch.setattr("segue.embeddings.projections.library", lambda name: {"umap": SimpleNamespace(UMAP=Stub)}[name])
    found = plot(model_of(points), "umap", seed=7)
    np.testing.assert_array_equal(found.projections[0].points, points.unit_vectors[:, :2])
    assert found.notes == (NOTE,)
    (options,) = asked
    start = options.pop("init")
    assert options == {"n_neighbors": 15, "metric": "cosine", "random_state": 7, "n_jobs": 1}
    assert (start.shape, start.dtype) == ((60, 2), np.float32)
    components = plot(model_of(points), "pca").projections[0].points
    np.testing.assert_allclose(start / start[:, 0].std(), components / components[:, 0].std(), rtol=1e-3, atol=1e-3)


def test_umap_keeps_groups_together_and_repeats_itself() -> None:
    points = groups(count=3)
    one, other = (plot(model_of(points), "umap", seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.projections[0].points, other.projections[0].points)
    found = category_purity(
        ItemVectors(one.projections[0].points.astype(np.float32), points.items), points.items["kind"]
    )
    assert found is not None
    assert found.value > 0.9
    assert one.notes == (NOTE,)
