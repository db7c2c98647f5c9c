"""How whoever runs a command's work hears of it: a command line shows it, a program may ignore it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Advance = Callable[[int], None]
"""To be called with each advance."""


class Watcher(Protocol):
    """Told of the work while it goes on."""

    def say(self, text: str) -> None:
        """A sentence that people should read now; with a hint on a line of its own where there is one."""
        ...

    def bar(self, title: str, total: int | None, unit: str = "bytes") -> AbstractContextManager[Advance]:
        """Work on `total` units is done in the body; None where it is not known how many."""
        ...

    def running(self, what: str) -> AbstractContextManager[None]:
        """What goes on until it is stopped is running in the body; `what` says from where to where."""
        ...


class Unwatched:
    """A Watcher that tells nobody."""

    def say(self, text: str) -> None:
        """See Watcher."""

    def bar(self, title: str, total: int | None, unit: str = "bytes") -> AbstractContextManager[Advance]:
        """See Watcher."""
        del title, total, unit
        return nullcontext(lambda advance: None)

    def running(self, what: str) -> AbstractContextManager[None]:
        """See Watcher."""
        del what
        return nullcontext()
