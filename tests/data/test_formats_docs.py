"""docs/formats.md says what the code does."""

import re
from pathlib import Path

from segue.data.ingest.columns import COLUMN_ALIASES
from segue.data.ingest.time_formats import NAMES
from segue.data.readers.folder import LOG_NAMES, PART_NAMES
from segue.data.readers.formats import FORMATS
from segue.data.readers.public_logs import MOVIELENS

TEXT = (Path(__file__).parent.parent.parent / "docs" / "formats.md").read_text(encoding="utf-8")


def section(title):
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title):
    """First cells of the table in a section, with the rest of their rows."""
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", section(title), flags=re.MULTILINE))


def test_formats():
    assert set(rows("Formats")) == set(FORMATS)


def test_names_of_columns():
    documented = {role: tuple(re.findall(r"`([^`]+)`", names)) for role, names in rows("Columns").items()}
    assert documented == dict(COLUMN_ALIASES)


def test_formats_of_times():
    documented = re.findall(
        r"`([^`]+)`", "".join(re.findall(r"^\| (`\w+`.*?) \|", section("Time").split("| format |")[1], re.M))
    )
    assert sorted(documented) == sorted(NAMES)


def test_names_of_files():
    words = set(re.findall(r"`([^`]+)`", section("Folders")))
    assert {name for names in PART_NAMES.values() for name in names} | set(LOG_NAMES) <= words
    assert set(MOVIELENS) <= set(re.findall(r"`([^`]+)`", section("Metadata")))
