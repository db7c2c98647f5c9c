"""`restore`: a backup into live stores, with proof, or into a topic."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from devicesync.cli.options import PLACE, Once, id_argument, number, workers
from devicesync.cli.outcome import Outcome
from devicesync.clock import LAST_MS, SYSTEM
from devicesync.config import Settings


def restore_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `restore`."""
    parser.add_argument("--from", metavar="DIR|URL", dest="place", required=True, help=PLACE)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--to-stores", action="store_true", help="restore into cache and database, and prove it")
    target.add_argument(
        "--to-topic", metavar="TOPIC", help="a topic of the log's Kafka, or kafka://HOST:PORT/TOPIC; made if missing"
    )
    parser.add_argument(
        "--until", metavar="TIME", type=_time, help="only records logged until this time: 2026-11-24T12:00:00Z, or ms"
    )
    parser.add_argument("--device", metavar="ID", type=id_argument, action=Once, help="only this device's valid events")
    parser.add_argument("--partitions", metavar="N[,N…]", type=_partitions, action=Once, help="only these, and others' erases")
    parser.add_argument("--allow-gaps", action="store_true", help="restore what is there, although files are missing")
    parser.add_argument("--rekey", action="store_true", help="with --to-topic: partition by key, instead of as it was")
    parser.add_argument("--append", action="store_true", help="with --to-topic: also into a topic that has records already")
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    parser.add_argument("--workers", type=workers, default=2, help="how many processes at once [2]")
    parser.add_argument("--restart", action="store_true", help="begin again, instead of going on with an interrupted run")


def restore(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Bring a backup back, into live stores or into a topic.

    Into stores it uses the same merge as the updater: it overwrites nothing newer, erased devices stay erased, and an updater
    may run meanwhile. It ends with a proof: it reads both stores and compares them with the backup. Exit status 1 when they
    differ, and when no device was restored. A damaged or missing file is named before anything is written, and ends the
    command. An interrupted run goes on when the same command is called again.

        devicesync restore --from backup --to-stores
        devicesync restore --from s3://my-bucket/devices --to-topic restored --until 2026-11-24T12:00:00Z
    """
    from devicesync.assembly.restore.run import Request
    from devicesync.cli.process import Terminal
    from devicesync.jobs.restore.selection import Selection

    began = SYSTEM.monotonic()
    terminal = Terminal("restore")
    request = Request(
        arguments.place,
        Selection(arguments.until, arguments.device, arguments.partitions),
        arguments.allow_gaps,
        arguments.dry_run,
        arguments.workers,
        arguments.restart,
    )
    if arguments.to_topic:
        from devicesync.assembly.restore.topic import Target, restore_to_topic

        target = Target(arguments.to_topic, arguments.rekey, arguments.append)
        document = restore_to_topic(request, target, settings, terminal)
        text = "{records:,} records from {files:,} files, in {seconds:,.1f} s"
    else:
        from devicesync.assembly.restore.stores import restore_to_stores

        document = restore_to_stores(request, settings, terminal)
        text = "{records:,} records, {applied:,} applied, {dead:,} refused, {devices:,} devices, in {seconds:,.1f} s"
    document["seconds"] = round(SYSTEM.monotonic() - began, 3)
    proof = document.get("proof", {})
    differs = proof.get("cache_differs") or proof.get("database_differs")
    such = f"such as {', '.join(proof['differing'])}\n  hint: `get ID` and `get ID --from database` show both" if differs else ""
    found = document.get("devices", document["records"])
    notes = [] if found else [f"{arguments.device or 'what was asked for'} is not in the backup, so nothing was restored"]
    lines = [text.format(**document), *_of_stores(document)]
    if document["gaps"]:
        lines.append(f"the backup is not whole: {document['gaps']:,} gaps were passed over, and what they had is not restored")
    return Outcome(document, lines, remark=such, notes=notes, status=1 if differs or not found else 0)


def _of_stores(document: dict[str, Any]) -> Iterator[str]:
    """What would change in them, or the proof."""
    if "would_change" in document:
        changes = document["would_change"]
        yield f"would change: {changes['cache']:,} devices in the cache, {changes['database']:,} in the database"
    elif document.get("proof", {}).get("devices"):
        proof = document["proof"]
        equal = not (proof["cache_differs"] or proof["database_differs"])
        yield f"proof: {proof['devices']:,} devices in {len(proof['buckets'])} buckets, {'equal in both stores' if equal else ''}"
        if not equal:
            yield f"{proof['cache_differs']:,} differ in the cache, {proof['database_differs']:,} in the database"


def _time(text: str) -> int:
    if text.isascii() and text.isdecimal():
        return int(number(int, 0, LAST_MS)(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-11-24T12:00:00Z, nor ms since 1970") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _partitions(text: str) -> tuple[int, ...]:
    try:
        return tuple(map(number(int, 0), text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no list of numbers such as 0,3,4") from None
