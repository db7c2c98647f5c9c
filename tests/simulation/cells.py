"""Cassandra's rows: cells with timestamps, tombstones, and which of two wins (Cells.java). Everything merges in any order."""

import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Column = tuple[str, Any]
"""A column's name, and the key of a map's or set's cell (else None)."""


class Cell(NamedTuple):
    """timestamp: in µs. value: None for a tombstone. written_s: by the server's clock, for gc_grace."""

    timestamp: int
    value: Any
    written_s: int


class Deletion(NamedTuple):
    """Deletes what was written at or before the timestamp (µs)."""

    timestamp: int = -(2**63)
    written_s: int = 0


ALIVE = Deletion()


class Row:
    """What one replica has of a row, or what a mutation says of it: a mutation is a row that is merged into another.

    liveness: the newest INSERT's timestamp: that keeps a row without values alive. deletion: of the row. deletions: of whole maps.
    """

    __slots__ = ("cells", "deletion", "deletions", "liveness")

    def __init__(self) -> None:
        self.liveness: int | None = None
        self.deletion = ALIVE
        self.deletions: dict[str, Deletion] = {}
        self.cells: dict[Column, Cell] = {}

    def merge(self, other: "Row") -> bool:
        """Take over what the other knows; whether that changed anything."""
        before = (self.liveness, self.deletion)
        changed = False
        self.deletion = max(self.deletion, other.deletion)
        for name, deletion in other.deletions.items():
            if deletion > self.deletions.get(name, self.deletion):
                self.deletions[name] = deletion
                changed = True
        if other.liveness is not None:
            self.liveness = max(self.liveness or other.liveness, other.liveness)
        for column, cell in other.cells.items():
            mine = self.cells.get(column)
            if not self._deletes(column, cell) and (mine is None or wins(cell, mine)):
                self.cells[column] = cell
                changed = True
        if self.liveness is not None and self.liveness <= self.deletion.timestamp:
            self.liveness = None
        if changed or self.deletion != before[1]:
            self._drop(column for column, cell in [*self.cells.items()] if self._deletes(column, cell))
        return changed or before != (self.liveness, self.deletion)

    def equals(self, other: "Row") -> bool:
        """Whether the other knows the same."""
        return (
            self.cells == other.cells
            and self.liveness == other.liveness
            and self.deletion == other.deletion
            and self.deletions == other.deletions
        )

    def purge(self, before_s: int) -> None:
        """A compaction after gc_grace: deletions of before are forgotten."""
        self._drop(column for column, cell in [*self.cells.items()] if cell.value is None and cell.written_s < before_s)
        self.deletions = {name: deletion for name, deletion in self.deletions.items() if deletion.written_s >= before_s}
        if self.deletion.written_s < before_s:
            self.deletion = ALIVE

    @property
    def exists(self) -> bool:
        """Whether a query shows it."""
        return self.liveness is not None or any(cell.value is not None for cell in self.cells.values())

    def parts(self, name: str) -> Iterator[tuple[Any, Cell]]:
        """The cells of a column that have a value, each with its key."""
        return ((column[1], cell) for column, cell in self.cells.items() if column[0] == name and cell.value is not None)

    def _deletes(self, column: Column, cell: Cell) -> bool:
        deletion = self.deletion.timestamp
        if column[1] is not None and column[0] in self.deletions:
            deletion = max(deletion, self.deletions[column[0]].timestamp)
        return cell.timestamp <= deletion

    def _drop(self, columns: Iterable[Column]) -> None:
        for column in columns:
            del self.cells[column]


def wins(one: Cell, other: Cell) -> bool:
    """Of two with one timestamp a tombstone wins, else the greater value by its bytes."""
    if one.timestamp != other.timestamp:
        return one.timestamp > other.timestamp
    if one.value is None or other.value is None:
        return one.value is None and (other.value is not None or one.written_s > other.written_s)
    return _bytes(one.value) > _bytes(other.value)


def _bytes(value: Any) -> bytes:
    """As Cassandra keeps it."""
    if isinstance(value, str):
        return value.encode()
    return struct.pack(">q", value) if isinstance(value, int) else b""
