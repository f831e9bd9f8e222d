"""Log lines as JSON on the standard error."""

import logging
import sys
import time
from typing import Any

from segue.printable import visible
from segue.strict_json import dumps

_FIELDS = ("request_id", "traceparent", "method", "route", "status", "ms")


class JSONFormatter(logging.Formatter):
    """Writes a log line as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": visible(record.getMessage()),
        }
        for name in _FIELDS:
            if (value := getattr(record, name, "")) != "":
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return dumps(line, ascii_only=True)


def start_logging() -> None:
    """Write the log lines of this process as JSON; nothing if there is no standard error."""
    handler = logging.NullHandler() if sys.stderr is None else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    logging.raiseExceptions = False  # A log that cannot be written keeps no request from being answered.
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def report(error: BaseException) -> None:
    """Write what keeps a process from starting."""
    if sys.stderr is not None:
        sys.stderr.write(f"error: {visible(str(error))}\n")
        sys.stderr.flush()
