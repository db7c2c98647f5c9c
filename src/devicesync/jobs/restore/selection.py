"""Which records of a backup are restored."""

import time
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.log.full import FullRecord
from devicesync.log.port import Record


class Selection(NamedTuple):
    """until_ms: records that the log took at or before this time, and every later erase. None: all, likewise the others."""

    until_ms: int | None = None
    device_id: str | None = None
    partitions: tuple[int, ...] | None = None

    def wants(self, partition: int) -> bool:
        """Whether a record of the partition may be wanted."""
        return self.partitions is None or partition in self.partitions

    def rows(self, rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[FullRecord]:
        """Those that are wanted. Of one device: its valid events; nobody knows whose a bad record is."""
        if self.until_ms is not None:
            rows = [row for row in rows if (row[1] or 0) <= self.until_ms]
        if self.device_id is None:
            return rows
        there = self.device_id.encode()
        maybe = [row for row in rows if row[3] and (there in row[3] or b"\\" in row[3])]
        events = [(row, event_of(row, entry, max_clock_ahead_ms)) for row in maybe]
        return [row for row, event in events if event and event.device_id == self.device_id]

    def later_erases(self, rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[Event]:
        """The erases that came after `until_ms`: whoever was erased does not come back with an older state."""
        if self.until_ms is None:
            return []
        later = [row for row in rows if (row[1] or 0) > self.until_ms]
        erases = erases_in(later, entry, max_clock_ahead_ms)
        return [event for event in erases if self.device_id in (None, event.device_id)]


def erases_in(rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[Event]:
    """The erases among these records."""
    maybe = [row for row in rows if row[3] and (b"erase" in row[3] or b"\\u" in row[3])]
    events = [event_of(row, entry, max_clock_ahead_ms) for row in maybe]
    return [event for event in events if event and event.erase]


def kept_at_ms(entry: Entry) -> int:
    """When the file was closed, which was not in the future, whatever its entry says."""
    return min(entry.closed_ms, time.time_ns() // 1_000_000)


def record_of(row: FullRecord, entry: Entry) -> Record:
    """The record as the updater got it. Versions are guarded against the log's time, the backup's, or now: the least of them."""
    offset, logged_ms, key, value, _ = row
    kept_ms = kept_at_ms(entry)
    taken_ms = kept_ms if logged_ms is None else min(logged_ms, kept_ms)
    return Record(value, entry.partition, offset, taken_ms, logged_ms, key)


def event_of(row: FullRecord, entry: Entry, max_clock_ahead_ms: int) -> Event | None:
    """The record's event; None for a bad one."""
    record = record_of(row, entry)
    try:
        return decode(
            record.value or b"", taken_ms=record.taken_ms, logged_ms=record.logged_ms, max_clock_ahead_ms=max_clock_ahead_ms
        )
    except Refused:
        return None
