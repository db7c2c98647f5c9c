"""`restore --to-topic`: files into a topic, each partition's in order."""

import itertools
import threading
from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from devicesync import data_directory
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import by_range
from devicesync.archive.spool import Spool
from devicesync.assembly import adapters
from devicesync.assembly.pool import Pool, archive_of, kept, worker_settings
from devicesync.assembly.progress import Progress
from devicesync.assembly.restore.run import Request, Run, begin
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import Replaced, WrongUse
from devicesync.jobs.restore.erasures import erasure_rows
from devicesync.jobs.restore.republish import put_range
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.patience import Patience
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.log.full import Sink, Survey

_DRY_RUN_PROGRESS = "dry-run.json"


class Target(NamedTuple):
    """A topic of the log's Kafka, or kafka://HOST:PORT/TOPIC. rekey: partition by key. append: also where records are."""

    topic: str
    rekey: bool
    append: bool


class _Task(NamedTuple):
    """What a worker is told with each file."""

    place: str
    topic: str
    selection: Selection
    to_topic: str
    partitions: int
    rekey: bool
    dry_run: bool
    spool: str


def restore_to_topic(request: Request, target: Target, settings: Settings, watcher: Watcher) -> dict[str, Any]:
    """The document that `restore --to-topic --json` prints, without its seconds.

    Raises Damaged, WrongUse, Unavailable; Held while another restore into a topic uses the data directory; Replaced.
    """
    run = begin(request, settings, watcher)
    with ExitStack() as opened:
        # What is done so far is noted in one file: two restores would take it from each other.
        opened.enter_context(data_directory.Hold(settings.directory / data_directory.RESTORE_TOPIC, "restore --to-topic"))
        spool = opened.enter_context(closing(Spool(settings.directory / data_directory.RESTORE_SPOOL)))
        return _into_topic(run, target, str(spool.path))


def _into_topic(run: Run, target: Target, spool: str) -> dict[str, Any]:
    request, settings = run.request, run.settings
    partitions = max((entry.partition for entry in [*run.entries, *run.pruned]), default=0) + 1
    task = _Task(
        request.place, run.archive.topic, request.selection, target.topic, partitions, target.rekey, request.dry_run, spool
    )
    before = None if request.dry_run else _prepared(settings, target, partitions)
    into = {"to": masked(target.topic), "rekey": target.rekey, "identity": before and before.identity}
    what = run.what_is_taken() | into
    noted = settings.directory / data_directory.RESTORE_TOPIC_PROGRESS if before else Path(spool) / _DRY_RUN_PROGRESS
    progress = Progress(noted, what, restart=request.restart)
    if before:
        if before.records and not (progress.goes_on or target.append):
            raise WrongUse(
                f"{masked(target.topic)} has records already", "--append puts the backup's after them; or name another topic"
            )
        progress.begin()
    with Pool(request.workers, settings, run.watcher.say) as pool:
        _check_all(run, pool, task)
        _put_erasures(run, task, progress)
        _put_all(run, pool, task, progress)
    records = sum(progress.results.values())
    if before:
        progress.begin()  # all is noted: the same command again puts nothing more
        _check_what_is_there(run, target, before.identity, records, goes_on=progress.goes_on)
    progress.finish()
    counts = {"records": records, "files": len(run.entries), "gaps": run.gaps, "revisions": run.revisions}
    return {**counts, "topic": masked(target.topic)}


def _check_all(run: Run, pool: Pool, task: _Task) -> None:
    with run.watcher.bar("check the backup", run.record_bytes) as advance:
        for checked in pool.each(_check, {entry.path: (task, entry) for entry in run.entries}):
            advance(checked)


def _put_erasures(run: Run, task: _Task, progress: Progress) -> None:
    """Those of pruned files, as records: whoever was erased there is not brought back by what came late."""
    patience = Patience(threading.Event())
    with closing(_sink_of(task, run.settings)) as sink:
        for pruned in run.archive.manifest.pruned():
            partition = pruned.entries[0].partition
            if not progress.left([pruned.path]):
                continue
            count = 0
            for rows in erasure_rows(pruned, task.selection, run.settings.max_clock_ahead_ms):
                patience.until_it_works(sink.put, partition, rows)
                count += len(rows)
            progress.done(pruned.path, count)


def _put_all(run: Run, pool: Pool, task: _Task, progress: Progress) -> None:
    by_name = {files[0].path: files for files in by_range(run.entries)}
    sizes = {name: sum(entry.record_bytes for entry in files) for name, files in by_name.items()}
    left = set(progress.left(by_name))
    progress.tell(run.watcher, len(by_name) - len(left), len(by_name), "ranges are there")
    with run.watcher.bar(f"into {masked(task.to_topic)}", run.record_bytes) as advance:
        advance(run.record_bytes - sum(sizes[name] for name in left))
        for wave in _waves([*by_name.values()]):
            todo = {files[0].path: (task, files) for files in wave if files[0].path in left}
            for name, records in pool.each(_put, todo):
                progress.done(name, records)
                advance(sizes[name])


def _prepared(settings: Settings, target: Target, partitions: int) -> "Survey":
    """Make the topic, or check its settings; what it has. One made just now may have no leader yet: that is waited for."""
    adapters.open_sink(settings, target.topic, partitions, rekey=target.rekey).close()
    return _survey(settings, target)


def _survey(settings: Settings, target: Target) -> "Survey":
    return Patience(threading.Event()).until_it_works(adapters.survey_topic, settings, target.topic)


def _check_what_is_there(run: Run, target: Target, identity: str, records: int, *, goes_on: bool) -> None:
    """Raise Replaced where the topic is another one by now, or has not as many records as were put there.

    Where an earlier run began it, some may be there twice: that is only said. With --append others may write there.
    """
    found = _survey(run.settings, target)
    if found.identity != identity or found.records < records:
        raise Replaced(
            f"{masked(target.topic)} has {found.records:,} of {records:,} records: it was made anew or emptied meanwhile",
            "name another topic; or delete this one, and start again",
        )
    if found.records == records or target.append:
        return
    more = f"{masked(target.topic)} has {found.records:,} records, and {records:,} were put there"
    if not goes_on:
        raise Replaced(
            f"{more}: others wrote there too, or a worker process died, and its part was put again",
            "delete the topic, and start again; or call the same command again: it takes the topic as it is",
        )
    run.watcher.say(f"{more}: what was under way when an earlier run ended is there twice, or others wrote there too")


def _waves(ranges: list[list[Entry]]) -> list[list[list[Entry]]]:
    """The first range of every partition, then the second of each, and so on: a partition keeps its order."""
    of_partition: defaultdict[int, list[list[Entry]]] = defaultdict(list)
    for files in ranges:
        of_partition[files[0].partition].append(files)
    return [[files for files in wave if files] for wave in itertools.zip_longest(*of_partition.values())]


def _check(part: tuple[_Task, Entry]) -> int:
    task, entry = part
    with archive_of(task.place, task.topic).fetched(entry, Path(task.spool)) as rows:
        for _ in rows:  # read to the end, it has proved whole
            pass
    return entry.record_bytes


def _put(part: tuple[_Task, list[Entry]]) -> tuple[str, int]:
    task, files = part
    settings = worker_settings()
    sink = kept("sink", lambda: _sink_of(task, settings))
    records = put_range(
        archive_of(task.place, task.topic),
        files,
        Path(task.spool),
        task.selection,
        sink,
        Patience(threading.Event()),
        rekey=task.rekey,
        max_clock_ahead_ms=settings.max_clock_ahead_ms,
    )
    return files[0].path, records


def _sink_of(task: _Task, settings: Settings) -> "Sink":
    if task.dry_run:
        return _Nowhere()
    return adapters.open_sink(settings, task.to_topic, task.partitions, rekey=task.rekey)


class _Nowhere:
    """The sink of a dry run."""

    def put(self, partition: int, rows: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
