"""The backups at a place, and room on the local disk to work on them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from devicesync import data_directory
from devicesync.archive.archive import Archive, topics_at
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import revisions_in
from devicesync.archive.spool import Spool
from devicesync.archive.storage import Storage
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import Damaged, WrongUse
from devicesync.jobs.backup.replaced import refuse_doubts
from devicesync.jobs.backup.verify import check_overlaps
from devicesync.jobs.shared.pruned import pruned_erasures


def archives_at(place: str) -> list[Archive]:
    """The backup of every topic there. Raises WrongUse where there is none."""
    opened = Storage(place)
    topics = topics_at(opened)
    if not topics:
        raise WrongUse(f"there is no backup in {opened.url}", "name the place that `devicesync backup run --to` was given")
    return [Archive(opened, topic) for topic in topics]


def in_each(archives: Iterable[Archive], work: Callable[[Archive], None]) -> None:
    """Call it with each, also after one that is damaged. Raises the first Damaged at the end, and what else is raised at once."""
    damaged: list[Damaged] = []
    for archive in archives:
        try:
            work(archive)
        except Damaged as error:
            damaged.append(error)
    if damaged:
        raise damaged[0]


def refuse_forged(archive: Archive, pruned: list[Entry], entries: list[Entry], settings: Settings, spool: Path) -> None:
    """Refuse what no prune and no redact leaves, before either removes the files that show it. Raises Damaged, Unavailable.

    Refused are overlaps, a range that counts as pruned after others that do not, and a revision that lacks what no redact takes
    out. pruned, entries: all that the manifest has.
    """
    for problem in check_overlaps(pruned, entries):
        raise Damaged(problem.path, problem.problem)
    erases = pruned_erasures(archive, settings.max_clock_ahead_ms)
    refuse_doubts(archive, entries, erases, spool)


def tell_revisions(archive: Archive, entries: list[Entry], watcher: Watcher) -> int:
    """Say how many of the ranges are revisions, if any are. Return it."""
    count = revisions_in(entries)
    if count:
        watcher.say(
            f"{archive.topic}: {count:,} ranges are revisions, as `backup redact` writes them: they lack what it took out"
        )
    return count


def entries_at(place: str) -> list[Entry]:
    """Every file of the backup there, by topic, generation, partition and offset. Raises WrongUse, Unavailable, Damaged."""
    return [entry for archive in archives_at(place) for entry in archive.manifest.entries()]


@contextmanager
def spool_of(settings: Settings, name: str) -> Iterator[Spool]:
    """A directory of that name in the data directory, for files on their way; emptied after the body."""
    data_directory.prepare(settings.directory)
    with closing(Spool(settings.directory / name)) as spool:
        yield spool
