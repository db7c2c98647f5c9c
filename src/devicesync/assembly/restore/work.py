"""What a worker process does with a part of `restore --to-stores`."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devicesync.archive.entry import Entry
from devicesync.assembly import adapters
from devicesync.assembly.pool import archive_of, kept, patiently, stores, worker_settings
from devicesync.errors import Unavailable
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.gather import Gathered, gather
from devicesync.jobs.restore.prove import Proof, write_and_prove
from devicesync.jobs.restore.selection import Selection

if TYPE_CHECKING:
    from devicesync.dead_letters.port import DeadLetters


class Task(NamedTuple):
    """What a worker is told with each part."""

    place: str
    topic: str
    selection: Selection
    dry_run: bool
    keeps_dead_letters: bool
    directory: str
    buckets: int
    spool: str


def gather_file(part: tuple[Task, Entry]) -> tuple[str, Gathered]:
    """A file's events into the buckets. Repeating it is harmless."""
    task, entry = part
    settings = worker_settings()
    buckets: Buckets = kept("buckets", lambda: Buckets(Path(task.directory), task.buckets))
    dead_letters: DeadLetters | None = (
        kept("dead letters", lambda: adapters.open_dead_letters(settings)) if task.keeps_dead_letters else None
    )

    def once() -> Gathered:
        try:
            with archive_of(task.place, task.topic).fetched(entry, Path(task.spool)) as rows:
                return gather(
                    entry,
                    rows,
                    task.selection,
                    buckets,
                    dead_letters,
                    max_clock_ahead_ms=settings.max_clock_ahead_ms,
                )
        except OSError as error:
            raise Unavailable(f"can't write to {task.directory}: {error.strerror}", "free some space there") from error

    return entry.path, patiently(once)


def settle_bucket(part: tuple[Task, str]) -> tuple[str, Proof]:
    """A bucket's devices into both stores, and the proof. Repeating it is harmless."""
    task, name = part
    states = Buckets(Path(task.directory), task.buckets).read(int(name))

    def once() -> Proof:
        both = stores(read_only=task.dry_run)
        return write_and_prove(states, both, dry_run=task.dry_run, cache_is_private=both.cache.is_private)

    return name, patiently(once)
