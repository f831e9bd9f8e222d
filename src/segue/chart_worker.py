"""Draws charts in a process of its own, which may run out of memory or files without taking a run with it.

Run as a file, so that it imports vl-convert and nothing of segue. It reads one JSON request per line, a name of
``_DRAW`` with a specification and a scale, and answers each with a header line (``ok`` or ``error``, and a length) and
as many bytes.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import vl_convert

_DRAW: dict[str, Callable[[Any, float], bytes]] = {
    "svg": lambda spec, scale: vl_convert.vegalite_to_svg(spec).encode(),
    "png": lambda spec, scale: vl_convert.vegalite_to_png(spec, scale=scale),
    "libraries": lambda spec, scale: vl_convert.javascript_bundle().encode(),  # type: ignore[call-arg]
}


def main() -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin.buffer:
        kind, spec, scale = json.loads(line)
        try:
            status, content = "ok", _DRAW[kind](spec, scale)
        except Exception as error:
            status, content = "error", str(error).encode()
        sys.stdout.buffer.write(f"{status} {len(content)}\n".encode() + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
