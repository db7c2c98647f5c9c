"""Dead letters: refused records, kept whole, with the reason and where they came from."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from devicesync.law.refusal import Reason


class DeadLetter(NamedTuple):
    """One refused record, its bytes unchanged; None where it had no value.

    `time_ms` is when the log took it or the file was read; `key` is the record's, where the log has keys.
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
        """Stable: the same record refused again has the same id."""
        place = f"{self.source}\0{self.partition}\0{self.offset}\0".encode()
        return hashlib.sha256(place + (self.value or b"")).hexdigest()[:16]


class DeadLetters(Protocol):
    """Where they are kept."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Durable when it returns; a record that is there already is not doubled. Raises Unavailable."""
        ...

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """How many match, and the newest `limit` of them (None: all). Raises Unavailable."""
        ...

    def get(self, letter_id: str) -> DeadLetter | None:
        """The one with this id. Raises Unavailable."""
        ...

    def remove(self, letter_ids: Sequence[str]) -> None:
        """Forget these; unknown ids are passed by. Raises Unavailable."""
        ...

    def remove_older(self, before_ms: int) -> int:
        """Forget those that the log took before that time, for good; how many. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...
