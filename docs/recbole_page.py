"""Fill the generated parts of docs/recbole.md; run it with: python docs/recbole_page.py.

The text between ``<!-- generated: NAME -->`` and ``<!-- end -->`` is generated from the tables of models and settings
in ``segue.recbole``. The tests fail if it is not up to date.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from segue.markdown import section, table
from segue.recbole.models import COUNTERPARTS
from segue.recbole.settings import GROUPS, Setting

PAGE = Path(__file__).parent / "recbole.md"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def filled() -> str:
    """Return the text of the page with all generated parts filled."""
    parts = {"models": _models(), "settings": _settings()}
    return _PART.sub(lambda part: part[1] + parts[part[2]] + part[3], PAGE.read_text(encoding="utf-8"))


def _models() -> str:
    rows = [
        [f"`{one.recbole}`", f"[`{one.segue}`](models/{one.segue}.md)", one.kind, one.differs or ""]
        for one in COUNTERPARTS
    ]
    return table(["RecBole", "segue", "tested as", "differences"], rows, numbers=False) + "\n"


def _settings() -> str:
    sections = []
    for heading, settings in GROUPS.items():
        rows = table(["setting", "RecBole's default", "status", "in segue"], map(_row, settings), numbers=False)
        sections += section(heading, rows, level=3)
    return "\n" + "\n".join(sections)


def _row(setting: Setting) -> list[str]:
    default = "" if setting.default is None else f"`{_written(setting.default)}`"
    return [f"`{setting.name}`", default, setting.fate, setting.becomes]


def _written(value: Any) -> str:
    """Return a value as YAML in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=200)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    PAGE.write_text(filled(), encoding="utf-8")
