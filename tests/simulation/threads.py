"""The threads of a simulated process, as ThreadPoolExecutor has them: each goes on to its next call when the process looks at them."""

from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from typing import Any

from greenlet import getcurrent, greenlet

from tests.simulation.scheduler import Process, Thread


class Work:
    """As concurrent.futures.Future, of work that begins when it is waited for, and all other work of its pool with it."""

    def __init__(self, number: int, process: Process, call: Callable[[], Any], beside: "list[Work]") -> None:
        self.number = number
        self._beside = beside
        self._process = process
        self._call = call
        self._thread = Thread(self._run, process)
        self._result: Any = None
        self._error: Exception | None = None

    @property
    def is_done(self) -> bool:
        """Whether it came to its end."""
        return bool(self._thread.dead)

    def go_on(self) -> None:
        """It makes its next call. Raises Crashed where that ends the whole process."""
        if not self.is_done:
            self._thread.go_on()

    def done(self) -> bool:
        """Whether it came to its end, after each of its pool made one more call: whoever asks again and again waits."""
        if not self.is_done:
            wait([work for work in self._beside if not work.is_done])
        return self.is_done

    def result(self) -> Any:
        """What came of it, once it is done."""
        while not self.is_done:
            wait([work for work in self._beside if not work.is_done])
        if self._error:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            self._error = error


class Pool:
    """As ThreadPoolExecutor."""

    def __init__(self, *_: Any) -> None:
        self._works: list[Work] = []
        self._process: greenlet = getcurrent()

    def submit(self, call: Callable[..., Any], *args: Any) -> Work:
        """Have it done."""
        assert isinstance(self._process, Process)
        self._works.append(Work(len(self._works), self._process, lambda: call(*args), self._works))
        return self._works[-1]

    def shutdown(self) -> None:
        """Return when all is done; at once where the process is gone."""
        assert isinstance(self._process, Process)
        while not self._process.is_dead and (left := [work for work in self._works if not work.is_done]):
            wait(left)


def wait(works: Collection[Work], timeout: float | None = None) -> tuple[set[Work], set[Work]]:
    """Each makes one call. Those that are done then, and those that are not."""
    del timeout
    for work in sorted(works, key=lambda work: work.number):
        work.go_on()
    done = {work for work in works if work.is_done}
    return done, {*works} - done


class AtOnce(Executor):
    """As ThreadPoolExecutor, where what its threads do is nothing that others see: it is done when it is brought."""

    def __init__(self, *_: Any) -> None:
        """See Executor."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """See Executor."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **named))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)
        return future
