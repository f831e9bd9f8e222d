"""Without its libraries the package says what to install."""

import runpy
import sys

import pytest

import segue.tuning
from segue.errors import MissingExtraError


@pytest.mark.parametrize("library", ["optuna", "vl_convert"])
def test_the_extra_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r'segue tune needs the extra .tune.: pip install "segue\[tune\]"'):
        runpy.run_path(str(segue.tuning.__file__))
