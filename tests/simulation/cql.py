"""The statements of schema.py, and the few others that the code and its tests use, over rows of cells."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from cassandra.metadata import Murmur3Token

from tests.simulation.cells import Cell, Deletion, Row

Types = dict[str, str]
"""A table's columns and their types."""

_INSERT = re.compile(r"INSERT INTO \S+?\.(\w+) \((.*?)\) VALUES \((.*)\) USING TIMESTAMP (\?|\d+)$")
_UPDATE = re.compile(
    r"UPDATE \S+?\.(\w+) USING TIMESTAMP \? SET (\w+) = (?:blobAsTimestamp\(bigintAsBlob\(\?\)\)|\?|\w+ ([+-]) \?) WHERE"
)
_DELETE = re.compile(r"DELETE (?:(\w+(?:, \w+)*) )?FROM \S+?\.(\w+) USING TIMESTAMP \? WHERE")
_SELECT = re.compile(r"SELECT (.*) FROM \S+?\.(\w+) WHERE (.*)$")
_SHOWN = re.compile(r"(?:(\w+)\()?(\w+)\)?$")


class Write(NamedTuple):
    """A write of one row."""

    table: str
    device_id: str
    row: Row


class Read(NamedTuple):
    """A query: which rows of a table, in an order, and what is shown of each."""

    table: str
    chosen: Callable[[Iterable[str]], list[str]]
    show: Callable[[str, Row], tuple[Any, ...]]


def device_of(statement: str, values: Sequence[Any]) -> str:
    """The row that a statement of schema.py writes."""
    return str(values[0 if statement.startswith("INSERT") else -1])


@cache
def is_read(statement: str) -> bool:
    """Whether it is a query."""
    return statement.startswith("SELECT")


def write(statement: str, values: Sequence[Any], types: Callable[[str], Types], now_s: int) -> Write:
    """What a statement writes."""
    row = Row()
    if match := _delete(statement):
        deletion = Deletion(values[0], now_s)
        if match[1]:
            row.deletions |= dict.fromkeys(match[1].split(", "), deletion)
        else:
            row.deletion = deletion
        return Write(match[2], values[1], row)
    if match := _update(statement):
        timestamp, value, device_id = values
        if isinstance(value, set) and not match[3]:
            row.deletions[match[2]] = Deletion(timestamp - 1, now_s)
        if isinstance(value, dict | set):
            entries = value if isinstance(value, dict) else dict.fromkeys(value, None if match[3] == "-" else True)
            row.cells |= {(match[2], key): Cell(timestamp, each, now_s) for key, each in entries.items()}
        else:
            row.cells[match[2], None] = Cell(timestamp, value, now_s)
        return Write(match[1], device_id, row)
    table, columns = _insert(statement)
    *bound, timestamp = values
    row.liveness = timestamp
    for name, value in zip(columns[1:], bound[1:], strict=True):
        if types(table)[name].startswith("map"):
            row.deletions[name] = Deletion(timestamp - 1, now_s)
            row.cells |= {(name, key): Cell(timestamp, text, now_s) for key, text in (value or {}).items()}
        else:
            row.cells[name, None] = Cell(timestamp, value, now_s)
    return Write(table, bound[0], row)


def read(statement: str, values: Sequence[Any], types: Callable[[str], Types]) -> Read:
    """What a query reads."""
    shown, table, where = _select(statement)
    show = _show(shown, tuple(types(table).items()))
    if where.startswith("device_id IN ("):
        wanted = re.findall(r"'([^']*)'", where)
        return Read(table, lambda ids: wanted, show)
    if where.startswith("device_id IN"):
        return Read(table, lambda ids: [*dict.fromkeys(values[0])], show)
    start, end, limit = values
    return Read(table, lambda ids: sorted((each for each in ids if start <= token(each) <= end), key=token)[:limit], show)


@cache
def token(device_id: str) -> int:
    """Where the device lies on the ring."""
    return int(Murmur3Token.hash_fn(device_id.encode()))


_delete, _update = cache(_DELETE.match), cache(_UPDATE.match)


@cache
def _insert(statement: str) -> tuple[str, list[str]]:
    match = _INSERT.match(statement)
    assert match, statement
    return match[1], match[2].split(", ")


@cache
def _select(statement: str) -> tuple[tuple[str, ...], str, str]:
    match = _SELECT.match(statement)
    assert match, statement
    return tuple(match[1].split(", ")), match[2], match[3]


@cache
def _show(shown: tuple[str, ...], types: tuple[tuple[str, str], ...]) -> Callable[[str, Row], tuple[Any, ...]]:
    kinds = dict(types)
    getters = []
    for each in shown:
        match = _SHOWN.match(each)
        assert match, each
        getters.append(_getter(match[1], match[2], kinds[match[2]]))
    return lambda device_id, row: tuple([get(device_id, row) for get in getters])


def _getter(function: str | None, name: str, kind: str) -> Callable[[str, Row], Any]:
    if name == "device_id":
        return (lambda device_id, row: token(device_id)) if function == "token" else lambda device_id, row: device_id
    if function == "MAXWRITETIME":
        return lambda device_id, row: max((cell.timestamp for _, cell in row.parts(name)), default=None)
    if kind.startswith("map"):
        return lambda device_id, row: {key: cell.value for key, cell in row.parts(name)} or None
    if kind.startswith("set"):
        return lambda device_id, row: {key for key, _ in row.parts(name)} or None

    def get(device_id: str, row: Row) -> Any:
        del device_id
        cell = row.cells.get((name, None))
        if cell is None or cell.value is None:
            return None
        return cell.timestamp if function == "WRITETIME" else cell.value

    return get
