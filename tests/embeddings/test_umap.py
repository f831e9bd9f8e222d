"""UMAP, in a file of its own: compiling it takes 15 seconds."""

import numpy as np
from clouds import groups, model_of

from segue import plot
from segue.embeddings.vectors import ItemVectors, category_purity


def test_umap_keeps_groups_together_and_repeats_itself() -> None:
    points = groups(count=3)
    one, other = (plot(model_of(points), "umap", seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.projections[0].points, other.projections[0].points)
    found = category_purity(
        ItemVectors(one.projections[0].points.astype(np.float32), points.items), points.items["kind"]
    )
    assert found is not None
    assert found.value > 0.9
    assert one.notes == ("UMAP runs in one thread, so that its seed fixes the picture",)
