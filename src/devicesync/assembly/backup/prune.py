"""`backup prune`: old files away, their erasures kept."""

from itertools import chain

from devicesync import data_directory
from devicesync.archive.archive import UPLOAD_SECONDS, Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import by_range
from devicesync.assembly.backup.archives import archives_at, in_each, refuse_forged, spool_of
from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.jobs.backup.prune import old_ranges, prune_range
from devicesync.jobs.shared.backed_up import from_the_future
from devicesync.printable import printable

_NOT_KEPT = (
    "{:,} erases, the first at offset {} of {}, had versions of later than they were logged: the law refuses them, and they go"
)


def prune(place: str, settings: Settings, watcher: Watcher, *, before_ms: int, dry_run: bool) -> list[Entry]:
    """The files that were removed, or would be: those all of whose records are older. Raises Unavailable, Damaged, WrongUse."""
    removed: list[Entry] = []
    archives = archives_at(place)
    with spool_of(settings, data_directory.VERIFY_SPOOL) as spool:

        def prune_one(archive: Archive) -> None:
            entries = archive.manifest.entries()
            pruned = archive.manifest.pruned_entries()
            refuse_forged(archive, pruned, entries, settings, spool.path)
            stay = from_the_future(entries, SYSTEM.now_ms() + settings.max_clock_ahead_ms)
            old = list(old_ranges(entries, before_ms, stay))
            for entry in stay:
                said = f"{printable(entry.path)} was closed in the future by its entry"
                watcher.say(f"{said}: it stays, and the partition's files after it")
            left = {files[0].range: files for files in by_range(entries)}
            try:
                with watcher.bar(f"prune {archive.topic}", len(old), unit="files") as advance:
                    for files in [] if dry_run else old:
                        lost = prune_range(archive, files, spool.path, settings.max_clock_ahead_ms)
                        pruned += left.pop(files[0].range)
                        if lost.erases:
                            watcher.say(_NOT_KEPT.format(lost.erases, lost.offset, printable(lost.path)))
                        advance(1)
            finally:
                if not dry_run:
                    archive.remove_leftovers([*chain.from_iterable(left.values())], pruned, UPLOAD_SECONDS)
            removed.extend(entry for files in old for entry in files)

        in_each(archives, prune_one)
    return removed
