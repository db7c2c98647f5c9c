"""The backup: full records into files, each record in exactly one, through crashes and rebalances.

    poll → groups of rows → local file → closed → claimed → in its place → in the manifest → claimed to its end

A partition goes on where the archive ends. Before a file gets its name, its end is claimed in the log's own group. A process
that has lost the partition can't claim there. So every process that writes a file of that name writes the same records.
"""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import structlog

from devicesync.archive.archive import Archive
from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import Origin
from devicesync.archive.files import OpenFile
from devicesync.archive.ranges import MOST_DAYS
from devicesync.archive.spool import failure_of
from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.jobs.backup.beside_log import BesideLog
from devicesync.jobs.backup.closing import Closing
from devicesync.jobs.backup.descriptors import files_at_once, in_turns
from devicesync.jobs.backup.partition_backup import Limits, PartitionBackup, begun, runs_of
from devicesync.jobs.backup.recreated import Recreated
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.log.full import OFFSET, Claim, FullLog, FullRecord

READER = "backup"
"""Its name as a reader of the log."""

_POLL_SECONDS, _POLL_RECORDS, _DISK_FULL_SECONDS = 0.25, 2000, 2.0
_log: Any = structlog.get_logger("devicesync")


class Backup:
    """Copies a log into the archive of its topic. `on_step` is called at every step; tests stop it there."""

    on_step: Callable[[str], None] = staticmethod(lambda step: None)

    def __init__(
        self,
        log: FullLog,
        archive: Archive,
        spool: Path,
        *,
        limits: Limits,
        file_format: str,
        stop: threading.Event,
        clock: Clock = SYSTEM,
    ) -> None:
        self._archive = archive
        self._source = log.source
        self._spool = spool
        self._limits = limits
        self._format = file_format
        self._stop = stop
        self._clock = clock
        self._parts: dict[int, PartitionBackup] = {}
        self._former: dict[int, int] = {}  # of those that begin anew: their generations
        self._orphans: list[PartitionBackup] = []
        self._is_crowded = self._begins_anew = False
        self._files_at_once = files_at_once()
        self._encoder = Encoder(spool)
        self._reader = log.full_reader(READER, self)
        self._patience = Patience(stop, self._reader.keep_alive)
        self._recreated = Recreated(self._reader, self._patience, clock)
        beside = self._beside = BesideLog(archive, log, spool, stop)
        self._closing = Closing(self._reader, beside, self._recreated, stop=stop, is_ours=self._is_ours, on_step=self.on_step)
        self.kept = self._closing.kept

    def run(self, *, until_caught_up: bool = False) -> None:
        """Work until `stop` is set, or with `until_caught_up` until the archive has the whole log; then close all files."""
        try:
            while not self._stop.is_set():
                read = self._step()
                if until_caught_up and not read and self._is_caught_up():
                    return
            self._close(self._parts.values())
            self._closing.claim_ends([*self._parts.values()])
        except Stopped:
            _log.warning("stopped while waiting; what is not in the backup yet stays in the log, and comes again")
        finally:
            self._reader.close()
            self._encoder.close()
            self._closing.shutdown()

    def on_assigned(self, partition: int, claim: Claim | None) -> int:
        """See full.RebalanceListener."""
        part = self._part(partition, claim)
        if part.generation == self._former.get(partition):
            part = self._part(partition, None, after=part.generation)
        self._former.pop(partition, None)
        self._parts[partition] = part
        return part.expected

    def on_revoked(self, partitions: Iterable[int]) -> None:
        """See full.RebalanceListener. Open files of a topic that was deleted are finished: its records can't be read again."""
        partitions = [*partitions]
        for partition in partitions:
            self._former.pop(partition, None)
        gone = [self._parts.pop(partition) for partition in partitions if partition in self._parts]
        try:
            identity = self._reader.identity() if any(not part.is_empty for part in gone) else ""
        except Unavailable:
            identity = ""
        for part in gone:
            if not part.is_empty and not part.closed and identity not in ("", part.identity):
                part.is_stale = True
                self._orphans.append(part)
            else:
                part.discard()

    def _is_ours(self, part: PartitionBackup) -> bool:
        return self._parts.get(part.partition) is part

    def _part(self, partition: int, claim: Claim | None, after: int = 0) -> PartitionBackup:
        """Return the partition's backup, which goes on where the archive ends. Raises Unavailable."""
        identity = self._recreated.identity()
        generation = self._archive.generation_of(identity, after=after)
        last = next(self._archive.manifest.ranges_from_last(generation, partition), [])
        first, end = self._reader.bounds(partition)  # asked last: meanwhile the log may have grown, and another have kept that
        self._recreated.identity(identity)
        ours = claim if claim and claim.identity == identity else None
        is_another_s = bool(last) and last[0].identity not in ("", identity)  # see Storage.create
        if last and not is_another_s:
            self._beside.check(last, ours, first)
        start = last[0].next_offset if last else begun(ours, first)
        if start > end or is_another_s:
            _log.warning("the log lacks its backup's end, and counts as recreated", partition=partition, end=end, backup=start)
            return self._part(partition, claim, after=generation)
        is_next, listing = bool(last), self._archive.manifest.named(last)
        part = PartitionBackup(partition, generation, identity, start, ours, follows=is_next, listing=listing, clock=self._clock)
        part.skip_to(first)
        return part

    def _step(self) -> int:
        self._begins_anew = False
        due_in = min((part.due_in(self._limits.file_seconds) for part in self._parts.values()), default=_POLL_SECONDS)
        polled = self._patience.until_it_works(self._reader.poll, _POLL_RECORDS, min(max(due_in, 0), _POLL_SECONDS))
        for part, rows in [(self._parts.get(partition), rows) for partition, rows in polled.items()]:
            if part and self._is_ours(part):
                self._take(part, rows)
        while left := [part for part in self._parts.values() if part.is_full or part.waiting]:
            self._close([part for part in left if part.is_full])
            for part in filter(self._is_ours, left):
                self._take(part, [])
        self._closing.look_behind(self._parts.values())
        self._recreated.mark_now_and_then(self._parts.values())
        parts, seconds = self._parts.values(), self._limits.file_seconds
        self._close([part for part in parts if self._is_crowded or part.is_stale or part.due_in(seconds) <= 0])
        self._is_crowded = False
        if polled:
            _log.debug("batch", records=sum(map(len, polled.values())), partitions=len(polled))
        return len(polled)

    def _take(self, part: PartitionBackup, rows: list[FullRecord]) -> None:
        """Add rows to the open file until it is full: first the waiting rows, then these. The others wait."""
        self._make_room(part)
        if rows and part.is_empty:  # what is added to records of the former log is not told from them any more
            self._recreated.mark([part])
        if not self._is_ours(part) or part.is_stale:
            part.is_full = True
            return
        rows, part.waiting = [*part.waiting, *rows], []
        part.polled_to = rows[-1][OFFSET] if rows else part.polled_to
        for run in runs_of(rows, part.expected):
            if part.is_full or (run[0][OFFSET] != part.expected and not self._may_follow(part, run[0][OFFSET])):
                part.is_full = True
                part.waiting += run
                continue
            try:
                part.waiting = part.keep(run, self._limits.file_bytes, self._open)
            except OSError as error:
                self._start_again(part, error)
                return

    def _make_room(self, part: PartitionBackup) -> None:
        """When as many files are open as allowed, close them, so that this partition can have one."""
        if len(self._parts) * MOST_DAYS <= self._files_at_once:
            return
        opened = [each for each in self._parts.values() if each.open_files and each is not part]
        if sum(each.open_files for each in opened) >= self._files_at_once:
            self._close(opened)

    def _may_follow(self, part: PartitionBackup, offset: int) -> bool:
        """Return whether the record may follow in the open file, although offsets before it are missing."""
        if offset < part.expected:
            part.is_stale = True
            return False
        known = part.none_before(part.expected)
        if offset <= max(known, part.whole_to):
            return True
        first = None
        for end in (part.polled_to, offset):  # one answer is good for all gaps of a poll, unless more is gone
            first = self._recreated.asked([part], self._reader.left_from, part.partition, known, end)
            if first == known:  # the log has nothing in between: compaction, or markers of transactions
                part.whole_to = end
                return True
        if first is None or (not part.is_empty and first >= (part.agreed_end or 0)):
            return False
        part.skip_to(first)
        return True

    def _open(self, part: PartitionBackup) -> OpenFile:
        origin = Origin(self._archive.topic, self._source, part.generation, part.partition, part.identity)
        is_timed = self._reader.has_log_time
        return OpenFile(self._spool, origin, self._format, self._encoder, clock=self._clock, has_log_time=is_timed)

    def _close(self, parts: Iterable[PartitionBackup]) -> None:
        """Close files, upload them, and begin new ones."""
        orphans, self._orphans = self._orphans, []
        wanted = [*(part for part in parts if not part.is_empty or part.is_stale), *orphans]
        wanted.sort(key=lambda part: part.open_files, reverse=True)  # first what has files open already
        for some in in_turns(wanted, self._files_at_once):
            self._close_at_once([part for part in some if part in orphans or self._is_ours(part)])

    def _close_at_once(self, wanted: list[PartitionBackup]) -> None:
        self.on_step("closing")
        self._closing.close(self._closing.finish([part for part in wanted if not part.is_empty], self._start_again))
        for part in wanted:
            if part.is_stale and self._is_ours(part):
                self._patience.until_it_works(self._renew, part)

    def _renew(self, part: PartitionBackup) -> None:
        """Begin the next generation at a later poll: the log was recreated. Nothing is to do once the partition is another's."""
        if self._is_ours(part):
            self._reader.begin_anew(part.partition)
            self._former[part.partition] = self._parts.pop(part.partition).generation
            self._begins_anew = True

    def _start_again(self, part: PartitionBackup, error: OSError) -> None:
        """The local disk is full: drop the file, close the others to make room, read its records again. Raises Unavailable."""
        failure = failure_of(self._spool, error)
        _log.warning("waiting", reason=str(failure), hint=failure.hint)
        part.start_again()
        self._is_crowded = True
        if self._is_ours(part):
            self._recreated.asked([part], self._reader.rewind, part.partition, part.start)
        if self._stop.wait(_DISK_FULL_SECONDS):
            raise Stopped

    def _is_caught_up(self) -> bool:
        self._recreated.mark(self._parts.values())
        self._close(self._parts.values())
        self._closing.claim_starts([*self._parts.values()])
        return not self._begins_anew and self._patience.until_it_works(self._reader.caught_up)
