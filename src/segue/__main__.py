"""``python -m segue``, and the script ``segue``: the command line, which can be interrupted at any time."""

import os
import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C ends it with one line and exit code 130, also while it is imported."""
    try:
        try:
            from segue.cli.main import main as run  # noqa: PLC0415 (the import takes long enough to be interrupted)

            run()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        _leave()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            _leave()
        raise


def _leave() -> None:
    """End the process; Python would end it by the signal if a KeyboardInterrupt had passed through ``exec``."""
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
