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
    """Join changes into their rows, within the caller's transaction. Return the joined states, and how many rows were written.

    Of large rows only as many are read as are not too much at once. The other changes are left.
    """
    joined: dict[str, State] = {}
    updates: list[list[Any]] = []
    inserts: list[list[Any]] = []
    size = 0
    for few in few_at_once(changes):
        if size >= MUCH_BYTES:
            break
        held = read(connection, few)
        for device_id in few:
            rowid, before = held.get(device_id, (0, NOTHING))
            after = join(before, changes[device_id])
            if not rowid:
                inserts.append(table.row_of(device_id, after))
            elif after is not before:
                updates.append([rowid, *table.row_of(device_id, after)[1:]])
            size += after.text_bytes
            joined[device_id] = after
    for statement, rows in ((table.UPDATE, updates), (table.INSERT, inserts)):
        rows.sort()  # neighbours on disk one after the other
        connection.executemany(statement, rows)
    return joined, len(updates) + len(inserts)
