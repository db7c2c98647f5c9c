"""A log in memory, for tests of jobs: one partition, no durability."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from devicesync.clock import SYSTEM
from devicesync.log.port import Headers, Partitions, Record


class MemoryLog:
    """See port.Log. `clock` gives the ms at which records are taken."""

    def __init__(self, clock: Callable[[], int] = SYSTEM.now_ms) -> None:
        self.records: list[Record] = []
        self.committed: dict[str, int] = {}
        self._clock = clock

    def append(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> None:
        """See port.Log."""
        for spot, value in enumerate(values):
            now = self._clock()
            key, of_value = keys[spot] if keys else None, headers[spot] if headers else None
            self.records.append(Record(value, 0, len(self.records), now, now, key, of_value))

    def partitions(self) -> Partitions:
        """See port.Log."""
        return Partitions(1)

    def partition_of(self, key: bytes, count: int) -> int:
        """See port.Log."""
        del key, count
        return 0

    def taken_ms(self) -> None:
        """See port.Log."""

    def newest(self, count: int) -> Iterator[Record]:
        """See port.Log."""
        return iter(self.records[-count:])

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
        """See port.Log."""
        del but  # it has one partition
        first = next((record.offset for record in self.records if record.taken_ms >= ms), len(self.records))
        return iter(self.records[max(first, seen.get(0, 0)) :][-count:])

    def check(self) -> None:
        """See port.Log."""

    def reader(self, name: str) -> "MemoryReader":
        """See port.Log."""
        return MemoryReader(self, name)

    def close(self) -> None:
        """See port.Log."""


class MemoryReader:
    """See port.Reader."""

    lost = 0

    def __init__(self, log: MemoryLog, name: str) -> None:
        self.reads_headers = False
        self._log = log
        self._name = name
        self._next = log.committed.get(name, 0)
        self._polls: list[int] = []

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """See port.Reader."""
        records = self._log.records[self._next : self._next + max_records]
        if not records:
            SYSTEM.sleep(timeout_seconds)
        else:
            self._polls.append(self._next)
        self._next += len(records)
        return records if self.reads_headers else [record._replace(headers=None) for record in records]

    def commit(self, but_last: int = 0) -> None:
        """See port.Reader."""
        self._log.committed[self._name] = self._polls[-but_last] if but_last else self._next

    def keep_alive(self) -> None:
        """See port.Reader."""

    def caught_up(self) -> bool:
        """See port.Reader."""
        return not self.unread()

    def unread(self) -> dict[int, int]:
        """See port.Reader."""
        count = len(self._log.records) - self._next
        return {0: count} if count else {}

    def close(self) -> None:
        """See port.Reader."""
