"""Compares a range's files with what they were made of: the log's records, or the file that a redact wrote anew."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.archive.side_by_side import Opened, in_order
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.redact import redacted_erase
from devicesync.log.full import OFFSET, FullRecord

_UNCOVERED = ", and no erase in the backup covers them: no `devicesync backup redact` has taken them out"


class Problem(NamedTuple):
    """What is wrong with a file."""

    path: str
    problem: str


class Source(NamedTuple):
    """What the files were made of.

    name: as a problem names it. is_whole: whether it can't have lost records, as a log does.
    """

    name: str
    batches: Iterable[list[FullRecord]]
    is_whole: bool


class Comparison:
    """Each file and the source are read once, side by side, some rows at a time. The days of a range may alternate."""

    def __init__(self, files: list[Opened], source: Source) -> None:
        """files: of one range, in order."""
        self._first = files[0].entry
        self._source = source
        self._rows = in_order(files)
        self._more = self._other = 0
        self._first_other = self._first.path, 0

    def problems(self, cover: Cover | None) -> Iterator[Problem]:
        """What differs. cover: of a revision, which lacks what an erase covers, and the data of erases; else None.

        Call it once. Raises Damaged, Unavailable.
        """
        lacking = self._lacking()
        missing = array("q", cover.uncovered(lacking, self._first) if cover else (row[OFFSET] for row in lacking))
        name = self._source.name
        if missing:
            told = f"{len(missing):,} records of {name} are missing, the first at offset {missing[0]}"
            yield Problem(self._first.path, f"{told}{_UNCOVERED if cover else ''}")
        if self._more and self._source.is_whole:
            yield Problem(self._first.path, f"{self._more:,} records are not in {name}")
        if self._other:
            path, offset = self._first_other
            yield Problem(path, f"{self._other:,} records differ from {name}'s, the first at offset {offset}")

    def _lacking(self) -> Iterator[FullRecord]:
        """Yield the source's records that are in no file, and count what else differs. All files are read to their ends."""
        here = next(self._rows, None)
        for there in chain.from_iterable(self._source.batches):
            while here and here.offset < there[OFFSET]:
                self._more += 1
                here.held.clear()
                here = next(self._rows, None)
            if not here or here.offset != there[OFFSET]:
                yield there
            while here and here.offset == there[OFFSET]:  # several files may have it
                self._compare(here.held.pop(), here.entry, there)
                here = next(self._rows, None)
        self._more += bool(here) + sum(1 for _ in self._rows)

    def _compare(self, row: FullRecord, entry: Entry, there: FullRecord) -> None:
        if row != there and not (entry.revision and row == redacted_erase(there, entry)):
            self._first_other = self._first_other if self._other else (entry.path, there[OFFSET])
            self._other += 1
