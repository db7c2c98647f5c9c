"""`restore --to-stores`: files into buckets, buckets into stores, and the proof."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from devicesync import data_directory
from devicesync.archive.entry import Entry
from devicesync.archive.spool import Spool
from devicesync.assembly import adapters
from devicesync.assembly.pool import Pool
from devicesync.assembly.progress import Progress
from devicesync.assembly.restore.run import Request, Run, begin
from devicesync.assembly.restore.work import Task, gather_file, settle_bucket
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.gather import LETTER_TIMES, Gathered
from devicesync.jobs.restore.prove import Proof
from devicesync.jobs.shared.pruned import pruned_erasures

_BUCKET_BYTES, _BUCKET_DEVICES = 32 << 20, 50_000
"""Of a bucket, about, where no records are of one device: as much memory takes what settles it."""
_FEWEST, _MOST = 16, 1024
_AHEAD = (
    "{:,} of the refused records have versions of later than they were logged or kept: a clock was wrong. Some may be erases"
    "\n  hint: `devicesync dead-letters list`; DEVICESYNC_MAX_CLOCK_AHEAD_SECONDS=N takes what is up to N seconds later"
)
_NOT_KEPT = (
    f"{{:,}} of the refused records are no dead letters: of a backup's file these have at most {LETTER_TIMES} times its bytes"
    "\n  hint: `restore --to-topic`, and an updater of that topic, make dead letters of all"
)
_SAID = {"ahead": _AHEAD, "not_kept": _NOT_KEPT}


def restore_to_stores(request: Request, settings: Settings, watcher: Watcher) -> dict[str, Any]:
    """The document that `restore --to-stores --json` prints, without its seconds.

    Raises Damaged, Unavailable; Held while another one uses the data directory.
    """
    run = begin(request, settings, watcher)
    with ExitStack() as opened:
        opened.enter_context(data_directory.Hold(settings.directory / data_directory.RESTORE_STORES, "restore --to-stores"))
        if request.dry_run and not adapters.database_exists(settings):
            there = opened.enter_context(TemporaryDirectory())
            settings = msgspec.structs.replace(settings, database=f"sqlite:{there}/empty.db")
            adapters.open_database(settings).close()
        workers = _check_stores(request, settings, opened)
        spool = opened.enter_context(closing(Spool(settings.directory / data_directory.RESTORE_SPOOL)))
        return _into_stores(run._replace(request=request._replace(workers=workers), settings=settings), spool)


def _check_stores(request: Request, settings: Settings, opened: ExitStack) -> int:
    """See that both stores can be used, and hold the data directory where need be; how many processes may write at once."""
    with closing(adapters.open_stores(settings, read_only=request.dry_run)) as stores:
        if stores.cache.is_private and not request.dry_run:
            # Such a cache is its updater's own, and would not see what we write into the database.
            opened.enter_context(data_directory.Hold(settings.directory, "restore"))
        stores.cache.check()
        stores.database.check()
        return min(request.workers, stores.database.ranges)


def _into_stores(run: Run, spool: Spool) -> dict[str, Any]:
    directory = run.settings.directory / data_directory.BUCKETS
    count = bucket_count(run)
    buckets = Buckets(directory, count)
    restart = run.request.restart or not buckets.are_prepared
    what = run.what_is_taken() | {"buckets_by_writer": count}  # the same for any stores
    progress = Progress(run.settings.directory / data_directory.RESTORE_PROGRESS, what, restart=restart, directory=directory)
    if not progress.goes_on:
        progress.clear()
    keeps = not run.request.dry_run and _can_keep_dead_letters(run)
    request, topic = run.request, run.archive.topic
    task = Task(request.place, topic, request.selection, request.dry_run, keeps, str(directory), count, str(spool.path))
    buckets.prepare()
    of_erasures = _keep_erasures(run, buckets)
    with _begins_anew_on_damage(progress), Pool(run.request.workers, run.settings, run.watcher.say) as pool:
        by_name = {entry.path: entry for entry in run.entries}
        _gather(run, pool, task, progress, by_name)
        gathered = msgspec.convert([progress.results[name] for name in by_name], list[Gathered])
        buckets.count([of_erasures, *(file.writer for file in gathered)])
        settled = _settle(run, pool, task)
    document = _document(run, gathered, settled)
    for name, sentence in _SAID.items():
        if document[name]:
            run.watcher.say(sentence.format(document[name]))
    progress.clear()
    return document


def bucket_count(run: Run) -> int:
    """Into how many buckets what is read is divided. By the records too: small ones take more than they have."""
    return min(max(run.record_bytes // _BUCKET_BYTES, run.most_devices // _BUCKET_DEVICES, _FEWEST), _MOST)


def _keep_erasures(run: Run, buckets: Buckets) -> str:
    for erasures in pruned_erasures(run.archive, run.settings.max_clock_ahead_ms, run.request.selection.device_id):
        buckets.add(erasures)
    return buckets.flush()


def _gather(run: Run, pool: Pool, task: Task, progress: Progress, by_name: dict[str, Entry]) -> None:
    left = progress.left(by_name)
    progress.tell(run.watcher, len(by_name) - len(left), len(by_name), "files are read")
    with run.watcher.bar("read the backup", run.record_bytes) as advance:
        advance(run.record_bytes - sum(by_name[name].record_bytes for name in left))
        for name, gathered in pool.each(gather_file, {name: (task, by_name[name]) for name in left}):
            progress.done(name, gathered)
            advance(by_name[name].record_bytes)


def _settle(run: Run, pool: Pool, task: Task) -> list[Proof]:
    """Every bucket, in each run anew: what an interrupted run has proved the stores may have lost since."""
    names = [str(bucket) for bucket in range(task.buckets)]
    settled: dict[str, Proof] = {}
    with run.watcher.bar("compare" if task.dry_run else "write and compare", len(names), unit="buckets") as advance:
        for name, proof in pool.each(settle_bucket, {f"bucket {name}": (task, name) for name in names}):
            settled[name] = proof
            advance(1)
    return [settled[name] for name in names]


@contextmanager
def _begins_anew_on_damage(progress: Progress) -> Iterator[None]:
    """What was read of a file that then proved damaged must not be joined with what a copy of it says."""
    try:
        yield
    except Damaged:
        progress.clear()
        raise


def _document(run: Run, gathered: list[Gathered], settled: list[Proof]) -> dict[str, Any]:
    devices, cache_differs, database_differs = (
        sum(getattr(bucket, name) for bucket in settled) for name in ("devices", "cache_differs", "database_differs")
    )
    document: dict[str, Any] = {
        "records": sum(file.records for file in gathered),
        "applied": sum(file.applied for file in gathered),
        "dead": sum(file.dead for file in gathered),
        "devices": devices,
        "later_erases": sum(file.later_erases for file in gathered),
        "ahead": sum(file.ahead for file in gathered),
        "not_kept": sum(file.not_kept for file in gathered),
        "files": len(gathered),
        "gaps": run.gaps,
        "revisions": run.revisions,
    }
    if run.request.dry_run:
        return document | {"would_change": {"cache": cache_differs, "database": database_differs}}
    digests = [{"expected": each.expected, "cache": each.cache, "database": each.database} for each in settled]
    differing = [device_id for bucket in settled for device_id in bucket.differing][:10]
    proof = {"devices": devices, "cache_differs": cache_differs, "database_differs": database_differs}
    return document | {"proof": proof | {"buckets": digests, "differing": differing}}


def _can_keep_dead_letters(run: Run) -> bool:
    """Where the dead letters' own store is lost too, the backup still has every bad record."""
    try:
        adapters.check_dead_letters(run.settings)
    except Unavailable as error:
        run.watcher.say(f"refused records are counted, but not put to the dead letters: {error}; hint: {error.hint}")
        return False
    return True
