"""Which records of a backup are restored."""

from operator import itemgetter
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.jobs.shared.backed_up import erase_rows_in, event_of
from devicesync.law.event import Event
from devicesync.log.full import OFFSET, TIMESTAMP_MS, VALUE, FullRecord


class Selection(NamedTuple):
    """Which records a restore uses. None means no restriction, in each field.

    until_ms: the records that the log took at or before this time, and every later erase.
    device_id: those of this device. partitions: those of these partitions, and every erase in the others: a device's erase lies
    in another one where the topic got more partitions.
    """

    until_ms: int | None = None
    device_id: str | None = None
    partitions: tuple[int, ...] | None = None

    def rows(self, rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[FullRecord]:
        """Return the wanted rows. With `device_id` only valid events, since a bad record can't be assigned to a device."""
        rows = [row for row in rows if self._reaches(row, entry)]
        if self.device_id is None:
            return rows
        there = self.device_id.encode()
        maybe = [row for row in rows if row[VALUE] and (there in row[VALUE] or b"\\" in row[VALUE])]
        events = [(row, event_of(row, entry, max_clock_ahead_ms)) for row in maybe]
        return [row for row, event in events if event and event.device_id == self.device_id]

    def other_erases(self, rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[Event]:
        """Return the erases after `until_ms` or in other partitions, so that no erased device comes back with an older state."""
        return [event for _, event in self._other_erases(rows, entry, max_clock_ahead_ms)]

    def rows_and_other_erases(self, rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[FullRecord]:
        """Return the wanted rows, and those of the other erases, in their order."""
        others = [row for row, _ in self._other_erases(rows, entry, max_clock_ahead_ms)]
        return sorted(self.rows(rows, entry, max_clock_ahead_ms) + others, key=itemgetter(OFFSET))

    def _reaches(self, row: FullRecord, entry: Entry) -> bool:
        is_in_time = self.until_ms is None or (row[TIMESTAMP_MS] or 0) <= self.until_ms
        return is_in_time and (self.partitions is None or entry.partition in self.partitions)

    def _other_erases(self, rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[tuple[FullRecord, Event]]:
        others = [row for row in rows if not self._reaches(row, entry)]
        erases = erase_rows_in(others, entry, max_clock_ahead_ms)
        return [(row, event) for row, event in erases if self.device_id in (None, event.device_id)]
