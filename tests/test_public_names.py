import ast
import subprocess
import sys
from pathlib import Path

import segue


def test_every_public_name_is_there_and_is_the_one_that_type_checkers_see() -> None:
    tree = ast.parse(Path(segue.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        (alias.name, node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }
    assert typed == {(name, f"segue.{home}") for name, home in segue._HOMES.items()}
    assert all(getattr(segue, name) is not None for name in segue.__all__)


def test_looking_into_a_log_does_not_load_torch() -> None:
    code = "import sys, segue; segue.prepare, segue.read, segue.Protocol; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
