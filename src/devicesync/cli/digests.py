"""`digests make`, `digests compare`: two stores compared by a small file of each, wherever they are."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from devicesync.cli.options import number, processes
from devicesync.cli.outcome import Outcome
from devicesync.clock import date_of
from devicesync.config import Settings
from devicesync.url import file_of

if TYPE_CHECKING:
    from devicesync.jobs.digests.compare import Differing
    from devicesync.jobs.digests.file import DigestFile
    from devicesync.jobs.digests.sums import DeviceDigest

_SHOWN_WITHOUT_LIST = 100


def digests_make_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `digests make`."""
    add = parser.add_argument
    add("file", metavar="FILE", type=file_of, help="the file of digests to make")
    add("--of", metavar="WHAT", default="database", help="cache, database, or the DIR or URL of a backup [database]")
    add("--against", metavar="OTHER", type=file_of, help="keep the devices of the buckets that differ from this file's")
    add("--on", metavar="processes:N", type=processes, default=2, help="so many processes at once [processes:2]")
    add("--rate", metavar="N", type=number(float, 0.001), default=0, help="at most N devices a second [no limit]")
    add("--restart", action="store_true", help="begin again, instead of going on with an interrupted run")


def digests_make(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Make a small file that says what a store holds: for each of 65,536 buckets of devices their number and a digest.

    With --against only the buckets that differ from the other file are read again, where FILE is there, and their devices kept:
    then `digests compare` names those that differ. An interrupted run goes on with the same command, within 12 hours; the file
    is as of when the first run began. The file holds no profiles; with --against it holds ids.

        devicesync digests make here.digests
        devicesync digests make backup.digests --of s3://my-bucket/devices
        devicesync digests make here.digests --against backup.digests
    """
    from devicesync.assembly.digests.make import make
    from devicesync.assembly.digests.source import Asked
    from devicesync.cli.process import Terminal

    asked = Asked(arguments.file, arguments.of, arguments.against, arguments.rate, arguments.on, arguments.restart)
    made = make(asked, settings, Terminal("digests"))
    document = _told(made) | {"buckets": len(made.buckets)}
    text = "{of} {place} as of {date}: {profiles:,} profiles, digest {profiles_digest}; {erased:,} erased, digest {erased_digest}"
    kept = [f"{len(made.buckets):,} buckets with {len(made.devices):,} devices were read again"] if arguments.against else []
    return Outcome(document, [text.format(date=date_of(made.as_of_ms), **document), *kept])


def digests_compare_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `digests compare`."""
    parser.add_argument("one", metavar="ONE", type=file_of, help="a file that `digests make` made")
    parser.add_argument("other", metavar="OTHER", type=file_of, help="the same of another store")
    parser.add_argument("--list", action="store_true", help="show each differing device")


def digests_compare(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Compare two stores by their files of digests alone; nothing is read but the files.

    Exit status 1 when they differ. The devices are told of the buckets that both files have devices of (`make --against`).

        devicesync digests compare here.digests there.digests --list
    """
    del settings
    from devicesync.jobs.digests.compare import compare
    from devicesync.jobs.digests.file import load_whole

    files = load_whole(arguments.one), load_whole(arguments.other)
    found = compare(*files)
    counted = found.counted()
    devices = [_shown(device) for device in (found.devices if arguments.list else found.devices[:_SHOWN_WITHOUT_LIST])]
    document = {"one": _told(files[0]), "other": _told(files[1]), **counted, "devices": devices}
    lines = [*(_listed(devices) if arguments.list else ()), *_summary(counted, files)]
    differ = found.unresolved or counted["after_backup"] or any(counted["differences"].values())
    return Outcome(document, lines, status=1 if differ else 0)


def _shown(device: "Differing") -> dict[str, Any]:
    sides = {"one": _side(device.one), "other": _side(device.other)}
    not_counted = {"moving": device.is_moving, "after_backup": device.is_after_backup}
    return {"device_id": device.device_id, "kind": device.kind, **sides, **not_counted}


def _told(file: "DigestFile") -> dict[str, Any]:
    told: dict[str, Any] = {"of": file.of, "place": file.place, "as_of_ms": file.as_of_ms}
    for name, sums in (("profiles", file.digests.profiles), ("erased", file.digests.erased)):
        count, total = sums.all
        told |= {name: count, f"{name}_digest": f"{total:032x}"}
    return told


def _side(device: "DeviceDigest | None") -> dict[str, Any] | None:
    return device and {"version": device.version, "erased": device.digest is None, "digest": device.digest}


def _listed(devices: list[dict[str, Any]]) -> Iterator[str]:
    for device in devices:
        not_counted = "".join(f"  {name}" for name in ("moving", "after_backup") if device[name])
        yield f"{device['device_id']}  {device['kind']}{not_counted}"
        for name in ("one", "other"):
            side = device[name]
            shown = f"version {side['version']}  {'erased' if side['erased'] else side['digest']}" if side else "nothing"
            yield f"    {name:<6} {shown}"


def _summary(counted: dict[str, Any], files: "tuple[DigestFile, DigestFile]") -> Iterator[str]:
    count, total = files[0].digests.profiles.all
    equal = f"equal: {count:,} profiles, digest {total:032x}"
    yield f"{counted['buckets']:,} of 65,536 buckets differ" if counted["buckets"] else equal
    yield from (f"  {kind:<18} {count:,}" for kind, count in counted["differences"].items() if count)
    if counted["moving"]:
        yield f"  {counted['moving']:,} changed while the stores were read, and are not counted"
    if counted["after_backup"]:
        ends = " and ".join(date_of(file.buckets_as_of_ms) for file in files if file.of == "backup")
        told = "they are later than the backup's end in the partition that is behind"
        yield f"  {counted['after_backup']:,} are not counted: {told} ({ends}), and it has not read them, or lost them"
    if counted["unresolved"]:
        sides = [f"`devicesync digests make {name} --against {rest}`" for name, rest in (("ONE", "OTHER"), ("OTHER", "ONE"))]
        yield f"  {counted['unresolved']:,} have no devices in these files: {' and '.join(sides)} add them"
    one, other = (f"{file.of} {file.place} as of {date_of(file.as_of_ms)}" for file in files)
    yield f"one: {one}; other: {other}"
