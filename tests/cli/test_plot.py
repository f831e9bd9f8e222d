"""``segue plot``: what it writes, what it prints, and what it refuses."""

import json
import re
from inspect import signature
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import Outcome, segue, tree

from segue import prepare
from segue.cli.plot import plot
from segue.data.readers.read import read
from segue.data.vocabulary import Vocabulary
from segue.embeddings.options import PlotOptions
from segue.models.als import ALS
from segue.models.blend import Blend
from segue.models.popularity import Popularity
from segue.models.registry import load

DOCS = Path(__file__).parents[2] / "docs" / "embeddings.md"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 60 items in three groups."""
    kinds = np.repeat(np.arange(3), 20)
    vectors = np.eye(3)[kinds] * 3 + np.random.default_rng(0).standard_normal((60, 3))
    table = {"item": range(60), "support": range(1, 61), "name": [f"pan {row}" for row in range(60)]}
    items = pl.DataFrame({**table, "kind": [f"kind {kind}" for kind in kinds]})
    factors = np.vstack([np.zeros((1, 3)), vectors]).astype(np.float32)
    model = ALS(embedding_size=3).restore({"item_factors": factors}, Vocabulary(items))
    return model.save(tmp_path_factory.mktemp("runs") / "shop")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_a_picture_and_prints_the_numbers(artifact: Path, here: Path) -> None:
    outcome = segue("plot", artifact, "--color", "kind", "--neighbours", "pan 7")
    assert (outcome.code, outcome.err) == (0, "")
    assert list(tree(here)) == ["shop-pca.png"]
    assert "of 3 components explain half of the variance" in outcome.out
    assert re.search(r"10 nearest neighbours of the same kind: 0\.\d\d \(by chance 0\.32\)", outcome.out)
    assert re.search(r"^ 7 +pan 7 +- +8 +kind 0", outcome.out, re.MULTILINE)
    assert outcome.out.count("pan ") >= 11
    assert outcome.out.endswith("Wrote shop-pca.png.\n")


def test_a_model_of_a_blend_is_named(artifact: Path, here: Path) -> None:
    als = load(artifact)
    arrays = {"counts": np.arange(61, dtype=np.float32), "seasonal": np.zeros((0, 61), dtype=np.float32)}
    popularity = Popularity().restore(arrays, als.vocabulary)
    blend = Blend.of([als, popularity]).save(here / "blend")
    assert segue("plot", blend, "--stage", "als", "--out", "a.svg").code == 0
    outcome = segue("plot", blend, "--stage", "ranker")
    assert (outcome.code, outcome.err) == (2, "error: stage: must be als or popularity, got 'ranker'\n")


def test_neighbours_can_be_those_by_the_dot_product(artifact: Path, here: Path) -> None:
    outcome = segue("plot", artifact, "--neighbours", "pan 7", "--similarity", "dot")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Ringed: pan 7 and its 10 nearest items, by dot of the vectors" in outcome.out


def test_several_files_come_of_one_layout(artifact: Path, here: Path) -> None:
    outcome = segue("plot", artifact, "--kind", "spectrum", "--out", "a/b.svg", "--out", "c.HTML", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(tree(here)) == ["a", "a/b.svg", "c.HTML"]
    numbers = json.loads(outcome.out)
    assert numbers["written"] == ["a/b.svg", "c.HTML"]
    assert sum(numbers["variance"]["shares"]) == pytest.approx(1)
    assert numbers["purity"] is None


def test_tsne_lowers_its_perplexities_and_says_so(artifact: Path, here: Path) -> None:
    outcome = segue("plot", artifact, "--kind", "tsne", "--perplexity", "2, 30", "--colour", "kind")
    assert outcome.code == 0
    assert "perplexity 30: lowered to 19, for 60 items have no more than 3 x 19 neighbours" in outcome.out
    assert "t-SNE shows which items are close neighbours. Do not interpret" in outcome.out
    assert list(tree(here)) == ["shop-tsne.png"]


def test_tsne_takes_iterations_learning_rate_and_seed(artifact: Path, here: Path) -> None:
    options = ("--kind", "tsne", "--perplexity", "5", "--iterations", "60", "--learning-rate", "50", "--seed", "4")
    outcome = segue("plot", artifact, *options, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    shown = json.loads(outcome.out)["options"]
    assert (shown["iterations"], shown["learning_rate"], shown["seed"]) == (60, 50.0, 4)
    assert json.loads(segue("plot", artifact, "--json").out)["options"]["learning_rate"] == "auto"


def test_the_plane_is_compared_with_random_vectors(artifact: Path, here: Path) -> None:
    outcome = segue("plot", artifact)
    remark = r"^First two components: [\d.]+% of the variance, above the 10% to 25% that are usual"
    assert re.search(remark, outcome.out, re.MULTILINE)
    assert "; 60 random vectors of the same width would have about " in outcome.out
    found = json.loads(segue("plot", artifact, "--json").out)["variance"]
    assert found["first_two"] == pytest.approx(sum(found["shares"][:2]))
    assert 0 < found["first_two_random"] <= 1


def test_metadata_can_come_from_a_table(artifact: Path, here: Path) -> None:
    (here / "items.csv").write_text(
        "code,brand\n" + "".join(f"{row},b{row % 2}\n" for row in range(60)), encoding="utf-8"
    )
    command = ("plot", artifact, "--items", "items.csv", "--columns", "item=code", "--color", "brand", "--json")
    outcome = segue(*command)
    assert json.loads(outcome.out)["purity"]["categories"] == 2


REFUSED = {
    "unknown column": (("--color", "brand"), "color: must be one of popularity, name, kind, got 'brand'"),
    "unknown item": (("--neighbours", "pam 7"), "an item that training has seen, got 'pam 7'; did you mean 'pan 7' ("),
    "unknown kind": (("--kind", "isomap"), "--kind: must be 'pca', 'tsne', 'umap' or 'spectrum', got 'isomap'"),
    "wrong perplexity": (("--perplexity", "1,x"), "--perplexity: must be greater than or equal to 2, got '1'\n"),
    "no iterations": (("--iterations", "0"), "--iterations: must be greater than or equal to 1, got 0"),
    "wrong rate": (("--learning-rate", "0"), "--learning-rate: must be auto, or a number above 0, got '0'"),
    "no perplexity": (("--perplexity", "5,5,5,5,5"), "--perplexity: must be one to 4 numbers, got"),
    "wrong similarity": (("--similarity", "near"), "--similarity: must be 'cosine' or 'dot', got 'near'"),
    "too few items": (("--max-items", "2"), "--max-items: must be greater than or equal to 3, got 2"),
    "wrong suffix": (("--out", "a.png", "--out", "a.pdf"), "out: must end in .png, .svg or .html, got 'a.pdf'"),
    "perplexity of pca": (
        ("--perplexity", "7"),
        "--perplexity: has no effect with kind 'pca', got (7.0,); set kind to tsne, or remove it",
    ),
    "iterations of spectrum": (
        ("--kind", "spectrum", "--iterations", "400"),
        "--iterations: has no effect with kind 'spectrum', got 400; set kind to tsne, or remove it",
    ),
    "rate of umap": (
        ("--kind", "umap", "--learning-rate", "50"),
        "--learning-rate: has no effect with kind 'umap', got 50.0; set kind to tsne, or remove it",
    ),
    "similarity of nothing": (
        ("--similarity", "dot"),
        "--similarity: has no effect without --neighbours or an .html page, got 'dot'; add --neighbours ITEM, or "
        "remove it",
    ),
    "a stage": (("--stage", "ranker"), "stage: must be left out for als, which is one model, got 'ranker'"),
    "no table": (("--items", "absent.csv"), "absent.csv"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_mistakes_are_told_and_nothing_is_written(name: str, artifact: Path, here: Path) -> None:
    options, message = REFUSED[name]
    outcome = segue("plot", artifact, *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert tree(here) == {}


def test_a_place_that_cannot_be_written_to_is_told(artifact: Path, here: Path) -> None:
    (here / "file").write_text("", encoding="utf-8")
    outcome = segue("plot", artifact, "--out", "file/a.png")
    assert (outcome.code, "file/a.png: cannot be written" in outcome.err) == (2, True)


def test_models_without_vectors_and_whole_runs_are_refused(finished: tuple[Path, Outcome], here: Path) -> None:
    data = prepare(read(pl.DataFrame({"session": [0, 0, 1, 1, 2, 2] * 9, "item": [1, 2] * 27})), split="ratio")
    popular = Popularity().fit(data.train).save(here / "popular")
    assert "popularity: has no item vectors" in segue("plot", popular).err
    assert "must be the folder of a model, got a run" in segue("plot", finished[0]).err
    assert segue("plot", finished[0] / "gru4rec", "--out", "a.png").code == 0


def test_each_option_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `--([a-z-]+)[` ]", text, re.MULTILINE))
    options = {name.replace("_", "-") for name in signature(plot).parameters} - {"artifact", "as-json"} | {"json"}
    assert documented == options
    assert {name.replace("_", "-") for name in PlotOptions.model_fields} <= options
