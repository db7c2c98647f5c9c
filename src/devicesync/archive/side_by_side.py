"""The rows of a range's files, in order of their offsets: the days of a range may alternate."""

from collections.abc import Iterable, Iterator
from heapq import merge
from operator import itemgetter
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.log.full import OFFSET, FullRecord


class Opened(NamedTuple):
    """A file, and its rows, some thousand at a time. Who reads them may empty their lists: rows may be large."""

    entry: Entry
    batches: Iterator[list[FullRecord]]


class Row(NamedTuple):
    """A row and its file. held: a list with the row, which its reader takes out: `in_order` keeps the list until the next one."""

    offset: int
    held: list[FullRecord]
    entry: Entry


def in_order(files: Iterable[Opened]) -> Iterator[Row]:
    """Yield the rows of all files. Of each file one row is in memory, or some small ones."""
    return merge(*map(_rows_of, files), key=itemgetter(0))


def _rows_of(file: Opened) -> Iterator[Row]:
    for rows in file.batches:
        rows.reverse()
        while rows:
            yield Row(rows[-1][OFFSET], [rows.pop()], file.entry)
