"""Where two stores differ, by the files of their digests alone."""

from typing import Any, NamedTuple

from devicesync.jobs.digests.file import BACKUP, CACHE, DigestFile
from devicesync.jobs.digests.sums import DeviceDigest, bucket_of

MISSING_IN_ONE, MISSING_IN_OTHER = "missing_in_one", "missing_in_other"
STALE_IN_ONE, STALE_IN_OTHER = "stale_in_one", "stale_in_other"
CONTENT_DIFFERS = "content_differs"
KINDS = (MISSING_IN_ONE, MISSING_IN_OTHER, STALE_IN_ONE, STALE_IN_OTHER, CONTENT_DIFFERS)
"""Each differing device counts as one of these (docs/audit.md)."""

_ON_ITS_WAY_MS = 60_000
_LONG_MS = 600_000
"""What is so much older than the later reading is not on its way any more."""
_MOST_DEVICES = 1_000_000


class Differing(NamedTuple):
    """A device that differs, in which way, and what each side has of it; None for nothing.

    is_moving: the newest version is later than one minute before the side that lacks it was read. It may have been on its way.
    is_after_backup: the same of a version that is long there, where a backup lacks it. Nothing tells whether it has read so far.
    """

    device_id: str
    kind: str
    one: DeviceDigest | None
    other: DeviceDigest | None
    is_moving: bool
    is_after_backup: bool = False


class Comparison(NamedTuple):
    """How many buckets differ, how many of those a file does not list by device, and the devices that differ in the others."""

    buckets: int
    unresolved: int
    devices: list[Differing]

    def counted(self) -> dict[str, Any]:
        """What `digests compare --json` prints of it, without its devices."""
        return {
            "buckets": self.buckets,
            "unresolved": self.unresolved,
            "differences": counts(self.devices),
            "moving": sum(device.is_moving for device in self.devices),
            "after_backup": sum(device.is_after_backup for device in self.devices),
        }


def differing_buckets(one: DigestFile, other: DigestFile) -> list[int]:
    """The buckets in which these differ. Of a cache the erased devices do not count: it may have forgotten them."""
    mine, theirs = one.digests, other.digests
    with_erased = CACHE not in (one.of, other.of)
    return [
        bucket
        for bucket in sorted(mine.buckets | theirs.buckets)
        if mine.of_bucket(bucket, with_erased=with_erased) != theirs.of_bucket(bucket, with_erased=with_erased)
    ]


def to_read_again(one: DigestFile, other: DigestFile) -> frozenset[int]:
    """Return the differing buckets to read again, with at most a million devices in all. Those that `other` lists come first."""
    mine, theirs = one.digests, other.digests
    known = frozenset(other.buckets)
    chosen: list[int] = []
    devices = 0
    for bucket in sorted(differing_buckets(one, other), key=lambda bucket: (bucket not in known, bucket)):
        sides = (mine, theirs)
        devices += max(sum(count for count, _ in side.of_bucket(bucket, with_erased=True)) for side in sides)
        if chosen and devices > _MOST_DEVICES:
            break
        chosen.append(bucket)
    return frozenset(chosen)


def compare(one: DigestFile, other: DigestFile) -> Comparison:
    """Compare two files. Where both have the devices of a bucket, it is told which of them differ."""
    buckets = differing_buckets(one, other)
    resolved = {*buckets} & {*one.buckets} & {*other.buckets}
    with_erased = CACHE not in (one.of, other.of)
    mine, theirs = (_devices(file, resolved) for file in (one, other))
    long_ms = max(file.read_ms or file.buckets_as_of_ms for file in (one, other)) - _LONG_MS
    devices = []
    for device_id in sorted(mine.keys() | theirs.keys()):
        sides = mine.get(device_id), theirs.get(device_id)
        kind = _kind(*sides, with_erased=with_erased)
        if kind:
            newest_ms = max(side.version for side in sides if side) // 1000
            early = [file for file in _lacking(kind, one, other) if newest_ms > file.buckets_as_of_ms - _ON_ITS_WAY_MS]
            is_after_backup = newest_ms <= long_ms and any(file.of == BACKUP for file in early)
            devices.append(Differing(device_id, kind, *sides, bool(early) and not is_after_backup, is_after_backup))
    return Comparison(len(buckets), len(buckets) - len(resolved), devices)


def _lacking(kind: str, one: DigestFile, other: DigestFile) -> tuple[DigestFile, ...]:
    """The sides that may lack the newest version, or a part of it."""
    if kind == CONTENT_DIFFERS:
        return one, other
    return (one,) if kind in (MISSING_IN_ONE, STALE_IN_ONE) else (other,)


def _devices(file: DigestFile, buckets: set[int]) -> dict[str, DeviceDigest]:
    return {device.device_id: device for device in file.devices if bucket_of(device.device_id) in buckets}


def _kind(one: DeviceDigest | None, other: DeviceDigest | None, *, with_erased: bool) -> str | None:
    if one == other or not (with_erased or any(side and side.digest for side in (one, other))):
        return None
    if one is None or other is None:
        return MISSING_IN_ONE if one is None else MISSING_IN_OTHER
    if one.version != other.version:
        return STALE_IN_ONE if one.version < other.version else STALE_IN_OTHER
    return CONTENT_DIFFERS


def counts(devices: list[Differing]) -> dict[str, int]:
    """Return how many devices there are of each kind. Those that are moving or after a backup's end are not counted."""
    kinds = [device.kind for device in devices if not (device.is_moving or device.is_after_backup)]
    return {kind: kinds.count(kind) for kind in KINDS}
