"""Follow: copies the lines of a foreign log into the journal as they appear. There they get a number and a time."""

import threading

from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.log.port import Lines, Log

_NAP_SECONDS = 0.005


def follow(lines: Lines, log: Log, stop: threading.Event, at_end: threading.Event) -> None:
    """Work until `stop` is set. After a crash some lines are copied twice, which does not change a profile.

    at_end: is set once all lines that were there are in the log.
    """
    patience = Patience(stop)
    try:
        while not stop.is_set():
            chunk = patience.until_it_works(lines.read)
            if chunk:
                patience.until_it_works(log.append, chunk)
                patience.until_it_works(lines.commit)
            else:
                if lines.is_at_end:
                    at_end.set()
                stop.wait(_NAP_SECONDS)
    except Stopped:
        pass
    finally:
        lines.close()
