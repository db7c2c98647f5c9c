"""An event loop of a simulated process: its time is the world's, and what would be done in a thread is done at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.simulation.clocks import ProcessClock
from tests.simulation.scheduler import done, gate

T = TypeVar("T")


class _Nothing:
    """What the loop waits for: no sockets, only the time."""

    def __init__(self, clock: ProcessClock) -> None:
        self._clock = clock

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen in this loop")
        if timeout > 0:
            self._clock.sleep(timeout)
        return []


class Loop(asyncio.BaseEventLoop):
    """See the module."""

    def __init__(self, clock: ProcessClock) -> None:
        super().__init__()
        self._clock = clock
        self._selector = _Nothing(clock)

    def time(self) -> float:
        return self._clock.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
            future.set_exception(error)
        return future

    def _process_events(self, events: list[Any]) -> None:
        del events

    def _write_to_self(self) -> None: ...


def run(clock: ProcessClock, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it to its end."""
    done(gate("event loop"))
    loop = Loop(clock)
    loop.set_exception_handler(lambda loop, context: None)  # a crash leaves tasks that nobody waits for
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
