"""The dead letters of a world: in memory, durable, and every change waits for its turn."""

from collections.abc import Iterator, Sequence

from devicesync.dead_letters.port import DeadLetter
from devicesync.errors import Unavailable
from tests.simulation.scheduler import done, gate


class KeptDeadLetters:
    """See dead_letters.DeadLetters."""

    def __init__(self) -> None:
        self.letters: dict[str, DeadLetter] = {}

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """See dead_letters.DeadLetters."""
        if not letters:
            return
        fate = gate("dead letters add")
        if fate == "is refused":
            raise Unavailable(fate)
        self.letters |= {letter.id: letter for letter in (letters[::2] if fate == "is done by half" else letters)}
        done(fate)
        if fate != "goes on":
            raise Unavailable(fate)

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """See dead_letters.DeadLetters."""
        found = [letter for letter in self.letters.values() if reason in (None, letter.reason)]
        return len(found), found[:limit]

    def each(self, reason: str | None = None) -> Iterator[DeadLetter]:
        """See dead_letters.DeadLetters."""
        return (letter for letter in [*self.letters.values()] if reason in (None, letter.reason))

    def get(self, letter_id: str) -> DeadLetter | None:
        """See dead_letters.DeadLetters."""
        return self.letters.get(letter_id)

    def remove(self, letter_ids: Sequence[str]) -> None:
        """See dead_letters.DeadLetters."""
        if not letter_ids:
            return
        fate = gate("dead letters remove")
        if fate == "is refused":
            raise Unavailable(fate)
        for letter_id in letter_ids[::2] if fate == "is done by half" else letter_ids:
            self.letters.pop(letter_id, None)
        done(fate)
        if fate != "goes on":
            raise Unavailable(fate)

    def remove_older(self, before_ms: int) -> int:
        """See dead_letters.DeadLetters."""
        raise NotImplementedError

    def close(self) -> None:
        """See dead_letters.DeadLetters."""
