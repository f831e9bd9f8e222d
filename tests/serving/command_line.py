"""The command line in this process, as the tests of ``tests/cli`` call it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "cli"))
from command import segue

__all__ = ["segue"]
