"""`apply`: events of a file through the log into both stores."""

import threading
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from devicesync.assembly import adapters
from devicesync.assembly.delivery import delivering
from devicesync.assembly.event_file import opened
from devicesync.assembly.updater import refusal_limit
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import Stopped, TooManyBad
from devicesync.jobs.apply import Summary, lines_of
from devicesync.jobs.apply import apply as apply_lines
from devicesync.jobs.shared.file_kind import FileKind, file_kind
from devicesync.printable import encodable


class Applied(NamedTuple):
    """What was done, and what the file looks like, which matters where it had no event."""

    summary: Summary
    file_kind: FileKind


def apply(file: Path, settings: Settings, stop: threading.Event, watcher: Watcher) -> Applied:
    """Apply every line of the file; - is standard input. Raises WrongUse, TooManyBad, Unavailable, Stopped."""
    head = b""
    try:
        with (
            opened(file, stop) as source,
            delivering(settings, "apply", stop) as delivery,
            closing(adapters.open_dead_letters(settings)) as dead_letters,
            watcher.bar(f"apply {file.name}", source.size) as advance,
        ):
            head = source.head
            summary = apply_lines(
                lines_of(source.lines, settings.batch_records),
                delivery,
                dead_letters,
                source=encodable(str(file)),
                refusal_limit=refusal_limit(settings, at_once=True),
                stop=stop,
                max_clock_ahead_ms=settings.max_clock_ahead_ms,
                progress=lambda read, size: advance(size),
            )
    except Stopped:
        raise Stopped("stopped; apply the file again to finish it, what was done stays done") from None
    except TooManyBad as error:
        raise TooManyBad(f"{error}; {file} looks like {file_kind(head).name}", file_kind(head).hint or error.hint) from None
    return Applied(summary, file_kind(head))
