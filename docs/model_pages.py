"""Fill the generated parts of docs/models; run it with: python docs/model_pages.py.

Pages are written by hand, except for the parts between ``<!-- generated: NAME -->`` and ``<!-- end -->``:

    head        name, class, description and source of the model, from its class
    parameters  all parameters and presets, from its Config
    results     its rows of docs/results.md, where each section is a log and each table starts with model and setting
    models      the table of all pages, in docs/models/README.md; each page names its family

The tests fail if a page is missing or not up to date.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import segue
from segue.markdown import table
from segue.parameters import describe, flatten, typed

DOCS = Path(__file__).parent
INDEX = "README"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
_FAMILY = re.compile(r"^Family: (.+)$", flags=re.MULTILINE)
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", flags=re.DOTALL | re.MULTILINE)
_TABLE = re.compile(r"^\| model \| setting \|.*\n\|[- |:]+\|\n(?:\|.*\n)+", flags=re.MULTILINE)


def pages() -> dict[str, Path]:
    """Return the file of each page by name: the pages of segue's models, and the index."""
    own = [model.name for model in segue.model_classes() if model.__module__.startswith("segue.")]
    return {name: DOCS / "models" / f"{name}.md" for name in (INDEX, *own)}


def filled(name: str) -> str:
    """Return the text of a page with all generated parts filled."""
    text = pages()[name].read_text(encoding="utf-8")
    return _PART.sub(lambda part: part[1] + _PARTS[part[2]](name) + part[3], text)


def _head(name: str) -> str:
    kind = segue.model_class(name)
    return f"{kind.description()}\n\n`segue run LOG --model {name}` · `segue.{kind.__name__}` · Source: {kind.paper}\n"


def _parameters(name: str) -> str:
    config = segue.model_class(name).Config
    own_first = sorted(describe(config), key=lambda one: "." in one.name)
    rows = [[f"`{one.name}`", typed(one.default), one.rule, one.description] for one in own_first]
    if not rows:
        return "It has no parameters.\n"
    text = table(["parameter", "default", "rule", "meaning"], rows, numbers=False) + "\n"
    changes = {
        preset: ", ".join(f"`{key}={typed(value)}`" for key, value in flatten(values).items())
        for preset, values in config.presets.items()
    }
    presets = [[f"`{preset}`", changed or "the defaults"] for preset, changed in changes.items()]
    return text + ("\n" + table(["preset", "sets"], presets, numbers=False) + "\n" if presets else "")


def _results(name: str) -> str:
    rows = [
        [f"[{title}](../results.md#{_anchor(title)})", setting, "; ".join(figures)]
        for title, setting, figures in _result_rows(name)
    ]
    if not rows:
        return "None in [results](../results.md) yet.\n"
    return table(["log", "setting", "result"], rows, numbers=False) + "\n"


def _result_rows(name: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the section, the setting, and the other cells with the heads of their columns, of each row of a model."""
    for title, section in _SECTION.findall((DOCS / "results.md").read_text(encoding="utf-8")):
        for found in _TABLE.findall(section):
            heads, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in found.splitlines())
            for row in rows:
                if row[0] == f"`{name}`":
                    figures = zip(heads[2:], row[2:], strict=True)
                    yield title, row[1], [f"{head} {cell}" for head, cell in figures if cell]


def _anchor(title: str) -> str:
    """Return what a heading is linked by."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _models(_: str) -> str:
    rows = []
    for name, page in pages().items():
        if name != INDEX:
            kind, (family,) = segue.model_class(name), _FAMILY.findall(page.read_text(encoding="utf-8"))
            rows.append([f"[`{name}`]({name}.md)", family, kind.description(), kind.paper])
    return table(["model", "family", "what it does", "source"], rows, numbers=False) + "\n"


_PARTS: dict[str, Callable[[str], str]] = {
    "head": _head,
    "parameters": _parameters,
    "results": _results,
    "models": _models,
}


if __name__ == "__main__":
    for page_name, path in pages().items():
        path.write_text(filled(page_name), encoding="utf-8")
