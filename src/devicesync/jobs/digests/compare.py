"""Where two stores differ, by the files of their digests alone."""

from typing import NamedTuple

from devicesync.jobs.digests.file import CACHE, DigestFile
from devicesync.jobs.digests.sums import DeviceDigest, bucket_of

MISSING_IN_ONE, MISSING_IN_OTHER = "missing_in_one", "missing_in_other"
STALE_IN_ONE, STALE_IN_OTHER = "stale_in_one", "stale_in_other"
CONTENT_DIFFERS = "content_differs"
KINDS = (MISSING_IN_ONE, MISSING_IN_OTHER, STALE_IN_ONE, STALE_IN_OTHER, CONTENT_DIFFERS)
"""Each differing device counts as one of these (docs/audit.md)."""

_ON_ITS_WAY_MS = 60_000
_MOST_DEVICES = 1_000_000


class Differing(NamedTuple):
    """A device that differs, in which way, and what each side has of it; None for nothing.

    is_moving: the newest version is later than one minute before the earlier of the two readings. It may have been on its way.
    """

    device_id: str
    kind: str
    one: DeviceDigest | None
    other: DeviceDigest | None
    is_moving: bool


class Comparison(NamedTuple):
    """How many buckets differ, how many of those a file does not list by device, and the devices that differ in the others."""

    buckets: int
    unresolved: int
    devices: list[Differing]


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
    seen_ms = min(one.buckets_as_of_ms, other.buckets_as_of_ms) - _ON_ITS_WAY_MS
    devices = []
    for device_id in sorted(mine.keys() | theirs.keys()):
        sides = mine.get(device_id), theirs.get(device_id)
        kind = _kind(*sides, with_erased=with_erased)
        if kind:
            newest = max(side.version for side in sides if side)
            devices.append(Differing(device_id, kind, *sides, newest // 1000 > seen_ms))
    return Comparison(len(buckets), len(buckets) - len(resolved), devices)


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
    """Return how many devices there are of each kind. Moving devices are not counted."""
    kinds = [device.kind for device in devices if not device.is_moving]
    return {kind: kinds.count(kind) for kind in KINDS}
