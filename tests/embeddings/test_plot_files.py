"""Files: whole, repeatable, and nothing in a name is markup."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from clouds import HOSTILE, cloud, groups, model_of

from segue import charts, plot
from segue.embeddings.plot import EmbeddingPlot, figure
from segue.errors import ParameterError, StorageError


def texts(plot: EmbeddingPlot) -> list[str]:
    """Return all texts of a picture."""
    root = ElementTree.fromstring(charts.render_svg(figure(plot)))
    return [part.text or "" for part in root.iter() if part.tag.endswith(("text", "tspan"))]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_picture_is_the_same_file(suffix: str, tmp_path: Path) -> None:
    found = plot(model_of(groups()), color="kind", neighbours="103")
    one, other = (found.write(tmp_path / f"{name}{suffix}") for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    assert len(one.read_bytes()) < 250_000
    assert {path.name for path in tmp_path.iterdir()} == {f"one{suffix}", f"other{suffix}"}


def test_numbers_and_warnings_stand_in_the_picture() -> None:
    shown = "\n".join(texts(plot(model_of(groups()), color="kind", neighbours="103")))
    assert re.search(r"10 nearest neighbours of the same kind: 0\.9\d \(by chance 0\.16\)", shown)
    assert "components explain half of the variance" in shown
    assert "Ringed: Product 3 and its 10 nearest items" in shown
    for number in range(6):
        assert f"kind {number}" in shown
    noise = np.random.default_rng(0).standard_normal((200, 8))
    assert "! no structure" in "\n".join(texts(plot(model_of(cloud(noise)))))


def test_tsne_says_what_not_to_interpret_under_each_perplexity() -> None:
    shown = texts(plot(model_of(groups(count=2)), "tsne", perplexity=[2, 5]))
    assert "t-SNE shows which items are close neighbours" in " ".join(shown)
    assert {"perplexity 2", "perplexity 5"} <= set(shown)


@pytest.mark.parametrize(
    ("first", "step", "tick"), [(1930.0, 1.7, "1950"), (0.0, 0.001, "0.02"), (1e6, 2e5, "2000000")]
)
def test_the_legend_writes_numbers_out(first: float, step: float, tick: str) -> None:
    points = cloud(np.random.default_rng(0).standard_normal((40, 4)), year=[first + step * row for row in range(40)])
    shown = texts(plot(model_of(points), color="year"))
    assert tick in shown
    assert not [text for text in shown if "e+" in text]


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    kinds = ["$x^2$", HOSTILE, "品名", None] * 10
    names = [f"$\\frac{{{number}$" for number in range(40)]
    points = cloud(np.random.default_rng(0).standard_normal((40, 4)), kind=kinds, name=names)
    found = plot(model_of(points), color="kind", neighbours="100")
    found.write(tmp_path / "a.png")
    assert {"$x^2$", "品名", "not known"} <= set(texts(found))
    root = ElementTree.parse(found.write(tmp_path / "a.svg")).getroot()
    assert not [part for part in root.iter() if part.tag.endswith("script")]


@pytest.mark.parametrize(
    "vectors", [np.ones((5, 3)), np.eye(3), np.arange(6.0)[:, None]], ids=["equal", "three", "one number"]
)
@pytest.mark.parametrize("kind", ["pca", "spectrum"])
def test_the_smallest_clouds_can_be_drawn(vectors: np.ndarray, kind: str, tmp_path: Path) -> None:
    points = cloud(vectors, price=[1.0] * len(vectors))
    assert plot(model_of(points), kind, color="price").write(tmp_path / "a.png").stat().st_size > 0


def test_many_items_are_one_image_in_an_svg(tmp_path: Path) -> None:
    points = cloud(np.random.default_rng(0).standard_normal((6000, 3)), kind=["a", "b"] * 3000)
    found = plot(model_of(points), color="kind").write(tmp_path / "a.svg")
    root = ElementTree.parse(found).getroot()
    assert [part.tag.rpartition("}")[2] for part in root.iter()].count("image") == 1
    assert len(found.read_bytes()) < 600_000
    assert {"a", "b"} <= {part.text for part in root.iter()}


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    found = plot(model_of(groups()))
    with pytest.raises(ParameterError, match=r"out: must end in \.png, \.svg or \.html, got '.*a\.pdf'"):
        found.write(tmp_path / "a.pdf")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be written"):
        found.write(tmp_path / "file" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_absent_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from segue.errors import MissingExtraError

    found = plot(model_of(groups()))
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(MissingExtraError, match=r'needs the extra .plot.: pip install "segue\[plot\]"'):
        plot(model_of(groups()))
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    for suffix in ("png", "svg", "html"):
        with pytest.raises(MissingExtraError, match=r'needs the extra .report.: pip install "segue\[report\]"'):
            found.write(tmp_path / f"a.{suffix}")
    assert not list(tmp_path.iterdir())
