"""Log lines, on stderr: for people on a terminal, else JSON."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from devicesync.printable import printable


def log_to_stderr(*, verbose: bool) -> None:
    """Log lines go to stderr; below warnings only when `verbose`."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _only_printable,
            # Tracebacks without the variables' values: these may be personal.
            *(
                (structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),)
                if sys.stderr.isatty()
                else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
            ),
        ],
    )


def _only_printable(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A terminal obeys no text from outside."""
    del logger, method
    return {name: printable(value) if isinstance(value, str) and name != "exc_info" else value for name, value in event.items()}
