"""A command's terminal: stopping on signals, and what is shown while a job goes on."""

import argparse
import os
import signal
import sys
import threading
from _thread import start_new_thread  # threading.Thread.start() takes a lock that this thread may hold too
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import structlog

from devicesync.assembly.long_run import LongRun
from devicesync.assembly.process_memory import keep_memory_small
from devicesync.assembly.watcher import Advance
from devicesync.cli.outcome import say
from devicesync.clock import SYSTEM
from devicesync.errors import DevicesyncError
from devicesync.printable import printable

AGAIN_SECONDS = 12.0
"""So long a command may take to stop whose work comes again on the next start: what it does at a kill, it may do itself."""
_COMES_AGAIN = "what was under way comes again on the next start"
_log: Any = structlog.get_logger("devicesync")


class Stop(threading.Event):
    """Set when a command is asked to stop; `why` says by what, "" until then."""

    why = ""


def stop_on_signals(most_seconds: float | None = None) -> Stop:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C interrupts at once. Call it first in a long-running command.

    Another thread sets it: a signal may come while this one, in wait(), holds the event's lock, and would then wait for itself.
    most_seconds: after so many the process ends with status 0, whatever it waits for. None: never.
    """
    stop = Stop()

    def ask_to_stop(number: int, frame: object) -> None:
        del frame
        if (stop.why or stop.is_set()) and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.why = signal.Signals(number).name
        start_new_thread(stop.set, ())
        if most_seconds is not None:
            start_new_thread(_end_after, (most_seconds,))

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    keep_memory_small()
    return stop


def _end_after(seconds: float) -> None:
    """A frozen server may keep each call for 10 s, and a batch has many. Whoever started us would kill us: so may we."""
    from devicesync.jobs.shared.patience import waited_for

    SYSTEM.sleep(seconds)
    _log.warning("stopped without waiting any longer", waits_for=waited_for() or "what is under way", hint=_COMES_AGAIN)
    os._exit(0)


def long_run(command: str, arguments: argparse.Namespace, most_seconds: float | None = None) -> LongRun:
    """The run of a command that keeps running, until a signal stops it. Call it first, as stop_on_signals."""
    stop = stop_on_signals(most_seconds)
    until_caught_up = getattr(arguments, "until_caught_up", False)
    return LongRun(stop, Terminal(command, stop), until_caught_up, arguments.admin_listen)


class Terminal:
    """See assembly.watcher.Watcher: shows it on stderr, a bar where that is a terminal.

    command: as messages name it. stop: what asks it to stop, where it runs until then.
    """

    def __init__(self, command: str, stop: Stop | None = None) -> None:
        self._command = command
        self._stop = stop or Stop()

    def say(self, text: str) -> None:
        """See Watcher."""
        say(text)

    def bar(self, title: str, total: int | None, unit: str = "bytes") -> AbstractContextManager[Advance]:
        """See Watcher."""
        return progress_bar(title, total, unit)

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Log that the command runs, and when the body ends, why. Where it fails, end the process with the error's status."""
        tell, complain = _log.info, _log.error
        tell(f"devicesync {self._command}: {what} Ctrl-C stops.")
        try:
            yield
        except DevicesyncError as error:
            complain(f"devicesync {self._command}: {error}", hint=error.hint)
            raise SystemExit(error.exit_status) from error
        why = f"stopped by {self._stop.why}" if self._stop.why else "done, nothing is left to do"
        tell(f"devicesync {self._command}: {why}")


@contextmanager
def progress_bar(title: str, total: int | None, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
    """A function to call with each advance; draws a bar on a terminal, nothing in a pipe. total None: not known."""
    if not sys.stderr.isatty():
        yield lambda advance: None
        return
    from rich import progress
    from rich.console import Console

    done = progress.DownloadColumn() if unit == "bytes" else progress.MofNCompleteColumn()
    said = progress.TextColumn("{task.description}", markup=False)  # a title has names from outside: it is never a template
    columns = (said, progress.BarColumn(), done, progress.TimeRemainingColumn())
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(title), total=total)
        yield lambda advance: bar.advance(task, advance)
