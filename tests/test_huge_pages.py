"""Large tensors use huge pages where the system has them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
USE = """
import segue, torch
table = torch.ones(16 << 20)
print(next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")))
"""


def _huge_kilobytes(**chosen: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"} | chosen
    answer = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=True)
    return int(answer.stdout)


@pytest.mark.skipif(
    not MODE.exists() or "[madvise]" not in MODE.read_text(encoding="utf-8"),
    reason="needs Linux with huge pages on request",
)
def test_large_tensors_use_huge_pages_unless_the_user_says_no() -> None:
    assert _huge_kilobytes() > 2_000  # Of 65,536; the system may be short of them.
    assert _huge_kilobytes(THP_MEM_ALLOC_ENABLE="0") == 0
