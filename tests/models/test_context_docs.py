"""The examples of docs/context.md run."""

import re
from pathlib import Path

TEXT = (Path(__file__).parent.parent.parent / "docs" / "context.md").read_text(encoding="utf-8")


def test_the_examples_run() -> None:
    examples = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(examples) == 3
    exec("".join(examples), {})
