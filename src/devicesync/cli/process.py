"""What long-running commands share: stopping on signals, log lines on stderr, a progress bar on a terminal."""

import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from devicesync.errors import DevicesyncError
from devicesync.printable import printable


class Stop(threading.Event):
    """Set when a command is asked to stop; `why` says by what, "" until then."""

    why = ""


def stop_on_signals() -> Stop:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C interrupts at once. Call it first in a long-running command."""
    _calm_garbage_collector()
    stop = Stop()

    def ask_to_stop(number: int, frame: object) -> None:
        del frame
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.why = signal.Signals(number).name
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


@contextmanager
def running(command: str, what: str, stop: Stop) -> Iterator[None]:
    """Log that a command runs, and when the body ends, why. Where it fails, this ends the process with the error's status."""
    log: Any = structlog.get_logger("devicesync")
    _say(log.info, f"devicesync {command}: {what} Ctrl-C stops.")
    try:
        yield
    except DevicesyncError as error:
        _say(log.error, f"devicesync {command}: {error}", hint=error.hint)
        raise SystemExit(error.exit_status) from error
    _say(log.info, f"devicesync {command}: " + (f"stopped by {stop.why}" if stop.why else "done, nothing is left to do"))


def _say(log: Callable[..., None], text: str, **fields: str) -> None:
    log(text, **fields)


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


@contextmanager
def progress_bar(title: str, total: int | None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
    """A function to call with each advance; draws a bar on a terminal, nothing in a pipe. total None: not known."""
    if not sys.stderr.isatty():
        yield lambda advance: None
        return
    from rich import progress  # noqa: PLC0415 - only on a terminal
    from rich.console import Console  # noqa: PLC0415 - only on a terminal

    done = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
    columns = (progress.TextColumn(title), progress.BarColumn(), done, progress.TimeRemainingColumn())
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda advance: bar.advance(task, advance)


def _calm_garbage_collector() -> None:
    """Batches are very many small tuples and no cycles: at its default the collector takes a sixth of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
