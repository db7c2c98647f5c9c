"""Brings a finished local file to its place in the archive. Each step may be repeated, by other processes too."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import structlog

from devicesync.archive.entry import Entry
from devicesync.archive.files import ClosedFile
from devicesync.errors import Unavailable
from devicesync.jobs.backup.beside_log import BesideLog
from devicesync.jobs.backup.partition_backup import PartitionBackup
from devicesync.jobs.backup.recreated import Recreated
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.full import Claim, FullReader
from devicesync.status.declared import BACKUP_BYTES, BACKUP_FILES, BACKUP_RECORDS, Readings

_UPLOADS = 8
_NAP_SECONDS = 0.1
_PAUSE_SECONDS = 60.0
_AHEAD = "set the clock, if it is behind; else a producer's is ahead: a restore takes its versions once their time has come"
_log: Any = structlog.get_logger("devicesync")


class Kept:
    """What a backup has put into the archive so far. bytes: those of the files."""

    def __init__(self) -> None:
        self.files = self.records = self.bytes = 0

    def readings(self) -> Readings:
        """For Metrics."""
        return {BACKUP_FILES: self.files, BACKUP_RECORDS: self.records, BACKUP_BYTES: self.bytes}


class Closing:
    """Waits for the archive and the log, and serves the log meanwhile. is_ours: whether a partition is still assigned to us."""

    def __init__(
        self,
        reader: FullReader,
        beside: BesideLog,
        recreated: Recreated,
        *,
        stop: threading.Event,
        is_ours: Callable[[PartitionBackup], bool],
        on_step: Callable[[str], None],
    ) -> None:
        self.kept = Kept()
        self._reader = reader
        self._archive = beside.archive
        self._beside = beside
        self._recreated = recreated
        self._patience = recreated.patience
        self._stop = stop
        self._is_ours = is_ours
        self._on_step = on_step
        self._look_at = 0.0
        self._uploaders = ThreadPoolExecutor(_UPLOADS, "upload")

    def finish(
        self, parts: list[PartitionBackup], start_again: Callable[[PartitionBackup, OSError], None]
    ) -> list[PartitionBackup]:
        """Finish the files of these partitions. Return those whose files the disk took; `start_again` is called with the others.

        All files end first, so that they are compressed in a row.
        """
        for part in parts:
            try:
                part.end()
            except OSError as error:
                start_again(part, error)
        finished = []
        for part in parts:
            try:
                part.finish()
                finished += [] if part.is_empty else [part]
            except OSError as error:
                start_again(part, error)
        self._on_step("closed")
        return finished

    def close(self, finished: list[PartitionBackup]) -> None:
        """Upload the files of these partitions, several at once, and begin new ranges. Raises Stopped."""
        if not finished:
            return
        identity = self._patience.until_it_works(self._reader.identity)
        for part in finished:
            part.is_stale |= part.identity != identity
        ours = self._claim(finished, lambda part: Claim(part.identity, part.start, part.expected, listing=part.listing))
        self._on_step("claimed")
        # The topic was deleted: nothing can be claimed, and nobody else has these records.
        stale = [part for part in finished if part.is_stale]
        self._upload([part for part in (*ours, *stale) if part.closed])
        for part in self._claim(ours, lambda part: part.claim_from(part.expected)):
            part.claimed = part.none_before(part.expected)
        self._on_step("claimed the end")
        for part in finished:
            for file in part.closed:
                file.discard()
            part.begin_next()

    def look_behind(self, parts: Iterable[PartitionBackup]) -> None:
        """Note where the log has no record behind what was read, such as a transaction's marker, before retention drops that.

        All that was polled is in the parts. Where nobody answers, a call a minute later asks again: it may take 5 s.
        """
        ends = {part: self._reader.read_up_to(part.partition) for part in parts}
        new = {part: end for part, end in ends.items() if end > part.none_before(part.expected) and end != part.looked_to}
        if not new or self._recreated.clock.monotonic() < self._look_at:
            return
        try:
            firsts = self._reader.firsts([part.partition for part in new])
        except Unavailable:
            self._look_at = self._recreated.clock.monotonic() + _PAUSE_SECONDS
            return
        for part, end in new.items():
            if part.partition in firsts:
                part.looked(end, firsts[part.partition])

    def claim_ends(self, parts: Iterable[PartitionBackup]) -> None:
        """Tell the group what was noted of these partitions, where it does not know. Raises Stopped."""
        untold = [part for part in parts if part.is_empty and part.none_before(part.start) > max(part.start, part.claimed)]
        if untold:
            self._recreated.mark(untold)
        for part in self._claim(untold, lambda part: part.claim_from(part.start)):
            part.claimed = part.none_before(part.start)

    def claim_starts(self, parts: Iterable[PartitionBackup]) -> None:
        """Tell the group that everything of these empty partitions is in the backup, where it does not know. Raises Stopped.

        Not while a partition can't be asked: then the log is not in the backup as a whole, and nobody needs to know.
        """
        if not self._patience.until_it_works(self._reader.is_whole):
            return

        def start(part: PartitionBackup) -> int:
            return max(part.none_before(part.start), self._reader.read_up_to(part.partition))

        def claim(part: PartitionBackup) -> Claim:
            bounds = self._recreated.asked([part], self._reader.bounds, part.partition)
            # Else there may have been records, which the log lost before they were read.
            is_known = bounds is not None and bounds[0] <= part.none_before(part.start)
            return Claim(part.identity, start(part), None, part.start if is_known else None, part.listing)

        for part in self._claim([part for part in parts if part.claimed != start(part)], claim):
            part.claimed = start(part)

    def shutdown(self) -> None:
        """End the threads."""
        self._uploaders.shutdown()

    def _claim(self, parts: list[PartitionBackup], what: Callable[[PartitionBackup], Claim]) -> list[PartitionBackup]:
        """Claim for each partition. Return those that are still ours, and of the log that is there."""
        while parts := [part for part in parts if self._is_ours(part) and not part.is_stale]:
            claims = {part.partition: what(part) for part in parts}
            if self._recreated.asked(parts, self._reader.claim, claims):
                break
            if self._stop.wait(_NAP_SECONDS):
                raise Stopped
            self._patience.until_it_works(self._reader.keep_alive)
        return parts

    def _upload(self, parts: list[PartitionBackup]) -> None:
        uploads = {self._uploaders.submit(self._put, part.closed): part for part in parts}
        pending = {*uploads}
        while pending:
            done, pending = wait(pending, timeout=_NAP_SECONDS)
            if pending:
                self._patience.until_it_works(self._reader.keep_alive)
            for upload in done:
                upload.result()
        for upload, part in uploads.items():
            part.listing = self._named(part, is_listed=upload.result())
        for entry in [file.entry for upload, part in uploads.items() if upload.result() for file in part.closed]:
            self.kept.files += 1
            self.kept.records += entry.records
            self.kept.bytes += entry.bytes
            _log.info("kept", path=entry.path, records=entry.records, bytes=entry.bytes)
            ahead_ms = (entry.last_ms or 0) - entry.closed_ms
            if ahead_ms > DEFAULT_MAX_CLOCK_AHEAD_MS:
                _log.error("records have times past this machine's clock", path=entry.path, seconds=ahead_ms // 1000, hint=_AHEAD)

    def _named(self, part: PartitionBackup, *, is_listed: bool) -> str:
        """What names the range that the partition's files are of; is_listed: by this process."""
        entries = [file.entry for file in part.closed]
        manifest = self._archive.manifest
        return manifest.named(entries if is_listed else self._patience.until_it_works(manifest.first_listed, entries))

    def _put(self, files: list[ClosedFile]) -> bool:
        """Upload all files of a range, then list its entries at once. So the range counts as a whole, or not at all.

        Return whether it was needed: another process may have listed it that read records which the log has lost since.
        """
        patience = Patience(self._stop)
        for file in files:
            patience.until_it_works(self._archive.upload, file)
        self._on_step("uploaded")
        entries = [file.entry for file in files]
        if patience.until_it_works(self._has_more, entries):
            patience.until_it_works(self._archive.remove_unlisted, entries)
            return False
        patience.until_it_works(self._archive.manifest.add, entries)
        self._on_step("listed")
        return True

    def _has_more(self, entries: list[Entry]) -> bool:
        """Whether the range is listed already, with first records that these lack, the same end, and else as the log has it."""
        first = entries[0]
        listed = self._archive.manifest.first_listed(entries) if first.first_offset > first.from_offset else []
        is_more = bool(listed) and listed[0].first_offset < first.first_offset and listed[0].next_offset == first.next_offset
        return is_more and self._beside.has(listed)
