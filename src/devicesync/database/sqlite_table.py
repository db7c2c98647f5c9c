"""The table of SQLite's profiles, as law/facets.py declares them: its columns, its statements, its rows.

Columns that a file lacks, because the profile has grown since it was made, are added by `ADD`.
"""

from typing import Any

from devicesync.law.facets import FACETS, SLICES
from devicesync.law.state import State

_HEAD = ("version", "erased", "api_last_updated_on", "first_access", "user_declared_on")
_FACET_COLUMNS = tuple(column for facet in FACETS for column in (f"{facet.name}_version", *facet.fields))
# A facet that is one field of the same name ("uaspec") has its version in a column of its own all the same.
COLUMNS = ("device_id", *_HEAD, *_FACET_COLUMNS)
_INTEGERS = {*_HEAD, *(f"{facet.name}_version" for facet in FACETS)}
_DECLARED = {column: f"{column} INTEGER NOT NULL DEFAULT 0" if column in _INTEGERS else f"{column} TEXT" for column in COLUMNS}
_ROWID = 1  # a row as read begins with its rowid
_SPANS = tuple(
    slice(_ROWID + 1 + len(_HEAD) + where.start + spot, _ROWID + 1 + len(_HEAD) + where.stop + spot + 1)
    for spot, where in enumerate(SLICES)
)

# A rowid table on small pages, updated in place: with a million devices a write then dirties one page of 2 KiB, where
# WITHOUT ROWID rebalances neighbours too (1.5 pages of 4 KiB) and costs twice as much.
CREATE = f"CREATE TABLE IF NOT EXISTS device_profile ({', '.join(_DECLARED.values())}, PRIMARY KEY (device_id))"
THERE = "SELECT name FROM pragma_table_info('device_profile')"
ADD = {column: f"ALTER TABLE device_profile ADD COLUMN {declared}" for column, declared in _DECLARED.items()}
SELECT = f"SELECT rowid, {', '.join(COLUMNS)} FROM device_profile WHERE device_id IN (SELECT value FROM json_each(?))"
SCAN = "SELECT rowid, device_id FROM device_profile WHERE rowid > ? ORDER BY rowid LIMIT ?"
INSERT = f"INSERT INTO device_profile ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
# By rowid: the index was searched by the read already, and its pages need not come into memory again.
_SET = ", ".join(f"{column} = ?{spot}" for spot, column in enumerate(COLUMNS[1:], 2))
UPDATE = f"UPDATE device_profile SET {_SET} WHERE rowid = ?1"


def row_of(device_id: str, state: State) -> list[Any]:
    """The values of COLUMNS."""
    row: list[Any] = [device_id, *state[:5]]
    for version, values in state.registers:
        row.append(version)
        row += values
    return row


def state_of_row(row: tuple[Any, ...]) -> State:
    """The state that a row of SELECT holds."""
    registers = [(row[span.start], row[span.start + 1 : span.stop]) for span in _SPANS]
    return State(row[2], row[3], row[4], row[5], row[6], tuple(registers))
