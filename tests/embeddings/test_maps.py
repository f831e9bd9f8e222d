"""Layouts: the same seed gives the same picture, and it keeps what is near."""

import numpy as np
import pytest
from clouds import cloud, groups, model_of

from segue import plot
from segue.embeddings.cloud import Cloud
from segue.embeddings.maps import FOR_TSNE, NOT_TO_BE_READ, fitting, tsne_maps
from segue.embeddings.neighbours import category_purity
from segue.embeddings.options import PlotOptions
from segue.embeddings.plot import _on_size
from segue.errors import ParameterError
from segue.progress import Progress


def test_principal_components_are_drawn_as_they_are() -> None:
    found = plot(model_of(groups()), "pca")
    (drawn,) = found.maps
    np.testing.assert_array_equal(drawn.points, found.variance.points)
    assert drawn.axes[0] == f"component 1 ({found.variance.shares[0]:.1%} of the variance)"


def test_tsne_keeps_groups_together_and_repeats_itself() -> None:
    points = groups(count=4)
    begin = points.vectors[:, :2].astype(np.float64)
    first, second = (
        tsne_maps(points, begin, [5, 20], seed=3, threads=threads, progress=Progress()) for threads in (1, 2)
    )
    assert [drawn.title for drawn in first] == ["perplexity 5", "perplexity 20"]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        flat = Cloud(one.points.astype(np.float32), points.items)
        found = category_purity(flat, points.items["kind"])
        assert found is not None
        assert found.value > 0.9
    (again,) = tsne_maps(points, begin, [5], seed=3, threads=1, progress=Progress())
    np.testing.assert_array_equal(again.points, first[0].points)


def test_equal_vectors_can_be_laid_out() -> None:
    (drawn,) = plot(model_of(cloud(np.ones((20, 3)))), "tsne", perplexity=[5]).maps
    assert np.isfinite(drawn.points).all()


def test_a_perplexity_too_large_for_the_catalogue_is_lowered() -> None:
    assert fitting([5, 30, 50], 151) == ([5, 30, 50], [])
    assert fitting([5, 30, 50], 121) == (
        [5, 30, 40],
        ["perplexity 50: lowered to 40, for 121 items have no more than 3 x 40 neighbours"],
    )
    assert fitting([5, 30, 50], 31)[0] == [5, 10]
    assert fitting([2], 7) == ([2], [])
    with pytest.raises(ParameterError, match="t-SNE: needs at least 7 items, got 6; draw the kind pca instead"):
        fitting([5], 6)


def test_umap_is_advised_for_large_catalogues_and_sampling_is_said() -> None:
    tsne, pca = PlotOptions(kind="tsne"), PlotOptions()
    assert _on_size(tsne, 50_000) == []
    advice, sampling = _on_size(tsne, FOR_TSNE + 1)
    assert "above 100,000 UMAP is advised" in advice
    assert sampling.startswith("50,000 of 100,001 items are drawn, at random")
    assert _on_size(pca, FOR_TSNE + 1) == [sampling]


def test_of_many_items_a_part_is_drawn_and_the_variance_is_that_of_all() -> None:
    points = groups()
    whole, part = plot(model_of(points)), plot(model_of(points), max_items=30, color="kind")
    assert (part.total, len(part.cloud), len(part.maps[0].points)) == (120, 30, 30)
    np.testing.assert_array_equal(part.variance.shares, whole.variance.shares)
    assert part.purity is not None
    assert part.purity.items == 30


def test_what_may_not_be_read_is_said() -> None:
    for kind in ("tsne", "umap"):
        assert "may not be read" in NOT_TO_BE_READ[kind]
        assert "distances between groups, sizes" in NOT_TO_BE_READ[kind]
