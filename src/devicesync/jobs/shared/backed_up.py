"""A record of a backup, as the updater got its record."""

from devicesync.archive.entry import Entry
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.law.version import guard
from devicesync.log.full import TIMESTAMP_MS, VALUE, FullRecord
from devicesync.log.port import Record

_FUTURE = (
    "set the clock, by NTP for example; where it is right, another one was ahead: wait until then, or see `restore --allow-gaps`"
)


ANY_AHEAD_MS = 1 << 50
"""With it, what a record says counts, however late its version is."""


def erases_in(rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[Event]:
    """The erases among these records."""
    return [event for _, event in erase_rows_in(rows, entry, max_clock_ahead_ms)]


def erase_rows_in(rows: list[FullRecord], entry: Entry, max_clock_ahead_ms: int) -> list[tuple[FullRecord, Event]]:
    """The records that are erases, each with what it says."""
    maybe = [row for row in rows if row[VALUE] and (b"erase" in row[VALUE] or b"\\u" in row[VALUE])]
    events = [(row, event_of(row, entry, max_clock_ahead_ms)) for row in maybe]
    return [(row, event) for row, event in events if event and event.erase]


def from_the_future(entries: list[Entry], now_ms: int) -> list[Entry]:
    """The files that have records of later than now, by their entries. This clock is behind, or another one was ahead."""
    return [entry for entry in entries if _newest_ms(entry) > now_ms]


def refuse_the_future(entries: list[Entry], max_clock_ahead_ms: int) -> None:
    """Raise Damaged where there are such files: the law would refuse what they have, erases too."""
    for entry in from_the_future(entries, SYSTEM.now_ms() + max_clock_ahead_ms):
        seconds = (_newest_ms(entry) - SYSTEM.now_ms()) // 1000
        raise Damaged(entry.path, f"has records of {seconds:,} s past now, by this machine's clock", _FUTURE)


def _newest_ms(entry: Entry) -> int:
    return entry.closed_ms if entry.last_ms is None else min(entry.last_ms, entry.closed_ms)


def record_of(row: FullRecord, entry: Entry, max_clock_ahead_ms: int) -> Record:
    """The record as an updater gets it that reads the log now: versions are guarded against the log's time, or now, if earlier.

    What the entry says of times does not count: whoever writes to a bucket writes it. This clock may be behind by so much.
    Of a file that `refuse_the_future` lets pass, now is never the least: what was valid is valid by any clock.
    """
    offset, logged_ms, key, value, _ = row
    return Record(value, entry.partition, offset, _taken_ms(logged_ms, max_clock_ahead_ms), logged_ms, key)


def event_of(row: FullRecord, entry: Entry, max_clock_ahead_ms: int) -> Event | None:
    """The record's event; None for a bad one."""
    record = record_of(row, entry, max_clock_ahead_ms)
    try:
        return decode(
            record.value or b"", taken_ms=record.taken_ms, logged_ms=record.logged_ms, max_clock_ahead_ms=max_clock_ahead_ms
        )
    except Refused:
        return None


def is_late(event: Event, row: FullRecord, max_clock_ahead_ms: int) -> bool:
    """Whether the law refuses the version of this record's event now. The event was read with ANY_AHEAD_MS."""
    return _is_late(event, _taken_ms(row[TIMESTAMP_MS], max_clock_ahead_ms), max_clock_ahead_ms)


def is_late_for_good(event: Event, row: FullRecord, max_clock_ahead_ms: int) -> bool:
    """Whether the law refuses the version at any time. So its own log time alone judges it, and it has to have one."""
    logged_ms = row[TIMESTAMP_MS]
    return logged_ms is not None and _is_late(event, logged_ms, max_clock_ahead_ms)


def _is_late(event: Event, taken_ms: int, max_clock_ahead_ms: int) -> bool:
    try:
        guard(event.version, taken_ms=taken_ms, max_clock_ahead_ms=max_clock_ahead_ms)
    except Refused:
        return True
    return False


def _taken_ms(logged_ms: int | None, max_clock_ahead_ms: int) -> int:
    now_ms = SYSTEM.now_ms() + max_clock_ahead_ms
    return now_ms if logged_ms is None else min(logged_ms, now_ms)
