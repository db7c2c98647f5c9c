"""`restore --to-topic`: files into a topic, by several processes, each partition's in order, resumable."""

import argparse
import itertools
import threading
from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from devicesync import adapters, data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import by_range
from devicesync.archive.spool import Spool
from devicesync.cli.options import say
from devicesync.cli.pool import Pool, archive_of, kept, worker_settings
from devicesync.cli.process import progress_bar
from devicesync.cli.progress import Progress
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.jobs.restore.republish import put_range
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.patience import Patience
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.log.full import Sink


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


def into_topic(
    arguments: argparse.Namespace, settings: Settings, archive: Archive, entries: list[Entry], selection: Selection
) -> dict[str, Any]:
    """The document that `restore --to-topic --json` prints. Raises Damaged, WrongUse, Unavailable."""
    with closing(Spool(settings.directory / data_directory.RESTORE_SPOOL)) as spool:
        return _into_topic(arguments, settings, archive, entries, selection, str(spool.path))


def _into_topic(  # noqa: PLR0917 - as above
    arguments: argparse.Namespace,
    settings: Settings,
    archive: Archive,
    entries: list[Entry],
    selection: Selection,
    spool: str,
) -> dict[str, Any]:
    partitions = max((entry.partition for entry in entries), default=0) + 1
    task = _Task(
        arguments.place, archive.topic, selection, arguments.to_topic, partitions, arguments.rekey, arguments.dry_run, spool
    )
    what = {
        "from": masked(arguments.place),
        "to": masked(arguments.to_topic),
        "selection": selection,
        "rekey": arguments.rekey,
        "dry_run": arguments.dry_run,
        "files": [entry.sha256 for entry in entries],
    }
    progress = Progress(settings.directory / data_directory.RESTORE_TOPIC_PROGRESS, what, restart=arguments.restart)
    if not arguments.dry_run:
        adapters.open_sink(settings, arguments.to_topic, partitions, rekey=arguments.rekey).close()
        if not progress.goes_on and not arguments.append:
            _check_empty(settings, arguments.to_topic)
        progress.begin()
    by_name = {files[0].path: files for files in by_range(entries)}
    sizes = {name: sum(entry.record_bytes for entry in files) for name, files in by_name.items()}
    left = set(progress.left(by_name))
    if progress.goes_on:
        say(f"going on: {len(by_name) - len(left)} of {len(by_name)} ranges are there (--restart begins anew)")
    size = sum(sizes.values())
    with Pool(arguments.workers, settings) as workers:
        with progress_bar("check the backup", size) as advance:
            for checked in workers.each(_check, {entry.path: (task, entry) for entry in entries}):
                advance(checked)
        with progress_bar(f"into {masked(arguments.to_topic)}", size) as advance:
            advance(size - sum(sizes[name] for name in left))
            for wave in _waves([*by_name.values()]):
                todo = {files[0].path: (task, files) for files in wave if files[0].path in left}
                for name, records in workers.each(_put, todo):
                    progress.done(name, records)
                    advance(sizes[name])
    progress.finish()
    return {"records": sum(progress.results.values()), "files": len(entries), "topic": masked(arguments.to_topic)}


def _check_empty(settings: Settings, topic: str) -> None:
    """Raise WrongUse where the topic has records. One that was made just now may have no leader yet: that is waited for."""
    if Patience(threading.Event()).until_it_works(lambda: adapters.has_records(settings, topic)):
        raise WrongUse(f"{masked(topic)} has records already", "--append puts the backup's after them; or name another topic")


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
    sink: Sink = (
        _Nowhere()
        if task.dry_run
        else kept("sink", lambda: adapters.open_sink(settings, task.to_topic, task.partitions, rekey=task.rekey))
    )
    archive = archive_of(task.place, task.topic)
    with ExitStack() as fetched:
        records = put_range(
            files,
            [fetched.enter_context(archive.fetched(entry, Path(task.spool))) for entry in files],
            task.selection,
            sink,
            Patience(threading.Event()),
            rekey=task.rekey,
            max_clock_ahead_ms=settings.max_clock_ahead_ms,
        )
    return files[0].path, records


class _Nowhere:
    """The sink of a dry run."""

    def put(self, partition: int, rows: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
