"""`backup run`, `list`, `verify`, `prune`, `redact`: the log into files, and what is to be known of them."""

import argparse
from typing import TYPE_CHECKING

from devicesync.cli.options import (
    PLACE,
    admin_option,
    id_argument,
    in_option,
    log_options,
    number,
    until_caught_up_option,
)
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings

if TYPE_CHECKING:
    from devicesync.archive.entry import Entry

_FILE_BYTES = 128 << 20
_FILE_SECONDS = 3600.0
_LISTED = (
    *("path", "topic", "generation", "partition", "first_offset", "next_offset", "records", "bytes", "sha256"),
    *("record_bytes", "first_ms", "last_ms"),
)


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
    log_options(parser)
    admin_option(parser)


def backup_run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Keep every record of the log in files: key, value, headers, timestamp, partition and offset, bad records too.

    Each record is in exactly one file, whatever crashes. Goes on where the backup ends, until Ctrl-C or SIGTERM, which
    close the open files first. Over Kafka any number may run, on any number of machines.

        devicesync backup run --to backup
        devicesync backup run --to s3://my-bucket/devices --max-file-seconds 600
    """
    from devicesync.assembly.backup.run import backup
    from devicesync.cli.process import long_run
    from devicesync.jobs.backup.run import Limits

    run = long_run("backup", arguments)
    limits = Limits(arguments.max_file_bytes, arguments.max_file_seconds)
    kept = backup(arguments.to, settings, run, limits, arguments.format)
    return Outcome({"files": kept.files, "records": kept.records, "bytes": kept.bytes})


def backup_list_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup list`."""
    in_option(parser)


def backup_list(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """List the files of a backup, by topic, generation, partition and offset.

    A generation is one life of a topic. A topic that was deleted and recreated, with offsets from 0, begins the next.
    """
    from devicesync.assembly.backup.archives import entries_at

    del settings
    entries = entries_at(arguments.place)
    records, size = (sum(getattr(entry, name) for entry in entries) for name in ("records", "bytes"))
    lines = [*map(_line, entries), f"{len(entries):,} files, {records:,} records, {size:,} bytes"]
    return Outcome({"files": [{name: getattr(entry, name) for name in _LISTED} for entry in entries]}, lines)


def backup_verify_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup verify`."""
    in_option(parser)
    parser.add_argument("--deep", action="store_true", help="read every record too, and compare it with the log's")


def backup_verify(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Find what is wrong with a backup: missing and damaged files, gaps, overlaps, records that the log has and no file.

    Exit status 1 when anything is, with the files' names. A log that can't be reached, or is another one, is not compared with.
    """
    from devicesync.assembly.backup.verify import verify
    from devicesync.cli.process import Terminal

    found = verify(arguments.place, settings, Terminal("backup verify"), deep=arguments.deep)
    lines = [f"{finding['path']}: {finding['problem']}" for finding in found["problems"]]
    lines.append(f"{found['files']:,} files, {found['records']:,} records, {len(found['problems']):,} problems")
    if found["behind"]:
        lines.append(f"the log has {found['behind']:,} more records that are in no file yet")
    return Outcome(found, lines, status=1 if found["problems"] else 0)


def backup_prune_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup prune`."""
    in_option(parser)
    parser.add_argument("--keep-days", metavar="N", type=number(float, 0), required=True, help="keep files with younger records")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")


def backup_prune(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Remove files all of whose records are older than so many days, and keep the erasures in them.

    A partition loses its first files only, so what is kept has no gap, and never its last one. What is kept restores as
    before: devices that were erased in a removed file stay erased. Devices that have not registered since are not in it.
    """
    from devicesync.assembly.backup.prune import prune
    from devicesync.cli.process import Terminal

    days, dry_run = arguments.keep_days, arguments.dry_run
    removed = prune(arguments.place, settings, Terminal("backup prune"), keep_days=days, dry_run=dry_run)
    paths = [entry.path for entry in removed]
    told = f"{len(paths):,} files " + ("would be removed" if dry_run else "removed")
    return Outcome({"removed": paths, "dry_run": dry_run}, [*paths, told])


def backup_redact_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup redact`."""
    in_option(parser)
    parser.add_argument("--device", metavar="ID", type=id_argument, required=True, help="whose erase has to be in the backup")
    parser.add_argument("--dry-run", action="store_true", help="say which files would be written anew, and change nothing")


def backup_redact(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Write the files that have an erased device's records anew, without them.

    What is removed: its registrations that the erase removed, and bad records and tombstones with its key. The erase stays, so
    a restore keeps the device erased; so do registrations after it. Erase first, and let `backup run` keep that; exit status 1
    when no erase of the device is in the backup. A restore beside may have to be repeated. One redact at a time.

        devicesync backup redact --in backup --device 232455
    """
    from devicesync.assembly.backup.redact import redact
    from devicesync.cli.process import Terminal

    device_id, dry_run = arguments.device, arguments.dry_run
    done = redact(arguments.place, device_id, settings, Terminal("backup redact"), dry_run=dry_run)
    told = "would be written anew" if dry_run else f"written anew, without {done['records']:,} records"
    lines = [*done["rewritten"], f"{len(done['rewritten']):,} files {told}"]
    if done["erased"]:
        return Outcome(done, lines)
    note = f"no erase of {device_id} is in the backup\n  hint: `devicesync erase` it, then `devicesync backup run`"
    return Outcome(done, lines, notes=[note], status=1)


def _line(entry: "Entry") -> str:
    return f"{entry.path:<70} {entry.records:>12,} records {entry.bytes:>16,} bytes"
