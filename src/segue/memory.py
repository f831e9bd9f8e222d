"""How much memory this process may still take."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

with suppress(ImportError):  # Windows has none.
    import resource

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes that this process may still take: of the machine, its control groups and its own limit.

    Where the system does not tell, it is the memory of the machine, or ``sys.maxsize``.
    """
    return max(0, min([sys.maxsize, *_of_machine(), *_of_groups(), *_of_process()]))


def _of_machine() -> Iterator[int]:
    if found := re.search(r"^MemAvailable: *(\d+) kB$", _text(_PROC / "meminfo"), re.MULTILINE):
        yield int(found[1]) << 10
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_groups() -> Iterator[int]:
    """Yield what is left of the limit of each control group above this process (cgroup v2); containers have one."""
    found = re.search(r"^0::/(.*)$", _text(_PROC / "self/cgroup"), re.MULTILINE)
    group = _GROUPS / (found[1] if found else "")
    for folder in (group, *group.parents):
        limit, used = _text(folder / "memory.max").strip(), _text(folder / "memory.current").strip()
        if limit.isdigit() and used.isdigit():
            cache = re.search(r"^inactive_file (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
            yield int(limit) - int(used) + (int(cache[1]) if cache else 0)


def _of_process() -> Iterator[int]:
    if "resource" in globals():
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = _text(_PROC / "self/statm").split()
            yield limit - (int(pages[0]) * resource.getpagesize() if pages else 0)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
