"""Writes docs/explain from the topics of ``segue explain``; run it with: python docs/explain_pages.py.

A chapter is a page, and the index lists all topics. The tests fail where a page is missing or not up to date.
"""

import re
from pathlib import Path

from segue.explain.catalogue import CHAPTERS

FOLDER = Path(__file__).parent / "explain"
INDEX = "README"

_INTRODUCTION = """# Explanations

Short texts on what segue's models, losses, metrics and protocols do: the idea, the formula, a worked example, the
options that control it, the most common mistake, and the papers. The same texts on the command line:

```console
$ segue explain
$ segue explain negative-sampling
```

The numbers of the examples are computed by segue's own functions when a text is shown, and the tests check them against
values worked by hand. Other names lead to a topic as well: `segue explain ndcg`, `segue explain bpr`.
"""


def pages() -> dict[Path, str]:
    """Return the text of each page by its file."""
    chapters = {
        FOLDER / f"{chapter.name}.md": f"# {chapter.title}\n\n"
        + "\n".join(one.markdown(2, link) for one in chapter.topics)
        for chapter in CHAPTERS
    }
    return {FOLDER / f"{INDEX}.md": _index(), **chapters}


def link(page: str) -> str:
    """Return a link to a page of the docs, by its title and that of the section."""
    name, _, anchor = page.partition("#")
    titles = re.findall(r"^#+ (.+)$", (FOLDER.parent / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = [title for title in titles if anchor and _anchor(title) == anchor]
    return f"[{': '.join([titles[0], *sections])}](../{page})"


def _index() -> str:
    lines = [_INTRODUCTION]
    for chapter in CHAPTERS:
        lines.append(f"## {chapter.title}\n")
        lines += [
            f"- [{topic.title}]({chapter.name}.md#{_anchor(topic.title)}): `segue explain {topic.name}`"
            for topic in chapter.topics
        ]
        lines.append("")
    return "\n".join(lines)


def _anchor(title: str) -> str:
    """Return what a heading is linked by."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
