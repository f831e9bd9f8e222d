"""Layouts: the same seed gives the same picture, and it keeps what is near."""

import numpy as np
import pytest
from clouds import cloud, groups, model_of

from segue import plot
from segue.embeddings.options import PlotOptions
from segue.embeddings.plot import size_notes
from segue.embeddings.projections import CAPTIONS, TSNE_MAX_ITEMS, tsne_projections, usable_perplexities
from segue.embeddings.vectors import ItemVectors, category_purity
from segue.errors import ParameterError
from segue.progress import Progress


def test_principal_components_are_drawn_as_they_are() -> None:
    found = plot(model_of(groups()), "pca")
    (drawn,) = found.projections
    np.testing.assert_array_equal(drawn.points, found.components.points)
    assert drawn.axes[0] == f"component 1 ({found.components.shares[0]:.1%} of the variance)"


def test_tsne_keeps_groups_together_and_repeats_itself() -> None:
    points = groups(count=4)
    begin = points.vectors[:, :2].astype(np.float64)
    first, second = (
        tsne_projections(points, begin, [5, 20], seed=3, threads=threads, progress=Progress()) for threads in (1, 2)
    )
    assert [drawn.title for drawn in first] == ["perplexity 5", "perplexity 20"]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        flat = ItemVectors(one.points.astype(np.float32), points.items)
        found = category_purity(flat, points.items["kind"])
        assert found is not None
        assert found.value > 0.9
    (again,) = tsne_projections(points, begin, [5], seed=3, threads=1, progress=Progress())
    np.testing.assert_array_equal(again.points, first[0].points)


def tsne(**options: object) -> np.ndarray:
    (drawn,) = plot(model_of(groups()), "tsne", perplexity=[5], **options).projections
    return drawn.points


def test_iterations_learning_rate_and_seed_of_tsne_change_the_layout_and_repeat_it() -> None:
    usual = tsne()
    np.testing.assert_array_equal(usual, tsne(iterations=500, learning_rate="auto", seed=0))
    for options in ({"iterations": 50}, {"learning_rate": 30.0}, {"seed": 1}):
        other = tsne(**options)
        assert np.abs(other - usual).max() > 1e-3, options
        np.testing.assert_array_equal(other, tsne(**options))


def test_a_learning_rate_that_is_too_high_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*arguments: object, **parameters: object) -> np.ndarray:
        return np.full((120, 2), np.nan)

    monkeypatch.setattr("openTSNE.TSNE.fit", diverge)
    message = r"learning_rate: must be so small that t-SNE converges, and with 1e\+09 at perplexity 5 it does not"
    with pytest.raises(ParameterError, match=message):
        tsne(learning_rate=1e9)


def test_equal_vectors_can_be_laid_out() -> None:
    (drawn,) = plot(model_of(cloud(np.ones((20, 3)))), "tsne", perplexity=[5]).projections
    assert np.isfinite(drawn.points).all()


def test_a_perplexity_too_large_for_the_catalogue_is_lowered() -> None:
    assert usable_perplexities([5, 30, 50], 151) == ([5, 30, 50], [])
    assert usable_perplexities([5, 30, 50], 121) == (
        [5, 30, 40],
        ["perplexity 50: lowered to 40, for 121 items have no more than 3 x 40 neighbours"],
    )
    assert usable_perplexities([5, 30, 50], 31)[0] == [5, 10]
    assert usable_perplexities([2], 7) == ([2], [])
    with pytest.raises(ParameterError, match="t-SNE: needs at least 7 items, got 6; use --kind pca instead"):
        usable_perplexities([5], 6)


def test_umap_is_advised_for_large_catalogues_and_sampling_is_said() -> None:
    tsne, pca = PlotOptions(kind="tsne"), PlotOptions()
    assert size_notes(tsne, 50_000) == []
    advice, sampling = size_notes(tsne, TSNE_MAX_ITEMS + 1)
    assert "above 100,000 UMAP is advised" in advice
    assert sampling.startswith("a random sample of 50,000 of 100,001 items is plotted")
    assert size_notes(pca, TSNE_MAX_ITEMS + 1) == [sampling]


def test_of_many_items_a_part_is_drawn_and_the_variance_is_that_of_all() -> None:
    points = groups()
    whole, part = plot(model_of(points)), plot(model_of(points), max_items=30, color="kind")
    assert (part.total, len(part.points), len(part.projections[0].points)) == (120, 30, 30)
    np.testing.assert_array_equal(part.components.shares, whole.components.shares)
    assert part.purity is not None
    assert part.purity.items == 30


def test_captions_say_what_not_to_interpret() -> None:
    for kind in ("tsne", "umap"):
        assert "Do not interpret distances between groups" in CAPTIONS[kind]
        assert "sizes and densities of groups" in CAPTIONS[kind]
