"""The journal: device-profile.log, an append-only file of JSON lines, exactly what the API writes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from devicesync.durable import check_room
from devicesync.errors import Unavailable
from devicesync.log.full import OFFSET, FullRecord, RebalanceListener, Survey
from devicesync.log.journal.appender import Appender
from devicesync.log.journal.bounds import bounds_of
from devicesync.log.journal.cursor import Cursor
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.full import JournalFullReader, full_records_of
from devicesync.log.journal.reader import JournalReader
from devicesync.log.journal.tail import Limits
from devicesync.log.port import Headers, Partitions, Record
from devicesync.printable import encodable

_ROWS = 2000
_LOOKS = 100
"""So often in a row a read finds a rotation under way at most."""


class Journal:
    """See port.Log. Safe for threads and processes; concurrent callers of `append` share one sync to disk.

    segment_bytes: the size at which the active segment is closed and a new one begun.
    segment_seconds: the same by the age of its first record, 0 for never.
    retention_seconds: how long a closed segment is kept at least; longer while a reader still needs it.
    """

    def __init__(self, path: Path, *, segment_bytes: int, retention_seconds: float, segment_seconds: float = 0.0) -> None:
        self.path = path
        self._files = JournalFiles(path)
        self.source = encodable(str(path))
        self.topic = path.name
        self._appender = Appender(self._files, Limits(segment_bytes, segment_seconds, retention_seconds))

    def append(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> int:
        """See port.Log; the number of the first record. A journal is lines alone: keys and headers are not kept."""
        del keys, headers
        return self._appender.append(values) if values else self.end()

    def end(self) -> int:
        """The number that the next record will have."""
        return self._appender.end()

    def tidy(self) -> None:
        """Close the active segment where it is old enough, also when nobody appends, and drop old ones. Raises Unavailable."""
        self._appender.tidy()

    def check(self) -> None:
        """See port.Log; raises Unavailable also where it just lost records through another program."""
        check_room(self.path.parent)
        self._appender.check()

    def taken_ms(self) -> int | None:
        """See port.Log."""
        return self._appender.taken_ms

    def partitions(self) -> Partitions:
        """See port.Log."""
        return Partitions(1)

    def partition_of(self, key: bytes, count: int) -> int:
        """See port.Log."""
        del key, count
        return 0

    def newest(self, count: int) -> Iterator[Record]:
        """See port.Log."""
        first, end = bounds_of(self._files)
        with closing(Cursor(self._files, max(first, end - count))) as cursor:
            for records in self._up_to(cursor, end):
                yield from records

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
        """See port.Log. Lines that another program wrote count as taken now."""
        del but  # it has one partition
        end = self._appender.mend()  # without the lock, damaged times say that there are no records
        first, _ = bounds_of(self._files)
        with closing(Cursor(self._files, max(first, end - count, seen.get(0, 0)))) as cursor:
            cursor.pass_before(ms * 1000)
            for records in self._up_to(cursor, end):
                yield from records

    def reader(self, name: str) -> JournalReader:
        """See port.Log."""
        return JournalReader(self._files, name)

    def full_reader(self, name: str, listener: RebalanceListener) -> JournalFullReader:
        """See full.FullLog."""
        return JournalFullReader(self._files, name, listener)

    def survey(self) -> Survey:
        """See full.FullLog."""
        return Survey(self._files.read_identity(), {0: bounds_of(self._files)})

    def records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        """See full.FullLog."""
        del partition
        with closing(Cursor(self._files, start)) as cursor:
            for records in self._up_to(cursor, end):
                yield [record for record in full_records_of(records) if record[OFFSET] < end]

    def committed(self, name: str) -> int:
        """The number of the first record that the reader of that name has not committed."""
        return self._files.read_position(name) or 0

    def _up_to(self, cursor: Cursor, end: int) -> Iterator[list[Record]]:
        """The records from there to that number, or to the journal's end. Raises Unavailable, never ends short.

        A read gives nothing while a rotation is under way, or was cut short. The first is waited for, the other is finished.
        """
        for _ in range(_LOOKS):
            while cursor.position < end and (records := cursor.read(min(_ROWS, end - cursor.position))):
                yield records
            if cursor.position >= end:
                return
            end = min(end, self._appender.mend())
        raise Unavailable(f"{self.path} can't be read up to its record {end}", "see what moves its segments")

    @property
    def syncs(self) -> int:
        """How many groups of records this process has synced to disk."""
        return self._appender.syncs

    def close(self) -> None:
        """See port.Log."""
        self._appender.close()
