"""Take: copies the lines of a foreign log into the journal as they appear, where they get a number and a time."""

import threading

from devicesync.jobs.patience import Patience, Stopped
from devicesync.log.foreign import ForeignLog
from devicesync.log.port import Log

_NAP_SECONDS = 0.005


def take(foreign: ForeignLog, log: Log, stop: threading.Event) -> None:
    """Work until `stop` is set. A crash between the two steps takes some lines twice, which profiles do not feel."""
    patience = Patience(stop)
    try:
        while not stop.is_set():
            lines = patience.until_it_works(foreign.read)
            if lines:
                patience.until_it_works(lambda lines=lines: log.append(lines))  # type: ignore[misc]
                patience.until_it_works(foreign.commit)
            else:
                stop.wait(_NAP_SECONDS)
    except Stopped:
        pass
    finally:
        foreign.close()
