"""`backup redact`: an erased device's records out of the files of a backup."""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING, Any

from devicesync.cli.options import id_argument, print_json, say, settings_of, show

if TYPE_CHECKING:
    from pathlib import Path

    from devicesync.archive.archive import Archive
    from devicesync.config import Settings


def backup_redact_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backup redact`."""
    from devicesync.cli.backup import PLACE  # noqa: PLC0415 - it loads us

    parser.add_argument("--in", metavar="DIR|URL", dest="place", required=True, help=PLACE)
    parser.add_argument("--device", metavar="ID", type=id_argument, required=True, help="whose erase has to be in the backup")
    parser.add_argument("--dry-run", action="store_true", help="say which files would be written anew, and change nothing")


def backup_redact(arguments: argparse.Namespace) -> int:
    """Write the files that have an erased device's records anew, without them.

    What is removed: its registrations that the erase removed, and bad records and tombstones with its key. The erase stays, so
    a restore keeps the device erased; so do registrations after it. Erase first, and let `backup run` keep that; exit status 1
    when no erase of the device is in the backup. A restore beside may have to be repeated. One redact at a time.

        devicesync backup redact --in backup --device 232455
    """
    from devicesync import data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.spool import Spool  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.backup import archives_at  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    document: dict[str, Any] = {"rewritten": [], "records": 0, "erased": 0, "dry_run": arguments.dry_run}
    data_directory.prepare(settings.directory)
    with closing(Spool(settings.directory / data_directory.REDACT_SPOOL)) as spool:
        for archive in archives_at(Storage(arguments.place)):
            _redact(archive, settings, arguments.device, spool.path, document)
    if arguments.json:
        print_json(document)
    else:
        told = "would be written anew" if arguments.dry_run else f"written anew, without {document['records']:,} records"
        for path in document["rewritten"]:
            show(path)
        print(f"{len(document['rewritten']):,} files {told}")
    if not document["erased"]:
        say(f"no erase of {arguments.device} is in the backup\n  hint: `devicesync erase` it, then `devicesync backup run`")
    return 0 if document["erased"] else 1


def _redact(archive: "Archive", settings: "Settings", device_id: str, spool: "Path", document: dict[str, Any]) -> None:
    from devicesync.archive.ranges import by_range  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import progress_bar  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.backup.redact import Redaction  # noqa: PLC0415 - --help needs none of it

    redaction = Redaction(archive, device_id, spool, settings.max_clock_ahead_ms)
    entries = archive.manifest.entries()
    erased = max((kept.erased.get(device_id, 0) for kept in archive.manifest.pruned()), default=0)
    oldest: dict[tuple[int, int, int], int] = {}
    with progress_bar(f"look through {archive.topic}", sum(entry.bytes for entry in entries)) as advance:
        for entry in entries:
            traces = redaction.traces(entry)
            erased = max(erased, traces.erased)
            if traces.oldest is not None:
                oldest[entry.range] = min(traces.oldest, oldest.get(entry.range, traces.oldest))
            advance(entry.bytes)
    document["erased"] = max(erased, document["erased"])
    for files in by_range(entries):
        if oldest.get(files[0].range, erased) < erased:
            document["records"] += 0 if document["dry_run"] else redaction.rewrite(files, erased)
            document["rewritten"] += [entry.path for entry in files]
    if not document["dry_run"]:
        archive.remove_earlier_revisions(archive.manifest.entries())
