"""docs/models has a page for every model, and what is generated of it is up to date."""

import runpy
from pathlib import Path

import pytest

import segue

DOCS = Path(__file__).parents[2] / "docs"
GENERATOR = runpy.run_path(str(DOCS / "model_pages.py"))
PAGES: dict[str, Path] = GENERATOR["pages"]()
NAMES = [name for name in PAGES if name != GENERATOR["INDEX"]]
HEADINGS = ["What it is", "When to choose it", "Parameters", "Results", "Source and differences"]


def test_every_model_has_a_page_and_every_page_a_model() -> None:
    assert {path.name for path in PAGES.values()} == {path.name for path in (DOCS / "models").iterdir()}


def test_the_classes_that_the_pages_name_are_public() -> None:
    assert {segue.model_class(name).__name__ for name in NAMES} <= set(segue.__all__)


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_parts_are_up_to_date(name: str) -> None:
    assert PAGES[name].read_text(encoding="utf-8") == GENERATOR["filled"](name), "run: python docs/model_pages.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_all_that_a_reader_looks_for(name: str) -> None:
    parts = PAGES[name].read_text(encoding="utf-8").split("\n## ")
    assert [part.split("\n")[0] for part in parts[1:]] == HEADINGS
    assert all(len(part.split()) > 15 for part in (*parts[1:3], parts[-1]))
    assert all(f"<!-- generated: {part} -->" in "".join(parts) for part in ("head", "parameters", "results"))


def test_results_are_found_by_model() -> None:
    assert "| [Diginetica](../results.md#diginetica) | defaults | Recall@20 .5254 " in GENERATOR["filled"]("vstan")
    film = "| [MovieLens 100K](../results.md#movielens-100k) | window_days 7 | Hit@10 .0774 "
    assert film in GENERATOR["filled"]("popularity")
