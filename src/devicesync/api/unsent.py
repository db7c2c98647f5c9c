"""Answers that clients have not taken yet: how many bytes of them all connections hold together."""

from devicesync.api.networks import Connected

MOST_BYTES = 64 << 20
"""An ordinary answer has 1 KB; the largest one, with the largest maps that ties can make, has 262 KB."""


class Unsent:
    """By connection how many bytes of answers are held for its client. Above MOST_BYTES, who has waited longest is cut off."""

    def __init__(self) -> None:
        self._bytes: dict[Connected, int] = {}
        self._total = 0

    def note(self, connection: Connected, count: int) -> None:
        """So many bytes of this connection's answers are held now."""
        self._total += count - self._bytes.pop(connection, 0)
        if count:
            self._bytes[connection] = count
        while self._total > MOST_BYTES:
            first = next(iter(self._bytes))
            self._total -= self._bytes.pop(first)
            first.cut_off()
