"""How a command is run that keeps running."""

import threading
from typing import NamedTuple

from devicesync.assembly.watcher import Watcher


class LongRun(NamedTuple):
    """What ends it, who hears of it, and what it serves meanwhile.

    stop: ends it when it is set. until_caught_up: it also ends when nothing is left to do.
    admin_listen: HOST:PORT of its admin port; None where it serves none.
    """

    stop: threading.Event
    watcher: Watcher
    until_caught_up: bool = False
    admin_listen: str | None = None
