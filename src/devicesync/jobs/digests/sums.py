"""What the devices of a store add up to, bucket by bucket: the same, in whatever order and from whatever store they come."""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Self

import msgspec

from devicesync.law.profile import digest
from devicesync.law.seen import Seen

BUCKETS = 1 << 16
_MODULUS = 1 << 128
_NOTHING = (0, 0)
_ROW = struct.Struct("<HI16s")


class DeviceDigest(NamedTuple):
    """A device as a store's readers see it: the version in µs, and the profile's digest (law.profile); None once it is erased."""

    device_id: str
    version: int
    digest: str | None


def digests_of(seen: Mapping[str, Seen]) -> Iterator[DeviceDigest]:
    """Return the digests of these devices. An entry that counts as not held has none."""
    for device_id, side in seen.items():
        if side.is_held:
            yield DeviceDigest(device_id, side.version, digest(side.profile))


def bucket_of(device_id: str) -> int:
    """In which bucket the device is: 0 to BUCKETS - 1."""
    return zlib.crc32(device_id.encode()) % BUCKETS


class Sums:
    """For each bucket the number of devices, and the sum, modulo 2^128, of the first 16 bytes of each device's SHA-256."""

    def __init__(self, packed: bytes = b"") -> None:
        self._rows: dict[int, tuple[int, int]] = {
            bucket: (count, int.from_bytes(total)) for bucket, count, total in _ROW.iter_unpack(packed)
        }

    def add(self, device: DeviceDigest) -> None:
        """One more device. Each may be added once."""
        number = int.from_bytes(hashlib.sha256(msgspec.json.encode(device)).digest()[:16])
        self._add(bucket_of(device.device_id), 1, number)

    def __iadd__(self, other: "Sums") -> Self:
        for bucket, (count, total) in other._rows.items():
            self._add(bucket, count, total)
        return self

    def __getitem__(self, bucket: int) -> tuple[int, int]:
        """How many devices, and their sum."""
        return self._rows.get(bucket, _NOTHING)

    def drop(self, buckets: frozenset[int]) -> None:
        """Begin anew with these buckets."""
        for bucket in buckets & self._rows.keys():
            del self._rows[bucket]

    @property
    def buckets(self) -> AbstractSet[int]:
        """Those that have devices."""
        return self._rows.keys()

    @property
    def packed(self) -> bytes:
        """As the constructor takes it: 22 bytes for each bucket that has devices."""
        return b"".join(_ROW.pack(bucket, count, total.to_bytes(16)) for bucket, (count, total) in sorted(self._rows.items()))

    @property
    def all(self) -> tuple[int, int]:
        """How many devices there are in all buckets, and their sum."""
        counts, totals = zip(*self._rows.values(), strict=True) if self._rows else ((), ())
        return sum(counts), sum(totals) % _MODULUS

    def _add(self, bucket: int, count: int, total: int) -> None:
        before, sum_before = self._rows.get(bucket, _NOTHING)
        self._rows[bucket] = before + count, (sum_before + total) % _MODULUS


class Digests:
    """The sums of the profiles, and apart from them those of the erased devices, which a cache forgets after a while."""

    def __init__(self, profiles: bytes = b"", erased: bytes = b"") -> None:
        self.profiles = Sums(profiles)
        self.erased = Sums(erased)

    def add(self, device: DeviceDigest) -> None:
        """One more device. Each may be added once."""
        (self.erased if device.digest is None else self.profiles).add(device)

    def __iadd__(self, other: "Digests") -> Self:
        self.profiles += other.profiles
        self.erased += other.erased
        return self

    def drop(self, buckets: frozenset[int]) -> None:
        """Begin anew with these buckets."""
        self.profiles.drop(buckets)
        self.erased.drop(buckets)

    def of_bucket(self, bucket: int, *, with_erased: bool) -> tuple[tuple[int, int], ...]:
        """Return the counts and sums by which one bucket is compared."""
        return (self.profiles[bucket], self.erased[bucket]) if with_erased else (self.profiles[bucket],)

    @property
    def buckets(self) -> AbstractSet[int]:
        """Those that have devices."""
        return self.profiles.buckets | self.erased.buckets

    @property
    def packed(self) -> tuple[bytes, bytes]:
        """As the constructor takes it."""
        return self.profiles.packed, self.erased.packed
