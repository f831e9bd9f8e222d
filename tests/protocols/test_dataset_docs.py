"""docs/datasets.md says what the code does."""

import re
from pathlib import Path

import segue
from segue.data.synthetic import shop
from segue.protocols.dataset import MEASURING
from segue.protocols.ranking import Ranking

TEXT = (Path(__file__).parent.parent.parent / "docs" / "datasets.md").read_text(encoding="utf-8")


def test_parameters_that_can_be_changed() -> None:
    table = TEXT.split("## What can still be changed\n")[1].split("\n## ")[0]
    names = [name for name in MEASURING if name != "ranking"] + [f"ranking.{name}" for name in Ranking.model_fields]
    assert set(re.findall(r"`protocol\.([\w.]+)`", table)) == set(names)


def test_every_file_is_explained(tmp_path: Path) -> None:
    folder = segue.prepare(shop(200, 0)).save(tmp_path / "set")
    words = set(re.findall(r"`([^`]+)`", TEXT.split("## The folder\n")[1]))
    for file in (file for file in folder.rglob("*") if file.is_file()):
        assert {file.name, file.stem, f"{file.parent.name}/{file.name}", f"{file.name}/"} & words, file
