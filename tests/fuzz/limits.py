"""Runs commands of segue in a process with limits, so that a crash, a hang or a bomb is a failure and not the end.

One process runs case after case, and is replaced when it dies. A case may take ``SECONDS`` of the processor, and three
times its input plus ``EXTRA_MB`` of memory, on top of what it began with. The time is that of the processor since many
commands read whole logs, and would fail when another process slows them down; whatever waits without it is ended after
``_WAIT`` seconds on the clock.
"""

import io
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

SEED = int(os.environ.get("SEED", "0"))
"""Of all cases: SEED=7 make fuzz makes others."""
SECONDS, EXTRA_MB = 10.0, 300
_START_SECONDS, _WAIT = 240, 60
_ADDRESS_SPACE_MB = 16_384


@dataclass(frozen=True)
class Answer:
    """How a command ended: its exit code, or why there is none; what it wrote; its seconds and its added memory."""

    code: int
    text: str
    seconds: float
    memory_mb: float

    def problem(self, input_bytes: int) -> str:
        """Return which rule the command broke; nothing if it kept all."""
        if self.code not in (0, 2, 130):
            return f"exit code {self.code}: {self.text[-1500:]}"
        if "Traceback (most recent call last)" in self.text:
            return f"traceback: {self.text[-1500:]}"
        if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", self.text):
            return f"control characters: {self.text[-500:]!r}"
        if len(self.text) > 100_000:
            return f"{len(self.text):,} characters of messages: {self.text[:300]}"
        if self.seconds > SECONDS:
            return f"{self.seconds:.0f} seconds"
        if self.memory_mb > 3 * input_bytes / 2**20 + EXTRA_MB:
            return f"{self.memory_mb:.0f} MB for an input of {input_bytes:,} bytes"
        return ""


class Runner:
    """Runs commands, one after the other, in a process that ``worker`` runs in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: Sequence[str]) -> Answer:
        """Run one command in the folder."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(list(arguments)) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 2 * _WAIT)
        line = process.stdout.readline() if ready else ""
        if not line:
            process.kill()
            process.wait()
            self._process = None
            return Answer(process.returncode if ready else -signal.SIGALRM, "the process ended", 0.0, 0.0)
        return Answer(**json.loads(line))

    def _start(self) -> "subprocess.Popen[str]":
        variables = {**os.environ, "COLUMNS": "80", "RUST_BACKTRACE": "0", "SEGUE_DATA": ""}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env=variables,
        )
        assert self._process.stdout is not None
        began, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        first = self._process.stdout.readline() if began else "nothing"
        assert first == "ready\n", first
        return self._process

    def end(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()  # type: ignore[union-attr]
            self._process.stdout.close()  # type: ignore[union-attr]


@contextmanager
def runner(folder: Path) -> Iterator[Runner]:
    """Yield what runs commands in a folder."""
    one = Runner(folder)
    try:
        yield one
    finally:
        one.end()


def worker() -> None:
    """Read arguments from standard input, one JSON list a line, and answer each on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_MB << 20, _ADDRESS_SPACE_MB << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import torch  # noqa: F401 (what every case would import first, and measure as its own)

    import segue.experiment.run  # noqa: F401
    from segue.cli.main import main

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_one(main, json.loads(line))), file=answers, flush=True)


def _one(main, arguments: list[str]) -> dict[str, object]:
    out, started, code = io.StringIO(), time.process_time(), 0
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Begins a new peak of resident memory.
    before = _peak_mb()
    sys.argv = ["segue", *arguments]
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, _WAIT)
    with redirect_stdout(out), redirect_stderr(out):
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            code = 1
            traceback.print_exc()
    signal.setitimer(signal.ITIMER_REAL, 0)
    text = out.getvalue().encode("utf-8", "backslashreplace").decode()
    return {"code": code, "text": text, "seconds": time.process_time() - started, "memory_mb": _peak_mb() - before}


def _too_long(*_: object) -> None:
    raise TimeoutError("the command took too long")


def _peak_mb() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    worker()
