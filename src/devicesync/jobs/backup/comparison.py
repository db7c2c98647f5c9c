"""Compares a range's files with what they were made of: the log's records, or the file that a redact wrote anew."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.redact import redacted_erase
from devicesync.log.full import OFFSET, FullRecord


class Problem(NamedTuple):
    """What is wrong with a file."""

    path: str
    problem: str


class Comparison:
    """Both are read some rows at a time, and what they were made of once for each file.

    The days of a range may alternate. So those of its records are kept, by their offsets, that no file had yet.
    """

    def __init__(self, first: Entry, source: str, read: Callable[[], Iterable[list[FullRecord]]], *, is_whole: bool) -> None:
        """first: the first file of the range. source: what has the records that `read` yields, as a problem names it.

        is_whole: whether the source can't have lost records, as a log does.
        """
        self._first = first
        self._source = source
        self._read = read
        self._missing: array[int] | None = None
        self._is_whole = is_whole
        self._more = self._other = 0
        self._first_other = first.path, first.first_offset

    def add(self, entry: Entry, batches: Iterator[list[FullRecord]]) -> None:
        """Compare this file. What of it comes after the source's last record is not read. Raises Damaged, Unavailable."""
        rows = chain.from_iterable(batches)
        row = next(rows, None)
        missing = array("q")
        for there in chain.from_iterable(self._read()):
            offset = there[OFFSET]
            while row and row[OFFSET] < offset:
                self._more += 1
                row = next(rows, None)
            if not row or row[OFFSET] != offset:
                if self._missing is None or _has(self._missing, offset):
                    missing.append(offset)
                continue
            if row != there and not (entry.revision and row == redacted_erase(there, entry)):
                self._first_other = self._first_other if self._other else (entry.path, offset)
                self._other += 1
            row = next(rows, None)
        self._more += sum(1 for _ in rows) + bool(row) if self._is_whole else 0
        self._missing = missing

    def problems(self, cover: Cover | None) -> Iterator[Problem]:
        """What differs. cover: of a revision, which lacks what an erase covers, and the data of erases; else None."""
        missing = self._missing or array("q")
        if cover and missing:
            rows = (row for row in chain.from_iterable(self._read()) if _has(missing, row[OFFSET]))
            missing = array("q", cover.uncovered(rows, self._first))
        if missing:
            told = f"{len(missing):,} records of {self._source} are missing, the first at offset {missing[0]}"
            yield Problem(self._first.path, f"{told}{_UNCOVERED if cover else ''}")
        if self._more and self._is_whole:
            yield Problem(self._first.path, f"{self._more:,} records are not in {self._source}")
        if self._other:
            path, offset = self._first_other
            yield Problem(path, f"{self._other:,} records differ from {self._source}'s, the first at offset {offset}")


_UNCOVERED = ", and no erase in the backup covers them: no `devicesync backup redact` has taken them out"


def _has(offsets: "array[int]", offset: int) -> bool:
    place = bisect_left(offsets, offset)
    return place < len(offsets) and offsets[place] == offset
