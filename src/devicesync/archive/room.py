"""The memory that the readers of files share, where several files are read side by side."""

from collections.abc import Iterator
from contextlib import contextmanager

BATCH_BYTES = 8 << 20
"""What all readers yield at once. In Python rows take up to three times as much."""
_ROOM_BYTES = 208 << 20
"""A range of the default size takes 188 MiB at most, however many days it has: 128, and one record more. So does any file."""


class Room:
    """208 MiB. Only for readers in one thread. batch_bytes: how much each of them yields at once, but for a larger row."""

    def __init__(self, readers: int = 1) -> None:
        self.batch_bytes = BATCH_BYTES // readers
        self._left = _ROOM_BYTES

    @contextmanager
    def taken(self, bytes_: int) -> Iterator[None]:
        """Take some until the end of the body. Raises ValueError where they are not left."""
        self._left -= bytes_
        try:
            if self._left < 0:
                raise ValueError(f"the files that are read side by side would take more than {_ROOM_BYTES:,} bytes of memory")
            yield
        finally:
            self._left += bytes_
