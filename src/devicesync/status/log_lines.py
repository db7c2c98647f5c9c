"""Log lines, on stderr: text for people, JSON for programs."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from devicesync.printable import printable

Format = Literal["json", "text"]


def log_to_stderr(level: str = "info", form: Format | None = None) -> None:
    """Log lines of this level and above go to stderr. form: None for text on a terminal, else JSON."""
    is_terminal = sys.stderr.isatty()
    as_text = is_terminal if form is None else form == "text"
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _only_printable,
            # Tracebacks without the variables' values: these may be personal.
            *(
                (structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback),)
                if as_text
                else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
            ),
        ],
    )


def _only_printable(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A terminal obeys no text from outside."""
    del logger, method
    return {name: printable(value) if isinstance(value, str) and name != "exc_info" else value for name, value in event.items()}
