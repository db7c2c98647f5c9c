"""What is to be restored, and its files."""

from typing import Any, NamedTuple

from devicesync import data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import revisions_in
from devicesync.archive.storage import Storage
from devicesync.assembly import named_log
from devicesync.assembly.backup.archives import archives_at, refuse_forged, spool_of, tell_revisions
from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import Damaged, WrongUse
from devicesync.jobs.restore.complete import files_to_restore
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.backed_up import from_the_future
from devicesync.printable import printable
from devicesync.url import masked_place

_NAMED = 10


class Request(NamedTuple):
    """Which records of which backup, and how. workers: so many processes at once. restart: begin an interrupted run anew."""

    place: str
    selection: Selection
    allow_gaps: bool
    dry_run: bool
    workers: int
    restart: bool


class Run(NamedTuple):
    """A request for the files that it names.

    pruned: the entries of pruned ones. erasures: how many these have. gaps: how many places it passes over.
    """

    request: Request
    settings: Settings
    watcher: Watcher
    archive: Archive
    entries: list[Entry]
    pruned: list[Entry]
    erasures: int
    gaps: int

    @property
    def revisions(self) -> int:
        """How many ranges were written anew, as a redact does."""
        return revisions_in(self.entries)

    @property
    def record_bytes(self) -> int:
        """Of all records in the files."""
        return sum(entry.record_bytes for entry in self.entries)

    @property
    def most_devices(self) -> int:
        """So many they may be: a file with more records than its entry says is damaged, and what pruned ones have was counted."""
        return sum(entry.records for entry in self.entries) + self.erasures

    def what_is_taken(self) -> dict[str, Any]:
        """All that decides what is read of which records, so that only a run with the same goes on with what was read.

        future: the files that this machine's clock takes for later than now. `--allow-gaps` reads them, and the law refuses
        some of what they have. Once the clock is right, they are read anew.
        """
        files, ahead_ms = [*self.pruned, *self.entries], self.settings.max_clock_ahead_ms
        return {
            "from": masked_place(self.request.place),
            "topic": self.archive.topic,
            "selection": self.request.selection,
            "allow_gaps": self.request.allow_gaps,
            "max_clock_ahead_ms": ahead_ms,
            "dry_run": self.request.dry_run,
            "files": [*map(_content_of, files)],
            "future": [*map(_content_of, from_the_future(files, SYSTEM.now_ms() + ahead_ms))],
        }


def _content_of(entry: Entry) -> tuple[str | int, ...]:
    """What changes whenever a file's records do: the times, keys and offsets of JSON lines are in its rest."""
    return entry.sha256, entry.rest.sha256 if entry.rest else "", *entry.order


def begin(request: Request, settings: Settings, watcher: Watcher) -> Run:
    """Find the files, and name some of what is missing. Raises WrongUse, Unavailable, and Damaged where that is not allowed."""
    data_directory.prepare(settings.directory)
    archive = _archive(request.place, settings)
    wanted = files_to_restore(archive, settings.max_clock_ahead_ms, allow_gaps=request.allow_gaps)
    with spool_of(settings, data_directory.RESTORE_SPOOL) as spool:
        try:
            refuse_forged(archive, wanted.pruned, wanted.entries, settings, spool.path)
        except Damaged as forged:
            if not request.allow_gaps:
                raise
            wanted.gaps.append(forged)
    tell_revisions(archive, wanted.entries, watcher)
    for gap in wanted.gaps[:_NAMED]:
        watcher.say(f"passed over: {printable(str(gap))}")
    if len(wanted.gaps) > _NAMED:
        watcher.say(f"and {len(wanted.gaps) - _NAMED:,} more: `devicesync backup verify` names them all")
    return Run(request, settings, watcher, archive, wanted.entries, wanted.pruned, wanted.erasures, len(wanted.gaps))


def _archive(place: str, settings: Settings) -> Archive:
    """The backup of the topic that `log` names. Another one is never taken in its place: its records would go into our stores."""
    archives = {archive.topic: archive for archive in archives_at(place)}
    topic = named_log.topic_of(settings)
    if topic in archives:
        return archives[topic]
    raise WrongUse(
        f"{Storage(place).url} has no backup of {topic}, but of {', '.join(archives)}",
        "name the log that was backed up with --log",
    )
