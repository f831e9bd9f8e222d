"""segue imports on systems without the modules that only POSIX has."""

import re
import subprocess
import sys
from pathlib import Path

import segue

SOURCE = Path(segue.__file__).parent

POSIX_ONLY = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "readline", "syslog")

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import segue
for module in pkgutil.walk_packages(segue.__path__, "segue."):
    importlib.import_module(module.name)
from segue.experiment.environment import _system_peak
print(len([name for name in sys.modules if name.startswith("segue.")]), _system_peak())
"""


def test_every_module_imports_without_what_only_posix_has() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *POSIX_ONLY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules, peak = done.stdout.split()
    assert int(modules) >= len([file for file in SOURCE.rglob("*.py") if file.name != "__init__.py"])
    assert peak == "None"


def test_no_module_calls_what_only_posix_has() -> None:
    calls = re.compile(
        r"\bos\.(fork|getuid|geteuid|pread|pwrite|fchmod|chown|kill|killpg|setsid|uname|mkfifo)\b|SIGKILL"
    )
    files = [file for file in SOURCE.rglob("*.py") if file.parent.name != "serving"]  # A service needs its signals.
    found = [file.name for file in files if calls.search(file.read_text(encoding="utf-8"))]
    assert found == []
