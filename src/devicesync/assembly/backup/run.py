"""`backup run`: the log into files."""

from contextlib import closing
from typing import Literal

from devicesync import data_directory
from devicesync.archive.archive import Archive
from devicesync.archive.manifest import MANIFEST
from devicesync.archive.parquet import spare_memory
from devicesync.archive.spool import Spool
from devicesync.archive.storage import Storage
from devicesync.assembly import adapters, named_log
from devicesync.assembly.admin import admin_port, used
from devicesync.assembly.long_run import LongRun
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.jobs.backup.closing import Kept
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.backup.run import READER, Backup
from devicesync.url import masked


def backup(to: str, settings: Settings, run: LongRun, limits: Limits, file_format: Literal["parquet", "jsonl"]) -> Kept:
    """Keep the log's records at `to` until the run ends; what was kept. Raises Unavailable, WrongUse."""
    if named_log.topic_of(settings).lower() == MANIFEST:  # some file systems take both for one name
        raise WrongUse(
            f"a log named {MANIFEST} can't be backed up: a backup has its manifest at that name", "name the log otherwise"
        )
    spare_memory()
    data_directory.prepare(settings.directory)
    with closing(adapters.open_log(settings)) as log, closing(Spool(settings.directory / data_directory.BACKUP_SPOOL)) as spool:
        place = Storage(to)
        job = Backup(log, Archive(place, log.topic), spool.path, limits=limits, file_format=file_format, stop=run.stop)
        uses = used(settings, "log") | {"backup": place.url}
        with (
            admin_port(run.admin_listen, settings, "backup run", READER, job.kept.readings, uses=uses, log=log.check) as where,
            run.watcher.running(f"{masked(settings.log)} -> {place.url}.{where}"),
        ):
            job.run(until_caught_up=run.until_caught_up)
    return job.kept
