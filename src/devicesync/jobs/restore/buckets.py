"""States on disk, divided by device, so that each bucket fits in memory. Joining is idempotent, so adding twice is harmless.

Each process appends frames (a length and its content) to files of its own. A crash can only damage the end of a file.
"""

import os
import struct
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from devicesync.law.state import State, join

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, State]]).decode


class Buckets:
    """`count` buckets below `directory`. Raises OSError."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._count = count
        self._mine = uuid.uuid4().hex
        self._files: dict[int, BinaryIO] = {}

    def add(self, states: Mapping[str, State]) -> None:
        """Join these states in. They are on disk after `flush`."""
        divided: defaultdict[int, list[tuple[str, State]]] = defaultdict(list)
        for device_id, state in states.items():
            divided[zlib.crc32(device_id.encode()) % self._count].append((device_id, state))
        for bucket, some in divided.items():
            content = _encode(some)
            self._file(bucket).write(_LENGTH.pack(len(content)) + content)

    def flush(self) -> None:
        """Make what was added durable on disk."""
        for file in self._files.values():
            file.flush()
            os.fdatasync(file.fileno())

    def read(self, bucket: int) -> dict[str, State]:
        """Return every device of the bucket."""
        held: dict[str, State] = {}
        for path in sorted((self._directory / str(bucket)).glob("*")):
            for content in _frames(path.read_bytes()):
                for device_id, state in _decode(content):
                    before = held.get(device_id)
                    held[device_id] = state if before is None else join(before, state)
        return held

    def _file(self, bucket: int) -> BinaryIO:
        if bucket not in self._files:
            directory = self._directory / str(bucket)
            self._directory.mkdir(0o700, parents=True, exist_ok=True)
            directory.mkdir(exist_ok=True)
            self._files[bucket] = (directory / self._mine).open("ab")
        return self._files[bucket]


def _frames(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    while len(view) >= _LENGTH.size:
        (length,) = _LENGTH.unpack(view[: _LENGTH.size])
        if len(view) < _LENGTH.size + length:
            return
        yield view[_LENGTH.size : _LENGTH.size + length]
        view = view[_LENGTH.size + length :]
