"""`restore --to-stores`: files into buckets, buckets into stores, by several processes, resumable."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from devicesync import adapters, data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.spool import Spool
from devicesync.assembly import refusal_limit
from devicesync.cli.options import say
from devicesync.cli.pool import Pool, archive_of, kept, patiently, stores, worker_settings
from devicesync.cli.process import progress_bar
from devicesync.cli.progress import Progress
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.erasures import pruned_erasures
from devicesync.jobs.restore.gather import Gathered, gather
from devicesync.jobs.restore.prove import Proof, write_and_prove
from devicesync.jobs.restore.selection import Selection
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.dead_letters.port import DeadLetters

_BUCKET_BYTES = 32 << 20
_FEWEST, _MOST = 16, 256


class Run(NamedTuple):
    """What is to be done, and how."""

    settings: Settings
    place: str
    archive: Archive
    selection: Selection
    dry_run: bool
    workers: int
    restart: bool


class _Task(NamedTuple):
    """What a worker is told with each part."""

    place: str
    topic: str
    selection: Selection
    dry_run: bool
    keeps_dead_letters: bool
    directory: str
    buckets: int
    spool: str


def into_stores(run: Run, entries: list[Entry]) -> dict[str, Any]:
    """The document that `restore --to-stores --json` prints. Raises Damaged, TooManyBad, Unavailable."""
    with closing(Spool(run.settings.directory / data_directory.RESTORE_SPOOL)) as spool:
        return _into_stores(run, entries, spool)


def _into_stores(run: Run, entries: list[Entry], spool: Spool) -> dict[str, Any]:
    settings = run.settings
    directory = settings.directory / data_directory.BUCKETS
    count = min(max(sum(entry.record_bytes for entry in entries) // _BUCKET_BYTES, _FEWEST), _MOST)
    progress = Progress(
        settings.directory / data_directory.RESTORE_PROGRESS, _what(run, entries), restart=run.restart or not directory.exists()
    )
    if not progress.goes_on:
        shutil.rmtree(directory, ignore_errors=True)
    keeps = not run.dry_run and _can_keep_dead_letters(settings)
    task = _Task(run.place, run.archive.topic, run.selection, run.dry_run, keeps, str(directory), count, str(spool.path))
    erasures = pruned_erasures(run.archive, run.selection, settings.max_clock_ahead_ms)
    if erasures:
        buckets = Buckets(directory, count)
        buckets.add(erasures)
        buckets.flush()
    by_name = {entry.path: entry for entry in entries}
    names = [str(bucket) for bucket in range(count)]
    files_left, buckets_left = progress.left(by_name), progress.left(names)
    if progress.goes_on:
        say(f"going on: {len(by_name) - len(files_left)} of {len(by_name)} files are read (--restart begins anew)")
    with _begins_anew_on_damage(progress, directory), Pool(run.workers, settings) as workers:
        size = sum(entry.record_bytes for entry in entries)
        with progress_bar("read the backup", size) as advance:
            advance(size - sum(by_name[name].record_bytes for name in files_left))
            for name, gathered in workers.each(_gather, {name: (task, by_name[name]) for name in files_left}):
                progress.done(name, gathered)
                advance(by_name[name].record_bytes)
        with progress_bar("compare" if run.dry_run else "write and compare", count, unit="buckets") as advance:
            advance(count - len(buckets_left))
            for name, settled in workers.each(_settle, {f"bucket {name}": (task, name) for name in buckets_left}):
                progress.done(name, settled)
                advance(1)
    document = _document(run, [progress.results[name] for name in by_name], [progress.results[name] for name in names])
    progress.finish()
    shutil.rmtree(directory, ignore_errors=True)
    return document


@contextmanager
def _begins_anew_on_damage(progress: Progress, directory: Path) -> Iterator[None]:
    """What was read of a file that then proved damaged must not be joined with what a copy of it says."""
    try:
        yield
    except Damaged:
        progress.finish()
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _document(run: Run, gathered_raw: list[Any], settled_raw: list[Any]) -> dict[str, Any]:
    gathered = msgspec.convert(gathered_raw, list[Gathered])
    settled = msgspec.convert(settled_raw, list[Proof])
    devices, cache_differs, database_differs = (
        sum(getattr(bucket, name) for bucket in settled) for name in ("devices", "cache_differs", "database_differs")
    )
    document: dict[str, Any] = {
        "records": sum(file.records for file in gathered),
        "applied": sum(file.applied for file in gathered),
        "dead": sum(file.dead for file in gathered),
        "devices": devices,
        "later_erases": sum(file.later_erases for file in gathered),
        "files": len(gathered),
    }
    if run.dry_run:
        return document | {"would_change": {"cache": cache_differs, "database": database_differs}}
    digests = [{"expected": each.expected, "cache": each.cache, "database": each.database} for each in settled]
    differing = [device_id for bucket in settled for device_id in bucket.differing][:10]
    proof = {"devices": devices, "cache_differs": cache_differs, "database_differs": database_differs}
    return document | {"proof": proof | {"buckets": digests, "differing": differing}}


def _what(run: Run, entries: list[Entry]) -> dict[str, Any]:
    return {
        "from": masked(run.place),
        "topic": run.archive.topic,
        "selection": run.selection,
        "dry_run": run.dry_run,
        "stores": [masked(run.settings.cache), masked(run.settings.database)],
        "files": [entry.sha256 for entry in entries],
    }


def _can_keep_dead_letters(settings: Settings) -> bool:
    """Where the dead letters' own store is lost too, the backup still has every bad record."""
    try:
        adapters.open_dead_letters(settings).find(limit=1)
    except Unavailable as error:
        say(f"refused records are counted, but not put to the dead letters: {error}")
        return False
    return True


def _gather(part: tuple[_Task, Entry]) -> tuple[str, Gathered]:
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
                    refusal_limit=refusal_limit(settings),
                    max_clock_ahead_ms=settings.max_clock_ahead_ms,
                )
        except OSError as error:
            raise Unavailable(f"can't write to {task.directory}: {error.strerror}", "free some space there") from error

    return entry.path, patiently(once)


def _settle(part: tuple[_Task, str]) -> tuple[str, Proof]:
    task, name = part
    states = Buckets(Path(task.directory), task.buckets).read(int(name))

    def once() -> Proof:
        is_private = worker_settings().cache.startswith("memory:")
        return write_and_prove(states, stores(read_only=task.dry_run), dry_run=task.dry_run, cache_is_private=is_private)

    return name, patiently(once)
