"""`backup run`, `list`, `verify`, `prune`, `redact`: the log into files, and what is to be known of them."""

import argparse
from typing import TYPE_CHECKING

from devicesync.cli.options import PLACE, Once, admin_option, id_argument, in_option, log_options, number, until_caught_up_option
from devicesync.cli.outcome import Outcome
from devicesync.clock import SYSTEM
from devicesync.config import Settings

if TYPE_CHECKING:
    from devicesync.archive.entry import Entry

_FILE_BYTES = 128 << 20
_LARGEST_FILE_BYTES = 8 << 30
"""Of a larger one the list of its parts might be more than is read (archive/parquet_footer.py)."""
_FILE_SECONDS = 3600.0
_DAY_MS = 86_400_000
_NOT_ERASED = "no erase of {} is in the backup of {}, which keeps all of it; `devicesync erase` it in that log, then `backup run`"
_LISTED = (
    *("path", "topic", "generation", "partition", "first_offset", "next_offset", "records", "bytes", "sha256"),
    *("record_bytes", "first_ms", "last_ms", "revision"),
)


def backup_run_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup run`."""
    parser.add_argument("--to", metavar="DIR|URL", required=True, help=PLACE)
    parser.add_argument(
        "--max-file-bytes",
        metavar="N",
        type=number(int, 1, _LARGEST_FILE_BYTES),
        default=_FILE_BYTES,
        help="close a file that holds N bytes of records; at most 8 GiB [128 MiB]",
    )
    parser.add_argument(
        "--max-file-seconds",
        metavar="S",
        type=number(float, 0.1),
        default=_FILE_SECONDS,
        help="close a file that is S seconds old, also when the log is idle [3600]",
    )
    parser.add_argument(
        "--format", choices=("parquet", "jsonl"), default="parquet", help="jsonl: gzipped values, as Secor writes them [parquet]"
    )
    until_caught_up_option(parser)
    log_options(parser)
    admin_option(parser)


def backup_run(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Keep every record of the log in files: key, value, headers, timestamp, partition and offset. Bad records too.

    Each record is in exactly one file, whatever crashes. The command goes on where the backup ends. Ctrl-C or SIGTERM closes
    the open files and ends it. Over Kafka any number of these processes may run, on any number of machines.

        devicesync backup run --to backup
        devicesync backup run --to s3://my-bucket/devices --max-file-seconds 600
    """
    from devicesync.assembly.backup.run import backup
    from devicesync.cli.process import long_run
    from devicesync.jobs.backup.partition_backup import Limits

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
    from devicesync.archive.ranges import revisions_in
    from devicesync.assembly.backup.archives import entries_at

    del settings
    entries = entries_at(arguments.place)
    records, size = (sum(getattr(entry, name) for entry in entries) for name in ("records", "bytes"))
    files, revisions = [{name: getattr(entry, name) for name in _LISTED} for entry in entries], revisions_in(entries)
    told = f"{len(entries):,} files, {records:,} records, {size:,} bytes, {revisions:,} revised ranges"
    return Outcome({"files": files, "revisions": revisions}, [*map(_line, entries), told])


def backup_verify_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup verify`."""
    in_option(parser)
    parser.add_argument("--deep", action="store_true", help="also read every record, and compare it with the log's")


def backup_verify(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Find what is wrong with a backup: missing or damaged files, gaps, overlaps, and records of the log that are in no file.

    Exit status 1 when something is wrong; the files are named. A log that can't be reached is not compared with the backup.
    One that is not in it is named, and its records count as more records that are in no file yet; that alone is exit status 0.
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
    parser.add_argument("--keep-days", metavar="N", type=number(float, 0), required=True, help="keep files with a younger record")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")


def backup_prune(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Remove the files in which all records are older than so many days, and keep their erasures.

    A partition loses only its first files, and never its last one, so what is left has no gap. It restores as before: a
    device that was erased in a removed file stays erased. A device that has not registered since is not in the backup any
    more.
    """
    from devicesync.assembly.backup.prune import prune
    from devicesync.cli.process import Terminal

    before_ms, dry_run = SYSTEM.now_ms() - int(arguments.keep_days * _DAY_MS), arguments.dry_run
    removed = prune(arguments.place, settings, Terminal("backup prune"), before_ms=before_ms, dry_run=dry_run)
    paths = [entry.path for entry in removed]
    told = f"{len(paths):,} files " + ("would be removed" if dry_run else "removed")
    return Outcome({"removed": paths, "dry_run": dry_run}, [*paths, told])


def backup_redact_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup redact`."""
    in_option(parser)
    parser.add_argument(
        "--device", metavar="ID", type=id_argument, action=Once, required=True, help="the backup must have its erase"
    )
    parser.add_argument("--dry-run", action="store_true", help="say which files would be rewritten, and change nothing")


def backup_redact(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Rewrite the files that hold records of an erased device, without these records.

    It removes the registrations that the erase removed, and bad records and tombstones with the device's key. The erase
    stays, so a restore keeps the device erased. Later registrations stay too. Erase the device first, and let `backup run`
    keep the erase. Exit status 1 when no erase of the device is in the backup, or only in another log's than its records, or
    files have no entry in its manifest. A restore that runs meanwhile may have to be repeated. Run one redact at a time.

        devicesync backup redact --in backup --device 232455
    """
    from devicesync.assembly.backup.redact import redact
    from devicesync.cli.process import Terminal

    device_id, dry_run = arguments.device, arguments.dry_run
    done = redact(arguments.place, device_id, settings, Terminal("backup redact"), dry_run=dry_run)
    told = "would be written anew" if dry_run else f"written anew, without {done['records']:,} records"
    lines = [*done["rewritten"], f"{len(done['rewritten']):,} files {told}"]
    not_erased = done["not_erased"] or ({} if done["erased"] else {"any log": []})
    notes = [line for log, paths in not_erased.items() for line in (_NOT_ERASED.format(device_id, log), *paths)]
    if done["erased"] and done["unlisted"]:
        told = "these files have no entry in the manifest, and were not looked into:"
        notes += [told, *done["unlisted"], "  hint: `devicesync backup verify`"]
    return Outcome(done, lines, notes=notes, status=1 if notes else 0)


def _line(entry: "Entry") -> str:
    return f"{entry.path:<70} {entry.records:>12,} records {entry.bytes:>16,} bytes"
