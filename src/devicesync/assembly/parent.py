"""A child that does not outlive its parent, however that ends."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def ending_with_this_process() -> Callable[[], None]:
    """To be called in a child before its program begins: it then gets SIGTERM when this process ends. Linux only."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # else our own handler takes one that comes before the program begins
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended meanwhile
            os._exit(1)

    return tie
