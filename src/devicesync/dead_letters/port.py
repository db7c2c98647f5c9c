"""Dead letters: refused records, kept with every byte, the reason, and where they came from."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from devicesync.law.refusal import Reason


class DeadLetter(NamedTuple):
    """One refused record.

    value: its bytes, unchanged. None where the record had no value.
    reason, detail: why the law refused it.
    source: the topic, or the path of the journal or file. offset: in a file the number of the line, from 0.
    time_ms: when the log took the record, or when the file was read.
    key: the key of the record. None where it has none.
    """

    value: bytes | None
    reason: Reason
    detail: str
    source: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None = None

    @property
    def id(self) -> str:
        """16 hex digits. The same record, refused again, has the same id."""
        origin = f"{self.source}\0{self.partition}\0{self.offset}\0".encode()
        return hashlib.sha256(origin + (self.value or b"")).hexdigest()[:16]


class DeadLetters(Protocol):
    """Keeps dead letters. Use it from one thread."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Return when these letters are durable. A letter whose id is there already is not added again.

        A topic may show a letter twice after a crash. Raises Unavailable.
        """
        ...

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """Return how many letters match, and the newest `limit` of them, the newest first.

        reason: None for all reasons. limit: None for all letters.

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
