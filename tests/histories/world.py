"""Jobs that run the real code in threads of their own, of which only one goes on at a time: up to its next store call."""

import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from devicesync.cache.port import NO_TICKETS, UNKNOWN, Advice, Cache, Looked, Merged
from devicesync.database.cassandra.call import Request
from devicesync.database.cassandra.driver import Failed, Rows
from devicesync.errors import Unavailable
from devicesync.law.seen import Seen
from devicesync.law.state import State

Fate = Literal["goes on", "crashes", "is refused", "loses its reply", "is done by half", "crashes after it"]


class Crashed(BaseException):
    """The process is gone, as by kill -9."""


class Job:
    """A process. `step` lets it make its next store call, whose name is `next`; `trace` is told of each."""

    def __init__(self, name: str, work: Callable[[], None], trace: Callable[[str, str], None]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self.is_over = False
        self.next = ""
        self._work, self._trace = work, trace
        self._fate: Fate = "goes on"
        self._go, self._parked = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._parked.acquire()

    def step(self, fate: Fate = "goes on") -> None:
        """Let it make its next call, and go on to the one after it."""
        self._fate = fate
        self._go.release()
        self._parked.acquire()

    def until(self, call: str) -> None:
        """Let it go on until its next call begins with this name."""
        while not self.is_over and not self.next.startswith(call):
            self.step()
        assert not self.is_over, f"{self.name} never came to {call}"

    def finish(self) -> None:
        """Let it go on to its end. Raises what it ended with."""
        while not self.is_over:
            self.step()
        if self.error:
            raise self.error

    def gate(self, call: str) -> Fate:
        """Called by the job before each store call."""
        self.next = call
        self._parked.release()
        self._go.acquire()
        self._trace(self.name, f"{call}: {self._fate}")
        if self._fate == "crashes":
            raise Crashed
        return self._fate

    def _run(self) -> None:
        _current.job = self
        try:
            self.gate("starts")
            self._work()
        except Crashed:
            pass
        except BaseException as error:  # noqa: BLE001 - told by whoever runs the history
            self.error = error
        self.is_over = True
        self._parked.release()


_current = threading.local()


def _gate(call: str) -> Fate:
    job: Job | None = getattr(_current, "job", None)
    return job.gate(call) if job else "goes on"


def _under(fate: Fate, ids: Collection[str], call: Callable[[set[str]], Any]) -> Any:
    """Make a call under its fate. `call` gets the devices it is made for."""
    if fate == "is refused":
        raise Unavailable("refused")
    chosen = {device_id for device_id in ids if fate != "is done by half" or zlib.crc32(device_id.encode()) % 2}
    result = call(chosen)
    if fate == "crashes after it":
        raise Crashed
    if fate in ("loses its reply", "is done by half"):
        raise Unavailable(fate)
    return result


class GatedCache:
    """A cache whose every call waits for its turn."""

    is_private = False

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def look(self, device_ids: Collection[str]) -> Looked:
        """See port.Cache."""
        if not device_ids:
            return Looked({}, {}, [])
        result: Looked = _under(_gate("cache.look"), device_ids, self._cache.look)
        return result

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        """See port.Cache."""
        if not changes:
            return Merged([], [])

        def merge(ids: set[str]) -> Merged:
            return self._cache.merge({name: changes[name] for name in changes if name in ids}, tickets, shown)

        result: Merged = _under(_gate("cache.merge" + (" settled" if any(shown.values()) else "")), changes, merge)
        return result

    def forget(self, device_ids: Collection[str]) -> None:
        """See port.Cache."""
        _under(_gate("cache.forget"), device_ids, self._cache.forget)

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Cache."""
        if not device_ids:
            return {}
        result: dict[str, State] = _under(_gate("cache.read"), device_ids, lambda ids: self._cache.read([*ids]))
        return result

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """See port.Cache. No history looks at it so."""
        return self._cache.seen(device_ids)

    def scan(self) -> Iterator[list[str]]:
        """See port.Cache. No history scans."""
        return self._cache.scan()

    def replace(self, states: Mapping[str, State], marks: Mapping[str, str], shown: Mapping[str, bool] = UNKNOWN) -> list[str]:
        """See port.Cache."""

        def replace(ids: set[str]) -> list[str]:
            return self._cache.replace({name: states[name] for name in states if name in ids}, marks, shown)

        result: list[str] = _under(_gate("cache.replace"), states, replace)
        return result

    def expiring(self, device_ids: Sequence[str]) -> list[str]:
        """See port.Cache."""
        return self._cache.expiring(device_ids)

    def time_left_ms(self, device_id: str) -> int | None:
        """See port.Cache."""
        return self._cache.time_left_ms(device_id)

    def check(self) -> None:
        """See port.Cache."""

    def advice(self) -> list[Advice]:
        """See port.Cache."""
        return []

    def close(self) -> None:
        """See port.Cache."""


class GatedDriver:
    """A driver of Cassandra whose every call waits for its turn; what fails is reported as drivers do."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def query(self, cql: str) -> Rows:
        """See driver.Driver."""
        rows: Rows = self._driver.query(cql)
        return rows

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """See driver.Driver."""
        if not requests:
            return []
        verbs = sorted({" ".join(call.statement.split()[:1]) for request in requests for call in request})
        fate = _gate(f"cassandra {'/'.join(verbs)}")
        if fate == "is refused":
            return [Failed(fate)] * len(requests)
        chosen = [request for index, request in enumerate(requests) if fate != "is done by half" or index % 2]
        outcomes: list[Rows | Failed] = self._driver.run(chosen)
        if fate == "crashes after it":
            raise Crashed
        return [Failed(fate)] * len(requests) if fate in ("loses its reply", "is done by half") else outcomes

    def close(self) -> None:
        """See driver.Driver."""
