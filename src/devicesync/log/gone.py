"""What a log dropped, or lost, before a reader had it."""

from typing import NamedTuple


class Gone(NamedTuple):
    """Records, by their numbers, that the log has no more.

    unread: between the reader's position and what the log still has. unknown: of the partitions where the reader has no position.
    It is new, or its positions are lost too.
    """

    unread: int
    unknown: int
