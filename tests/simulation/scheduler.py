"""Processes as greenlets: each runs the real code up to its next call of a server's client, one at a time."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from greenlet import getcurrent, greenlet

Fate = Literal["goes on", "is refused", "loses its reply", "is done by half", "comes late", "crashes", "crashes after it"]
"""What becomes of one call. "comes late": one replica of Cassandra has it, the others get it later; elsewhere the reply is lost."""

FATES: tuple[Fate, ...] = ("is refused", "loses its reply", "is done by half", "comes late", "crashes", "crashes after it")


class Crashed(SystemExit):
    """The process is gone, as by kill -9. No event loop keeps it from getting out."""


class Process(greenlet):  # type: ignore[misc]  # greenlet has no types
    """A process that works until it is over. `next`: the call that it makes when it is stepped.

    trace: is told of each call. told: of what a server answers.
    """

    def __init__(self, name: str, work: Callable[[], None], trace: Callable[[str], None] = lambda line: None) -> None:
        super().__init__(self._live)
        self.name = name
        self.next = "starts"
        self.error: BaseException | None = None
        self.is_over = self.is_dead = False
        self._work = work
        self.threads: list[greenlet] = []
        self.trace = trace
        self.told: Callable[[Any], None] = lambda reply: None
        self._fate: Fate = "goes on"

    def step(self, fate: Fate = "goes on") -> None:
        """Let it make its next call under this fate, and go on to the one after it."""
        self._fate = fate
        if self.next == "starts" and fate.startswith("crashes"):
            self.is_dead = self.is_over = True
        else:
            self.switch()

    def call(self, what: str) -> Fate:
        """Made by the process before each call; returns when it is stepped."""
        if self.is_dead:
            raise Crashed
        self.next = what
        assert self.parent is not None
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)  # a thread has one at a time, and here it has several
        try:
            self.parent.switch()
        finally:
            asyncio._set_running_loop(loop)
        fate = self._fate
        self.trace(f"{self.name:<8} {what}" + (f": {fate}" if fate != "goes on" else ""))
        if fate == "crashes":
            self.is_dead = True
            raise Crashed
        return fate

    def is_done(self, fate: Fate) -> None:
        """Told by the process when its call was made: raises Crashed where that was its last."""
        if fate == "crashes after it":
            self.is_dead = True
            raise Crashed

    def end(self) -> None:
        """End it where it stands, so that it lets go of what the tests after it use too, such as the list of what is waited for."""
        self.is_dead = True
        if self:
            self.throw(Crashed)
        for thread in self.threads:
            if thread:
                thread.throw()

    def _live(self) -> None:
        try:
            self._work()
        except Crashed:
            pass
        except Exception as error:  # noqa: BLE001 - told by whoever runs the history
            self.error = error
        self.is_over = True


class Thread(greenlet):  # type: ignore[misc]
    """A thread of a process. Its calls are the process's: it makes each when the process lets it go on."""

    def __init__(self, work: Callable[[], None], process: Process) -> None:
        super().__init__(work, process)
        self.process = process
        process.threads.append(self)
        self._next = ""

    def go_on(self) -> None:
        """Make the next call. Raises Crashed where the process ends by it."""
        self.switch(*[self.process.call(self._next)] if self._next else [])

    def call(self, what: str) -> Fate:
        """Made by the thread before each call."""
        self._next = what
        fate: Fate = self.process.switch()
        return fate


def current() -> Process | None:
    """The process that runs now; None outside of all: then every call is made at once, and goes on."""
    running: Any = getcurrent()
    if isinstance(running, Thread):
        return running.process
    return running if isinstance(running, Process) else None


def gate(what: str) -> Fate:
    """To be called before each call of a server."""
    running: Any = getcurrent()
    return running.call(what) if isinstance(running, Process | Thread) else "goes on"


def told(reply: Any) -> None:
    """To be called with what a server has answered."""
    process = current()
    if process:
        process.told(reply)


def done(fate: Fate) -> None:
    """To be called after it."""
    process = current()
    if process:
        process.is_done(fate)
