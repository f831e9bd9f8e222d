"""`segue export` on the command line."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command import segue

from segue.data.sessions import Sessions
from segue.data.vocabulary import Vocabulary
from segue.models.markov import Markov


@pytest.fixture
def markov(tmp_path: Path) -> Path:
    vocabulary = Vocabulary.from_items(pl.Series("item", [7, 8, 9]))
    train = Sessions(np.array([1, 2, 2, 3], dtype=np.int32), np.array([0, 2, 4]), None, vocabulary)
    return Markov().fit(train).save(tmp_path / "markov")


def test_mistakes_end_in_one_message(markov: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra 'onnx'")
    out = tmp_path / "m.onnx"
    for says, words in {
        "markov: cannot be exported to ONNX: it is no network": [str(markov), "--out", str(out)],
        "nothing: does not exist": [str(tmp_path / "nothing"), "--out", str(out)],
        "Is a directory": [str(markov), "--out", str(tmp_path)],
    }.items():
        outcome = segue("export", *words)
        assert outcome.code == 2, outcome.err
        assert says in outcome.err
        assert not out.exists()
