"""Dead letters: refused records, kept with every byte up to 1 MiB, the reason, and where they came from."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from devicesync.law.refusal import Reason
from devicesync.log.whole_lines import LONGEST_LINE_BYTES

LISTED_BYTES = 64 << 20
"""What the values of a list have together, at most."""
_IN_PART = "only the first "


class DeadLetter(NamedTuple):
    """One refused record.

    value: its bytes, unchanged; its beginning where `is_in_part`. None where the record had no value.
    reason, detail: why the law refused it.
    source: the topic, or the path of the journal or file. offset: in a file the number of the line, from 0.
    time_ms: when the log took the record, or when the file was read.
    key: the key of the record. None where it has none.
    kept_id: the id under which it is kept, where this one has less of it; else "".
    """

    value: bytes | None
    reason: Reason
    detail: str
    source: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None = None
    kept_id: str = ""

    @property
    def is_in_part(self) -> bool:
        """Whether only the beginning of the value is kept: the record itself can't be had from it."""
        return self.detail.startswith(_IN_PART)

    @property
    def id(self) -> str:
        """16 hex digits. The same record, refused again, has the same id."""
        if self.kept_id:
            return self.kept_id
        origin = f"{self.source}\0{self.partition}\0{self.offset}\0".encode()
        return hashlib.sha256(origin + (self.value or b"")).hexdigest()[:16]


def kept_in_part(size: int, whole: int) -> str:
    """The detail of a letter that has so many bytes of a record of so many."""
    return f"{_IN_PART}{size} of {whole} bytes are kept"


def kept(letter: DeadLetter, most: int = LONGEST_LINE_BYTES) -> DeadLetter:
    """What is kept of a letter: at most so many bytes of its value, and no longer key. Its detail says what is missing."""
    value, key = letter.value or b"", letter.key or b""
    missing = []
    if len(value) > most:
        missing.append(kept_in_part(most, len(value)))
    if len(key) > most:
        missing.append(f"its key of {len(key)} bytes is not kept")
    if not missing:
        return letter
    value_kept = None if letter.value is None else value[:most]
    return letter._replace(value=value_kept, key=None if len(key) > most else letter.key, detail="; ".join(missing))


def listed(letter: DeadLetter, letters: int) -> DeadLetter:
    """What a list of so many letters has of one: all of it, or its share of LISTED_BYTES. Its detail says so."""
    most = LISTED_BYTES // letters
    size = len(letter.value or b"")
    if max(size, len(letter.key or b"")) <= most:
        return letter
    detail = f"{letter.detail}; the list has {min(most, size)} of its {size} bytes"
    value, key = (part and part[:most] for part in (letter.value, letter.key))
    return letter._replace(value=value, key=key, detail=detail, kept_id=letter.id)


class DeadLetters(Protocol):
    """Keeps dead letters. Use it from one thread."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Return when these letters are durable. A letter whose id is there already is not added again.

        Of a larger one than 1 MiB the beginning is kept: see `kept`.
        A topic may show a letter twice after a crash. Raises Unavailable.
        """
        ...

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """Return how many letters match, and the newest `limit` of them, the newest first.

        reason: None for all reasons. limit: None for all letters. Of large ones this has the beginning: see `listed`.

        Raises Unavailable.
        """
        ...

    def each(self, reason: str | None = None) -> Iterator[DeadLetter]:
        """Return those that are there now, all or those of a reason, one by one: together they may be larger than memory.

        They may be removed meanwhile. Raises Unavailable.
        """
        ...

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return the letter with this id, or None. Raises Unavailable."""
        ...

    def remove(self, letter_ids: Sequence[str]) -> None:
        """Remove these letters. Unknown ids are ignored. Raises Unavailable."""
        ...

    def remove_older(self, before_ms: int) -> int:
        """Remove, for good, the letters with an earlier time_ms. Return how many. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...
