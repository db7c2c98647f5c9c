"""Which letters a topic has, as it is read to its end. They may be more than memory holds: they lie in a temporary database."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from devicesync.dead_letters.port import DeadLetter
from devicesync.errors import Unavailable

Place = tuple[int, int]
"""A partition of the topic, and the offset there."""

_CACHE_KIB = 16 << 10
_MAKE = f"""
PRAGMA cache_size = -{_CACHE_KIB};
PRAGMA journal_mode = OFF;
CREATE TABLE letter (
    id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, place INTEGER NOT NULL, written_ms INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, offset INTEGER NOT NULL, is_wanted INTEGER NOT NULL
);
CREATE TABLE mark (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, written_ms INTEGER NOT NULL);
BEGIN;
"""
_ADD = """
INSERT INTO letter VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
SET partition = excluded.partition, place = excluded.place, written_ms = excluded.written_ms, time_ms = excluded.time_ms,
    offset = excluded.offset, is_wanted = excluded.is_wanted
WHERE excluded.written_ms > written_ms
"""
_MARK = """
INSERT INTO mark VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET partition = excluded.partition, written_ms = excluded.written_ms
WHERE (excluded.written_ms, excluded.partition) > (written_ms, partition)
"""
_SETTLE = """
DELETE FROM letter WHERE id IN (
    SELECT id FROM mark JOIN letter USING (id)
    WHERE letter.partition <> mark.partition AND letter.written_ms <= mark.written_ms
)
"""
_NEWEST = "SELECT partition, place FROM letter WHERE is_wanted ORDER BY time_ms DESC, offset DESC LIMIT ?"
_ID = re.compile(r"[0-9a-f]{16}")


class KnownLetters:
    """Takes some 16 MiB of memory, and of the disk 50 MB for each million letters where they are many."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def add(self, letter: DeadLetter, place: Place, written_ms: int, *, is_wanted: bool) -> None:
        """Of the same letter in several places the one that was written last counts."""
        row = (_number(letter.id), *place, written_ms, letter.time_ms, letter.offset, is_wanted)
        self._database.execute(_ADD, row)

    def forget(self, letter_id: str, partition: int, written_ms: int) -> None:
        """A marker of this letter lies in this partition. Its letter may lie in another one, read before or after."""
        if _ID.fullmatch(letter_id):
            number = _number(letter_id)
            self._database.execute("DELETE FROM letter WHERE id = ? AND partition = ?", (number, partition))
            self._database.execute(_MARK, (number, partition, written_ms))

    def settle(self) -> None:
        """All is read: forget the letters that have a later marker in another partition."""
        self._database.execute(_SETTLE)

    def count(self) -> int:
        """How many are wanted."""
        return self._one("SELECT count(*) FROM letter WHERE is_wanted")

    def older(self, before_ms: int) -> int:
        """How many have an earlier time."""
        return self._one("SELECT count(*) FROM letter WHERE time_ms < ?", before_ms)

    def places(self, count: int) -> Iterator[Place]:
        """Where the newest so many of those that are wanted lie, in the topic's order."""
        yield from self._database.execute(f"SELECT * FROM ({_NEWEST}) ORDER BY partition, place", (count,))

    def spans(self, count: int) -> dict[int, tuple[int, int]]:
        """Of each partition that has some of these places: its first and its last."""
        query = f"SELECT partition, min(place), max(place) FROM ({_NEWEST}) GROUP BY partition ORDER BY partition"
        return {partition: (first, last) for partition, first, last in self._database.execute(query, (count,))}

    def _one(self, query: str, *values: int) -> int:
        (number,) = self._database.execute(query, values).fetchone()
        return int(number)


@contextmanager
def known_letters() -> Iterator[KnownLetters]:
    """None at first. What its memory does not hold lies in a file without a name, so it is gone with the process at the latest.

    Raises Unavailable where that can't be written.
    """
    try:
        with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
            database.executescript(_MAKE)
            yield KnownLetters(database)
    except sqlite3.Error as error:
        hint = "let TMPDIR name a directory with 50 MB of room for each million dead letters"
        raise Unavailable(f"can't note which dead letters there are: {error}", hint) from error


def _number(letter_id: str) -> int:
    """The 64 bits of an id, as SQLite has them."""
    return int.from_bytes(bytes.fromhex(letter_id), signed=True)
