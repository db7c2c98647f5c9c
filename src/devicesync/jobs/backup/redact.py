"""Redact: rewrites files without the records that an erase removed. The erase stays, so a restore keeps the device erased.

Of an erase its id and its version stay, also of one that the law refuses. What else its writer put into it goes too. An erase
of more than LATEST_MS past its log time does not count, and a registration is refused as too late only then. One without a
log time never is: its time comes. So what a redact has taken out can be told at any time, without the setting that it ran under.

The new file has a name of its own. It is uploaded, then listed in place of the old one. Then the old one is removed. So whatever
crashes, the manifest names a whole file. The next redact removes old files that are left.
"""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from devicesync.archive.archive import Archive
from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import MOST_REDACTS, Entry, Origin, number_of, rest_path, revised
from devicesync.archive.files import ClosedFile, OpenFile
from devicesync.jobs.backup.escapes import has_any
from devicesync.jobs.backup.partition_backup import sizes_of
from devicesync.jobs.erase import erase_line
from devicesync.jobs.shared.backed_up import ANY_AHEAD_MS, event_of, is_late, is_late_for_good
from devicesync.law.event import Event
from devicesync.log.full import KEY, OFFSET, TIMESTAMP_MS, VALUE, FullRecord

LATEST_MS = 3_600_000
"""No max_clock_ahead_seconds that makes sense is more."""
_NONE = 1 << 63
"""Above every version."""


class Traces(NamedTuple):
    """A device in a file.

    erased: the version (µs) of its highest erase, 0 for none.
    oldest: the version of its oldest record that is more than a bare erase, 0 for one that never stays so, None without any.
    """

    erased: int = 0
    oldest: int | None = None


class Redaction:
    """The redaction of one device in one archive. Safe to repeat; run one at a time. Raises Unavailable, Damaged."""

    def __init__(self, archive: Archive, device_id: str, spool: Path, max_clock_ahead_ms: int) -> None:
        self._archive = archive
        self._device_id = device_id
        self._key = device_id.encode()
        self._quoted = tuple(f"{quote}{device_id}{quote}" for quote in "\"'")
        self._spool = spool
        self._max_clock_ahead_ms = max_clock_ahead_ms

    def traces(self, entry: Entry) -> Traces:
        """Return what the file has of the device."""
        erased, oldest = 0, _NONE
        with self._archive.fetched(entry, self._spool) as batches:
            for rows in batches:
                for row, event in self._concerned(rows, entry):
                    if event and event.erase and not is_late(event, row, min(self._max_clock_ahead_ms, LATEST_MS)):
                        erased = max(erased, event.version)
                    if not _is_bare(row, event):
                        is_known = event and not event.erase and not self._is_late(event, row)
                        oldest = min(oldest, event.version if event and is_known else 0)
        return Traces(erased, None if oldest == _NONE else oldest)

    def rewrite(self, files: list[Entry], erased: int) -> list[Entry]:
        """Rewrite a range without the device's data up to the version `erased`. Return the new entries."""
        with closing(Encoder(self._spool)) as encoder:
            revision = f"{1 + self._archive.last_revision(files)}-{uuid.uuid4().hex[:8]}"
            closed = [self._without(entry, erased, revision, encoder) for entry in files]
        for file in closed:
            self._archive.upload(file)
        rewritten = [file.entry for file in closed]
        is_listed = self._archive.manifest.replace(files, rewritten)
        for entry in files if is_listed else ():
            self._archive.manifest.sweep(entry)
        for file in closed:
            file.discard()
        return rewritten

    def _without(self, entry: Entry, erased: int, revision: str, encoder: Encoder) -> ClosedFile:
        origin = Origin(entry.topic, entry.source, entry.generation, entry.partition, entry.identity)
        file = OpenFile(self._spool, origin, entry.format, encoder)
        record_bytes = 0
        with self._archive.fetched(entry, self._spool) as batches:
            for rows in batches:
                left = {
                    row[OFFSET]: _left_of(row, None if event and not event.erase and self._is_late(event, row) else event, erased)
                    for row, event in self._concerned(rows, entry)
                }
                if kept := [row for each in rows if (row := left.get(each[OFFSET], each))]:
                    file.write(kept)
                    file.end_group()
                    record_bytes += sum(sizes_of(kept))
        closed = file.close(entry.from_offset, entry.next_offset, record_bytes)
        return ClosedFile(_revised(entry, revision, closed.entry), closed.here, closed.rest_here)

    def _concerned(self, rows: list[FullRecord], entry: Entry) -> Iterator[tuple[FullRecord, Event | None]]:
        """The records that are the device's by what they say, however late; bad ones by their key too, or by its id in quotes."""
        for row in rows:
            value, has_its_key = row[VALUE] or b"", row[KEY] == self._key
            if has_its_key or self._key in value or b"\\" in value:
                event = event_of(row, entry, ANY_AHEAD_MS)
                if event.device_id == self._device_id if event else has_its_key or has_any(value, self._quoted):
                    yield row, event

    def _is_late(self, event: Event, row: FullRecord) -> bool:
        """Whether the law refuses the version at any time, by this setting and by LATEST_MS."""
        return is_late_for_good(event, row, max(self._max_clock_ahead_ms, LATEST_MS))


def _is_bare(row: FullRecord, event: Event | None) -> bool:
    """Whether it is an erase and nothing else."""
    return event is not None and event.erase and row[VALUE] == erase_line(event.device_id, event.version)


def _left_of(row: FullRecord, event: Event | None, erased: int) -> FullRecord | None:
    """What stays of a record, None for nothing. An erase that has data, which the law ignores, has no headers afterwards."""
    if event is None or (event.version <= erased and not event.erase):
        return None
    if not event.erase or _is_bare(row, event):
        return row
    return row[OFFSET], row[TIMESTAMP_MS], row[KEY], erase_line(event.device_id, event.version), None


def redacted_erase(row: FullRecord, entry: Entry) -> FullRecord | None:
    """An erase of the log as a redact leaves it in this file; None for another record."""
    event = event_of(row, entry, ANY_AHEAD_MS)
    return _left_of(row, event, event.version) if event and event.erase else None


_OF_CONTENT = ("records", "bytes", "sha256", "record_bytes", "first_ms", "last_ms", "rest")


def may_revise(revision: Entry, old: Entry) -> bool:
    """Whether a redact may have made this entry of the old one: it changes nothing but what the content is, and its place.

    A process that was stopped may list the old one again, with the time when it had closed the file itself. Nothing depends on
    that time where the records' own times are no later.
    """
    if number_of(revision.revision) > number_of(old.revision) + MOST_REDACTS:
        return False
    made = _with_content(revised(old, revision.revision), revision)
    if old.last_ms is not None and old.last_ms <= min(old.closed_ms, revision.closed_ms):
        made = msgspec.structs.replace(made, closed_ms=revision.closed_ms)
    return made == revision


def _with_content(entry: Entry, new: Entry) -> Entry:
    return msgspec.structs.replace(entry, **{name: getattr(new, name) for name in _OF_CONTENT})


def _revised(old: Entry, revision: str, new: Entry) -> Entry:
    """The new file's entry: its own content, in the old one's range."""
    entry = _with_content(revised(old, revision), new)
    if not entry.rest:
        return entry
    return msgspec.structs.replace(entry, rest=msgspec.structs.replace(entry.rest, path=rest_path(entry)))
