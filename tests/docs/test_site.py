"""The docs site: every public name is in the reference, every page in the navigation."""

import re
import runpy
from pathlib import Path

import yaml

import segue
from segue.docstrings import docstring

ROOT = Path(__file__).parents[2]
SITE = runpy.run_path(str(ROOT / "docs" / "site.py"))


def pages_of(nav: list | dict | str) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(entry)]


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(content for _, content in SITE["reference_pages"]())
    assert sorted(line[4:] for line in text.splitlines() if line.startswith("::: ")) == [
        f"segue.{name}" for name in segue.__all__ if name != "__version__"
    ]


def test_every_public_class_and_function_has_a_docstring() -> None:
    assert [
        name for name in segue.__all__ if callable(getattr(segue, name)) and not docstring(getattr(segue, name))
    ] == []


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    models = {page for page in pages if page.startswith("models/") and page != "models/README.md"}
    generated = {path for path, _ in SITE["root_pages"]()} | {"reference/"}
    assert set(pages_of(config["nav"])) == (pages - models) | generated


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 165


def test_the_workflow_runs_make_test_on_every_declared_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert versions
    assert all(f'"Programming Language :: Python :: {version}"' in project for version in versions)
    assert {"run": "make test"} in workflow["jobs"]["test"]["steps"]


def test_the_readme_names_one_protocol() -> None:
    hashes = re.findall(r"\b(?=\w*\d)[0-9a-f]{12}\b", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
