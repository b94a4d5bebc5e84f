"""Structured logs on stderr: JSON for machines, lines for people. Never the text of a message."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Says at every start that an optional kernel package is not there.
_CHATTY = ("bitsandbytes",)


class _TextFormatter(logging.Formatter):
    """`12:30:01 INFO message key=value`"""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in _PLAIN)
        return f"{line} {fields}".rstrip()


def configure(style: Literal["auto", "text", "json"]) -> None:
    """Sends all logs to stderr; "auto" is text on a terminal and JSON elsewhere."""
    handler = logging.StreamHandler(sys.stderr)
    if style == "text" or (style == "auto" and sys.stderr.isatty()):
        handler.setFormatter(_TextFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}", style="{", rename_fields={"asctime": "time", "levelname": "level", "name": "logger"}
            )
        )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
