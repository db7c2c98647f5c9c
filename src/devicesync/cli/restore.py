"""`restore`: a backup into live stores, with proof, or into a topic."""

import argparse
import time
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from devicesync.cli.backup import PLACE
from devicesync.cli.options import id_argument, number, print_json, say, settings_of
from devicesync.errors import WrongUse

if TYPE_CHECKING:
    from devicesync.archive.archive import Archive
    from devicesync.archive.entry import Entry
    from devicesync.config import Settings
    from devicesync.jobs.restore.selection import Selection

_WORKERS = 2


def restore_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `restore`."""
    parser.add_argument("--from", metavar="DIR|URL", dest="place", required=True, help=PLACE)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--to-stores", action="store_true", help="through the law into cache and database, then prove it")
    target.add_argument(
        "--to-topic", metavar="TOPIC", help="a topic of the log's Kafka, or kafka://HOST:PORT/TOPIC; made if missing"
    )
    parser.add_argument(
        "--until", metavar="TIME", type=_time, help="only what was logged until then: 2026-11-24T12:00:00Z, or ms"
    )
    parser.add_argument("--device", metavar="ID", type=id_argument, help="only this device's valid events")
    parser.add_argument("--partitions", metavar="N[,N…]", type=_partitions, help="only these partitions")
    parser.add_argument("--allow-gaps", action="store_true", help="restore what is there, where files are missing")
    parser.add_argument("--rekey", action="store_true", help="--to-topic: partition by key, rather than as it was")
    parser.add_argument("--append", action="store_true", help="--to-topic: also into a topic that has records already")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--workers", type=number(int, 1), default=_WORKERS, help="so many processes at once [2]")
    parser.add_argument("--restart", action="store_true", help="begin anew, where an earlier run was interrupted")


def restore(arguments: argparse.Namespace) -> int:
    """Bring a backup back, into live stores or into a topic.

    Into stores it goes through the same merge as the updater: nothing newer is overwritten, erased devices stay erased, and an
    updater may run beside. It ends with a proof: both stores are read back and compared with what the backup says; exit status
    1 when they differ, and when no device was restored. A damaged or missing file is refused, by name, before anything is
    written. When it is interrupted, the same command goes on where it stopped.

        devicesync restore --from backup --to-stores
        devicesync restore --from s3://my-bucket/devices --to-topic restored --until 2026-11-24T12:00:00Z
    """
    from devicesync import data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.restore.complete import files_to_restore  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.restore.selection import Selection  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    began = time.monotonic()
    data_directory.prepare(settings.directory)
    archive = _archive(Storage(arguments.place), settings)
    selection = Selection(arguments.until, arguments.device, arguments.partitions)
    entries = files_to_restore(archive, selection, allow_gaps=arguments.allow_gaps)
    if arguments.to_topic:
        from devicesync.cli.restore_topic import into_topic  # noqa: PLC0415 - only here

        document = into_topic(arguments, settings, archive, entries, selection)
        text = "{records:,} records from {files:,} files"
    else:
        document = _into_stores(arguments, settings, archive, entries, selection)
        text = "{records:,} records, {applied:,} applied, {dead:,} refused, {devices:,} devices"
    document["seconds"] = round(time.monotonic() - began, 3)
    if arguments.json:
        print_json(document)
    else:
        print(text.format(**document) + f", in {document['seconds']:,.1f} s")
        _print_outcome(document)
    if not document.get("devices", document["records"]):
        say(f"{arguments.device or 'what was asked for'} is not in the backup, so nothing was restored")
        return 1
    proof = document.get("proof", {})
    return 1 if proof.get("cache_differs") or proof.get("database_differs") else 0


def _into_stores(
    arguments: argparse.Namespace, settings: "Settings", archive: "Archive", entries: "list[Entry]", selection: "Selection"
) -> dict[str, Any]:
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - --help needs none of it

    import msgspec  # noqa: PLC0415 - --help needs none of it

    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.restore_stores import Run, into_stores  # noqa: PLC0415 - only here

    with ExitStack() as opened:
        if arguments.dry_run and not adapters.database_exists(settings):
            there = opened.enter_context(TemporaryDirectory())
            settings = msgspec.structs.replace(settings, database=f"sqlite:{there}/empty.db")
            adapters.open_database(settings).close()
        if settings.cache.startswith("memory:") and not arguments.dry_run:
            # A cache in memory is its updater's own, and would not see what we write into the database.
            opened.callback(data_directory.Hold(settings.directory, "restore").release)
        for store in (adapters.open_cache(settings), adapters.open_database(settings, read_only=arguments.dry_run)):
            opened.enter_context(closing(store)).check()
        workers = arguments.workers if settings.database.startswith("cassandra") else 1
        run = Run(settings, arguments.place, archive, selection, arguments.dry_run, workers, arguments.restart)
        return into_stores(run, entries)


def _archive(place: Any, settings: "Settings") -> "Archive":
    """The backup of the topic that `log` names, else the only one there."""
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.backup import archives_at  # noqa: PLC0415 - --help needs none of it

    archives = {archive.topic: archive for archive in archives_at(place)}
    topic = adapters.topic_of(settings)
    if topic in archives:
        return archives[topic]
    if len(archives) > 1:
        raise WrongUse(f"{place.url} has backups of {', '.join(archives)}", "name one of these topics with --log")
    return next(iter(archives.values()))


def _print_outcome(document: dict[str, Any]) -> None:
    if "would_change" in document:
        changes = document["would_change"]
        print(f"would change: {changes['cache']:,} devices in the cache, {changes['database']:,} in the database")
    elif document.get("proof", {}).get("devices"):
        proof = document["proof"]
        equal = not (proof["cache_differs"] or proof["database_differs"])
        print(
            f"proof: {proof['devices']:,} devices in {len(proof['buckets'])} buckets, "
            + ("equal in both stores" if equal else "")
        )
        if not equal:
            print(f"{proof['cache_differs']:,} differ in the cache, {proof['database_differs']:,} in the database")
            say(f"such as {', '.join(proof['differing'])}\n  hint: `devicesync get ID`, and --from database, show both")


def _time(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-11-24T12:00:00Z, nor ms since 1970") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _partitions(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no list of numbers such as 0,3,4") from None
