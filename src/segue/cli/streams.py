"""Standard output and error that take any text, and errors of the system as messages: a full disk, a closed pipe."""

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO

import typer

from segue.errors import SegueError
from segue.printable import one_line

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

_SHARED = ("fit",)
"""Commands that several processes may run together."""

_HANDLER = "segue"
_ASCII = {"─": "-", "●": "o", "·": "-", "→": "->", "–": "-", "—": "-", "…": "...", "±": "+-", "×": "x", "↓": "v"}
_ASCII |= {"≤": "<=", "≥": ">=", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "√": "sqrt", "Σ": "sum", "²": "^2"}
"""What stands for characters of our own output where the encoding of the terminal has none; others are escaped."""


class Closed(Exception):  # noqa: N818 (no error: the reader has what it wanted)
    """The reader of standard output is gone, as ``head`` is after its last line."""


class Interrupted(Exception):  # noqa: N818 (no error)
    """The user pressed Ctrl-C."""


def prepare_streams() -> None:
    """Let standard output and error take any text in any encoding, also where they are closed."""
    codecs.register_error(_HANDLER, _substitute)
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)


def silence_followers() -> None:
    """Let the output of all processes but the first go nowhere, in a command that several processes run."""
    numbers = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")]
    if not (sys.argv[1:] and sys.argv[1] in _SHARED and all(one.isascii() and one.isdigit() for one in numbers)):
        return
    if 0 < int(numbers[0]) < int(numbers[1]):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):  # Also what libraries in C write.
            os.dup2(nowhere, descriptor)


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 (open until the process ends)
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors=_HANDLER)
    return stream


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_ASCII.get(one) or one.encode("unicode_escape").decode() for one in letters), error.end


def check_arguments() -> None:
    """Refuse arguments that are no text, as names of files in another encoding are.

    Raises:
        SegueError: one has bytes that are not in the encoding of file names.
    """
    encoding = sys.getfilesystemencoding()
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            remedy = "rename the file" if encoding == "utf-8" else "set PYTHONUTF8=1"
            raise SegueError(f"{argument}: must be text in {encoding}, the encoding of file names; {remedy}") from error


def print_line(text: str, *, err: bool = False, **style: Any) -> None:
    """Print a line in the encoding of standard output or error; typer's choice for ASCII would be UTF-8."""
    typer.secho(text, file=sys.stderr if err else sys.stdout, **style)


def printable_as_it_is(text: str) -> bool:
    """Say whether standard output has all characters of a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def system_errors() -> Iterator[None]:
    """Turn what the system refuses during a command into messages, and make foreign text in messages visible.

    Raises:
        SegueError: memory, files or space are exhausted, or a file cannot be read.
        Closed: the reader of standard output is gone.
    """
    try:
        yield
    except SegueError:
        raise
    except KeyboardInterrupt as error:  # typer would end the process without a word.
        raise Interrupted from error
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich ends the process.
            raise Closed from error
        raise
    except BrokenPipeError as error:
        raise Closed from error
    except OSError as error:
        if error.errno is None:
            raise
        where = error.filename or ("standard output" if error.errno == errno.ENOSPC else "")
        raise SegueError(f"{where}: {error.strerror}" if where else f"the system refused: {error.strerror}") from error
    except MemoryError as error:
        raise SegueError("memory: this command needs more than there is; use less data") from error
    except RuntimeError as error:  # torch has no class for a CPU that is out of memory.
        if "allocate memory" not in str(error):
            raise
        raise SegueError("memory: this command needs more than there is; use less data") from error
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):  # A mistake in the usage, which typer shows.
            error.message = one_line(message)  # type: ignore[attr-defined]
        raise


def finish_output() -> None:
    """Write what is left of the output, so that errors are seen now and not when Python has ended.

    Raises:
        SegueError: the disk is full.
        Closed: the reader is gone.
    """
    with system_errors():
        sys.stdout.flush()


def discard_output() -> None:
    """Let what is left of the output go nowhere: it could not be written, and Python will try again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def interrupted() -> None:
    """End the command after Ctrl-C: one line, exit code 130."""
    with suppress(OSError, ValueError):
        print("interrupted", file=sys.stderr)
    discard_output()
    sys.exit(INTERRUPTED)
