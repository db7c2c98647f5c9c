"""Counting distinct device ids exactly, in memory that does not grow with their number."""

from array import array
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import BinaryIO

_IN_MEMORY = 1 << 16
_BUCKETS = 64


class DistinctCount:
    """Keeps 64-bit hashes; above 65,536 of them, in temporary files that are counted one by one in the end.

    Two ids of one hash would be counted as one: for ten million ids the chance of a single such pair is 3 in a million.
    """

    def __init__(self) -> None:
        self._hashes: set[int] = set()
        self._buckets: list[BinaryIO] = []

    def add(self, ids: Iterable[str]) -> None:
        """Count these too."""
        self._hashes.update(map(hash, ids))
        if len(self._hashes) > _IN_MEMORY:
            self._spill()

    def count(self) -> int:
        """How many different ids were added. Ends the counting."""
        if not self._buckets:
            return len(self._hashes)
        self._spill()
        return sum(self._count_bucket(bucket) for bucket in self._buckets)

    def _spill(self) -> None:
        self._buckets = self._buckets or [TemporaryFile() for _ in range(_BUCKETS)]  # noqa: SIM115 - closed by count
        parts = [array("q") for _ in range(_BUCKETS)]
        for number in self._hashes:
            parts[number % _BUCKETS].append(number)
        for bucket, part in zip(self._buckets, parts, strict=True):
            bucket.write(part.tobytes())
        self._hashes.clear()

    @staticmethod
    def _count_bucket(bucket: BinaryIO) -> int:
        numbers = array("q")
        with bucket:
            bucket.seek(0)
            numbers.frombytes(bucket.read())
        return len(set(numbers))
