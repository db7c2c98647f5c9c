"""Take: copies the lines of a foreign log into the journal as they appear, where they get a number and a time."""

import threading

from devicesync.jobs.patience import Patience, Stopped
from devicesync.log.port import Lines, Log

_NAP_SECONDS = 0.005


def take(lines_of: Lines, log: Log, stop: threading.Event) -> None:
    """Work until `stop` is set. A crash between the two steps takes some lines twice, which profiles do not feel."""
    patience = Patience(stop)
    try:
        while not stop.is_set():
            lines = patience.until_it_works(lines_of.read)
            if lines:
                patience.until_it_works(lambda lines=lines: log.append(lines))  # type: ignore[misc]
                patience.until_it_works(lines_of.commit)
            else:
                stop.wait(_NAP_SECONDS)
    except Stopped:
        pass
    finally:
        lines_of.close()
