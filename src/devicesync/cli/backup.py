"""`backup run`, `list`, `verify`, `prune`: the log into files, and what is to be known of them."""

import argparse
from typing import TYPE_CHECKING

from devicesync.cli.admin import admin_option, admin_port
from devicesync.cli.options import number, print_json, settings_of, show, until_caught_up_option, verbose_option
from devicesync.errors import WrongUse
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.archive.archive import Archive
    from devicesync.archive.storage import Storage

_FILE_BYTES = 128 << 20
_FILE_SECONDS = 3600.0
PLACE = "a directory, or a URL of fsspec such as s3://BUCKET/PREFIX"


def backup_run_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup run`."""
    parser.add_argument("--to", metavar="DIR|URL", required=True, help=PLACE)
    parser.add_argument(
        "--max-file-bytes",
        metavar="N",
        type=number(int, 1),
        default=_FILE_BYTES,
        help="close a file at so many bytes of records [128 MiB]",
    )
    parser.add_argument(
        "--max-file-seconds",
        metavar="S",
        type=number(float, 0.1),
        default=_FILE_SECONDS,
        help="or at this age, also when the log is idle [3600]",
    )
    parser.add_argument(
        "--format", choices=("parquet", "jsonl"), default="parquet", help="jsonl: gzipped values, as Secor writes them [parquet]"
    )
    until_caught_up_option(parser)
    verbose_option(parser)
    admin_option(parser)


def backup_run(arguments: argparse.Namespace) -> int:
    """Keep every record of the log in files: key, value, headers, timestamp, partition and offset, bad records too.

    Each record is in exactly one file, whatever crashes. Goes on where the backup ends, until Ctrl-C or SIGTERM, which
    close the files in hand first. Over Kafka any number may run, on any number of machines.

        devicesync backup run --to backup
        devicesync backup run --to s3://my-bucket/devices --max-file-seconds 600
    """
    from contextlib import closing  # noqa: PLC0415 - --help needs none of it

    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.archive import Archive  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.parquet import spare_memory  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.spool import Spool  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, running, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.backup.run import READER, Backup, Limits  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=arguments.verbose)
    spare_memory()
    settings = settings_of(arguments).settings
    stop = stop_on_signals()
    data_directory.prepare(settings.directory)
    with closing(adapters.open_log(settings)) as log, closing(Spool(settings.directory / data_directory.BACKUP_SPOOL)) as spool:
        place = Storage(arguments.to)
        backup = Backup(
            log,
            Archive(place, log.topic),
            spool.path,
            limits=Limits(arguments.max_file_bytes, arguments.max_file_seconds),
            file_format=arguments.format,
            stop=stop,
        )
        counters = {"devicesync_backup_records_total": ("Records in files of the backup.", lambda: backup.kept.records)}
        with (
            admin_port(arguments.admin_listen, settings, READER, counters, log=log.check) as where,
            running("backup", f"{masked(settings.log)} -> {place.url}.{where}", stop),
        ):
            backup.run(until_caught_up=arguments.until_caught_up)
    if arguments.json:
        print_json({"files": backup.kept.files, "records": backup.kept.records, "bytes": backup.kept.bytes})
    return 0


def backup_list_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup list`."""
    _in_option(parser)


def backup_list(arguments: argparse.Namespace) -> int:
    """List the files of a backup, by topic, generation, partition and offset.

    A generation is one life of a topic: one that was deleted and made anew, with offsets from 0, has the next.
    """
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - --help needs none of it

    entries = [entry for archive in archives_at(Storage(arguments.place)) for entry in archive.manifest.entries()]
    if arguments.json:
        names = ("path", "topic", "generation", "partition", "first_offset", "next_offset", "records", "bytes", "sha256")
        more = ("record_bytes", "first_ms", "last_ms")
        print_json({"files": [{name: getattr(entry, name) for name in (*names, *more)} for entry in entries]})
        return 0
    for entry in entries:
        show(f"{entry.path:<70} {entry.records:>12,} records {entry.bytes:>16,} bytes")
    records, size = (sum(getattr(entry, name) for entry in entries) for name in ("records", "bytes"))
    print(f"{len(entries):,} files, {records:,} records, {size:,} bytes")
    return 0


def backup_verify_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup verify`."""
    _in_option(parser)
    parser.add_argument("--deep", action="store_true", help="read every record too, and compare it with the log's")


def backup_verify(arguments: argparse.Namespace) -> int:
    """Find what is wrong with a backup: missing and damaged files, gaps, overlaps, records that the log has and no file.

    Exit status 1 when anything is, with the files' names. A log that can't be reached, or is another one, is not compared with.
    """
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.backup_verify import verify  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    document = verify(settings, archives_at(Storage(arguments.place)), deep=arguments.deep)
    if arguments.json:
        print_json(document)
    else:
        for finding in document["problems"]:
            show(f"{finding['path']}: {finding['problem']}")
        print(f"{document['files']:,} files, {document['records']:,} records, {len(document['problems']):,} problems")
        if document["behind"]:
            print(f"the log has {document['behind']:,} more records that are in no file yet")
    return 1 if document["problems"] else 0


def backup_prune_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup prune`."""
    _in_option(parser)
    parser.add_argument("--keep-days", metavar="N", type=number(float, 0), required=True, help="keep files with younger records")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")


def backup_prune(arguments: argparse.Namespace) -> int:
    """Remove files all of whose records are older than so many days, and keep the erasures in them.

    A partition loses its first files only, so what is kept has no gap, and never its last one. What is kept restores as
    before: devices that were erased in a removed file stay erased. Devices that have not registered since are not in it.
    """
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.backup_verify import prune  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    removed = prune(settings, archives_at(Storage(arguments.place)), arguments.keep_days, dry_run=arguments.dry_run)
    if arguments.json:
        print_json({"removed": [entry.path for entry in removed], "dry_run": arguments.dry_run})
    else:
        for entry in removed:
            show(entry.path)
        print(f"{len(removed):,} files " + ("would be removed" if arguments.dry_run else "removed"))
    return 0


def _in_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--in", metavar="DIR|URL", dest="place", required=True, help=PLACE)


def archives_at(place: "Storage") -> "list[Archive]":
    """The backup of every topic there. Raises WrongUse where there is none."""
    from devicesync.archive.archive import Archive  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.manifest import topics_at  # noqa: PLC0415 - --help needs none of it

    topics = topics_at(place)
    if not topics:
        raise WrongUse(f"there is no backup in {place.url}", "name the place that `devicesync backup run --to` was given")
    return [Archive(place, topic) for topic in topics]
