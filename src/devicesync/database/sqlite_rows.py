"""Reading the rows of devices from the SQLite file, and joining changes into them."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from devicesync.database import sqlite_table as table
from devicesync.few import MUCH_BYTES, few_at_once
from devicesync.law.state import NOTHING, State, join


def read(connection: sqlite3.Connection, device_ids: Sequence[str]) -> dict[str, tuple[int, State]]:
    """The number of each device's row, and its state. Unknown devices are absent."""
    rows = connection.execute(table.SELECT, (msgspec.json.encode(device_ids).decode(),))
    return {row[1]: (row[0], table.state_of_row(row)) for row in rows}


def merge(connection: sqlite3.Connection, changes: Mapping[str, State]) -> tuple[dict[str, State], int]:
    """Join each change into its row, within the caller's transaction. Return the joined states, and how many rows were written.

    Of large states only as many are returned as are not too much at once.
    """
    joined: dict[str, State] = {}
    updates: list[list[Any]] = []
    inserts: list[list[Any]] = []
    written = size = 0
    for few in few_at_once(changes):
        held = read(connection, few)
        for device_id in few:
            rowid, before = held.get(device_id, (0, NOTHING))
            after = join(before, changes[device_id])
            if not rowid:
                inserts.append(table.row_of(device_id, after))
            elif after is not before:
                updates.append([rowid, *table.row_of(device_id, after)[1:]])
            size += after.map_bytes
            if size < MUCH_BYTES:
                joined[device_id] = after
        if size >= MUCH_BYTES:
            written += _write(connection, updates, inserts)
    return joined, written + _write(connection, updates, inserts)


def _write(connection: sqlite3.Connection, updates: list[list[Any]], inserts: list[list[Any]]) -> int:
    """Write these rows, neighbours on disk one after the other; how many they were. The lists are empty then."""
    written = len(updates) + len(inserts)
    for statement, rows in ((table.UPDATE, updates), (table.INSERT, inserts)):
        rows.sort()
        connection.executemany(statement, rows)
        rows.clear()
    return written
