"""Devices divided into shares, each of which fits in memory, also where a stranger chooses the ids."""

import os
from hashlib import blake2b

KEY_BYTES = 16


class Shares:
    """`count` shares, by a hash with a key: without it nobody can tell which ids come into one share."""

    def __init__(self, key: bytes, count: int) -> None:
        self._key = key
        self._count = count

    def share_of(self, device_id: str) -> int:
        """In which share the device is: 0 to count - 1."""
        return int.from_bytes(blake2b(device_id.encode(), digest_size=8, key=self._key).digest()) % self._count


def new_key() -> bytes:
    """A key that nobody can guess."""
    return os.urandom(KEY_BYTES)
