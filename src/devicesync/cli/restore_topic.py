"""`restore --to-topic`: files into a topic, by several processes, each partition's in order, resumable."""

import argparse
import itertools
import threading
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from devicesync import adapters
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.spool import Spool
from devicesync.cli.options import say
from devicesync.cli.pool import Pool, archive_of, kept, worker_settings
from devicesync.cli.process import progress_bar
from devicesync.cli.progress import Progress
from devicesync.config import Settings, masked
from devicesync.jobs.patience import Patience
from devicesync.jobs.restore.retopic import put_file
from devicesync.jobs.restore.selection import Selection

if TYPE_CHECKING:
    from devicesync.log.port import Sink


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
    with closing(Spool(settings.directory / "restore-spool")) as spool:
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
        "from": arguments.place,
        "to": masked(arguments.to_topic),
        "selection": selection,
        "rekey": arguments.rekey,
        "dry_run": arguments.dry_run,
        "files": [entry.sha256 for entry in entries],
    }
    progress = Progress(settings.directory / "restore-topic.json", what, restart=arguments.restart)
    if not arguments.dry_run:
        adapters.open_sink(settings, arguments.to_topic, partitions, rekey=arguments.rekey).close()
    by_name = {entry.path: entry for entry in entries}
    left = set(progress.left(by_name))
    if progress.goes_on:
        say(f"going on: {len(by_name) - len(left)} of {len(by_name)} files are there (--restart begins anew)")
    size = sum(entry.record_bytes for entry in entries)
    with Pool(arguments.workers, settings) as workers:
        with progress_bar("check the backup", size) as advance:
            for done in workers.each(_check, {entry.path: (task, entry) for entry in entries}):
                advance(by_name[done].record_bytes)
        with progress_bar(f"into {masked(arguments.to_topic)}", size) as advance:
            advance(size - sum(by_name[name].record_bytes for name in left))
            for wave in _waves(entries):
                todo = {entry.path: (task, entry) for entry in wave if entry.path in left}
                for name, records in workers.each(_put, todo):
                    progress.done(name, records)
                    advance(by_name[name].record_bytes)
    progress.finish()
    return {"records": sum(progress.results.values()), "files": len(entries), "topic": masked(arguments.to_topic)}


def _waves(entries: list[Entry]) -> list[list[Entry]]:
    """The first file of every partition, then the second of each, and so on: a partition keeps its order."""
    of_partition: defaultdict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        of_partition[entry.partition].append(entry)
    return [[entry for entry in wave if entry] for wave in itertools.zip_longest(*of_partition.values())]


def _check(part: tuple[_Task, Entry]) -> str:
    task, entry = part
    with archive_of(task.place, task.topic).fetched(entry, Path(task.spool)) as rows:
        for _ in rows:  # read to the end, it has proved whole
            pass
    return entry.path


def _put(part: tuple[_Task, Entry]) -> tuple[str, int]:
    task, entry = part
    settings = worker_settings()
    sink: Sink = (
        _Nowhere()
        if task.dry_run
        else kept("sink", lambda: adapters.open_sink(settings, task.to_topic, task.partitions, rekey=task.rekey))
    )
    with archive_of(task.place, task.topic).fetched(entry, Path(task.spool)) as rows:
        records = put_file(
            entry,
            rows,
            task.selection,
            sink,
            Patience(threading.Event()),
            rekey=task.rekey,
            max_clock_ahead_ms=settings.max_clock_ahead_ms,
        )
    return entry.path, records


class _Nowhere:
    """The sink of a dry run."""

    def put(self, partition: int, rows: object) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
