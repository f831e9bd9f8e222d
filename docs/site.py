"""Generated pages of the docs site: the API reference, the navigation of model pages, and files of the root folder.

The reference has one page per part of segue with all its public names, taken from the table of public names.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import segue

ROOT = Path(__file__).parent.parent

PARTS = {
    "data": ("Logs", "Read a click log, and the objects that represent it."),
    "protocols": ("Protocols", "Clean, split and encode a log."),
    "models": ("Models", "The model classes and their common interface."),
    "training": ("Training", "Training settings and devices."),
    "evaluation": ("Evaluation", "Evaluate models, and check results for leaks."),
    "experiment": ("Experiments", "Train and compare several models; train one for production."),
    "recbole": ("RecBole", "Run configurations of RecBole."),
    "model_selection": ("Model selection", "Find the best model of a log within a budget of time."),
    "tuning": ("Tuning", "Search the parameters of a model."),
    "embeddings": ("Item embeddings", "Plot the item vectors of a model."),
    "errors": ("Errors", "All errors derive from `SegueError`."),
}
"""Title and first sentence of the page of each part, by the first word of the module that defines a name."""


def public_names() -> dict[str, list[str]]:
    """Return the public names of each part."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in segue.__all__:
        if name != "__version__":
            parts[segue._HOMES[name].partition(".")[0]].append(name)
    return {part: names for part, names in parts.items() if names}


def reference_pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each page of the reference."""
    for part, names in public_names().items():
        title, text = PARTS[part]
        yield f"reference/{part}.md", f"# {title}\n\n{text}\n\n" + "".join(f"::: segue.{name}\n\n" for name in names)


def root_pages() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of the files of the root folder that are also pages, with adapted links."""
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        yield name.lower(), re.sub(r"\]\(docs/", "](", text)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the generated pages into the navigation."""
    models = sorted(path.name for path in (ROOT / "docs" / "models").glob("*.md") if path.name != "README.md")
    for entry in config.nav or []:
        if "Reference" in entry:
            entry["Reference"] = [{PARTS[part][0]: f"reference/{part}.md"} for part in public_names()]
        if "Models" in entry:
            entry["Models"] += [{"All models": [f"models/{name}" for name in models]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in (*reference_pages(), *root_pages()):
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links from a page to the root of the repository lead to the page of the site."""
    return markdown.replace("](../CONTRIBUTING.md", "](contributing.md").replace("](../CHANGELOG.md", "](changelog.md")
