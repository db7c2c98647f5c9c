"""States on disk, divided by device, so that each bucket fits in memory. Joining is idempotent, so adding twice is harmless.

    <directory>/<bucket>/<writer>    frames: a length, a checksum, and the content
    <directory>/<writer>.sizes       how much of each of its files counts: what was there at the writer's last `flush`; as a frame
    <directory>/writers              whose files count, as a frame: who reads must know of every writer, for a list may get lost
    <directory>/key                  of the hash that divides the devices, as a frame: the same for all writers

Each process appends to files of its own, under a writer's name. What follows the size that counts, and what is of a writer that
does not count, is of a part that was not finished, and is done again. None stays open: a process has fewer descriptors than there
may be buckets.
"""

import os
import struct
import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from devicesync.durable import beginning_of, content_of, opened, replace, sync_directory, write_all
from devicesync.errors import Damaged
from devicesync.jobs.shared.shares import KEY_BYTES, Shares, new_key
from devicesync.law.state import State, join

_HEAD = struct.Struct("<II")
_SIZES = ".sizes"
_KEY, _WRITERS = "key", "writers"
_MOST_BYTES = 1 << 20
"""Of a list. A writer is a process, or what one went on as after a failure: a list of 10,000 has 350 KB."""
_HINT = "--restart reads the backup again"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, State]]).decode
_decode_sizes = msgspec.json.Decoder(dict[int, int]).decode
_decode_writers = msgspec.json.Decoder(list[str]).decode


class Buckets:
    """`count` buckets below `directory`. Raises OSError."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory = directory
        self._count = count
        self._shares: Shares | None = None
        self._begin()

    @property
    def are_prepared(self) -> bool:
        """Whether `prepare` was called for this directory."""
        return self._key() is not None

    def prepare(self) -> None:
        """Make the directory, with a key, unless it has one. Once, before the first `add` of any process."""
        if not self.are_prepared:
            self._directory.mkdir(0o700, parents=True, exist_ok=True)
            replace(self._directory / _KEY, _frame(new_key()), durable=True)

    def add(self, states: Mapping[str, State]) -> None:
        """Join these states in. They count after `flush`. Raises Damaged where `prepare` was not called."""
        share_of = self._sharing().share_of
        divided: defaultdict[int, list[tuple[str, State]]] = defaultdict(list)
        for device_id, state in states.items():
            divided[share_of(device_id)].append((device_id, state))
        with self._begins_anew():
            for bucket, some in divided.items():
                self._append(bucket, _frame(_encode(some)))

    def flush(self) -> str:
        """Make what was added durable on disk. Return the writer under whose name it is; "" where nothing ever was added."""
        with self._begins_anew():
            for bucket in sorted(self._unsynced):
                with opened(self._path(bucket)) as file:
                    os.fdatasync(file.fileno())
                if bucket not in self._sizes:
                    sync_directory(self._path(bucket).parent)
                self._sizes[bucket] = self._written[bucket]
            self._unsynced.clear()
            if self._sizes:
                replace(self._directory / f"{self._mine}{_SIZES}", _frame(msgspec.json.encode(self._sizes)), durable=True)
        return self._mine if self._sizes else ""

    def count(self, writers: Iterable[str]) -> None:
        """Let what these writers flushed count, and nothing else. Once all is flushed, before the first `read`."""
        replace(self._directory / _WRITERS, _frame(msgspec.json.encode(sorted({*writers} - {""}))), durable=True)

    def read(self, bucket: int) -> dict[str, State]:
        """Return every device of the bucket. Raises Damaged where something that counts is missing, or not what was written."""
        held: dict[str, State] = {}
        path = self._directory / _WRITERS
        try:
            for writer in _decode_writers(_content_of_frame(path)):
                path = self._directory / f"{writer}{_SIZES}"
                size = _decode_sizes(_content_of_frame(path)).get(bucket, 0)
                path = self._directory / str(bucket) / writer
                for content in _frames(_beginning_of(path, size)):
                    for device_id, state in _decode(content):
                        before = held.get(device_id)
                        held[device_id] = state if before is None else join(before, state)
        except (msgspec.MsgspecError, ValueError, struct.error, OSError) as error:
            raise Damaged(str(path), f"is not what was written: {error}", _HINT) from error
        return held

    def _sharing(self) -> Shares:
        if self._shares is None:
            key = self._key()
            if key is None:
                raise Damaged(str(self._directory / _KEY), "is missing, or not what was written", _HINT)
            self._shares = Shares(key, self._count)
        return self._shares

    def _key(self) -> bytes | None:
        """None where it is missing, or torn."""
        try:
            key = _content_of_frame(self._directory / _KEY)
        except (OSError, ValueError, struct.error):
            return None
        return bytes(key) if len(key) == KEY_BYTES else None

    def _begin(self) -> None:
        self._mine = uuid.uuid4().hex
        self._written: dict[int, int] = {}
        self._unsynced: set[int] = set()
        self._sizes: dict[int, int] = {}

    @contextmanager
    def _begins_anew(self) -> Iterator[None]:
        """After a failure go on in other files: half a frame may be at the end of these."""
        try:
            yield
        except OSError:
            self._begin()
            raise

    def _append(self, bucket: int, content: bytes) -> None:
        path = self._path(bucket)
        if bucket not in self._written:
            path.parent.mkdir(exist_ok=True)
        with path.open("ab", buffering=0) as file:
            write_all(file.fileno(), content)
        self._written[bucket] = self._written.get(bucket, 0) + len(content)
        self._unsynced.add(bucket)

    def _path(self, bucket: int) -> Path:
        return self._directory / str(bucket) / self._mine


def _beginning_of(path: Path, size: int) -> bytes:
    if not size:
        return b""
    content = beginning_of(path, size)
    if len(content) < size:
        raise ValueError(f"it has {len(content):,} bytes instead of {size:,}")
    return content


def _content_of_frame(path: Path) -> memoryview:
    """What a file of one frame holds. Raises OSError, ValueError, struct.error."""
    (content,) = _frames(content_of(path, _MOST_BYTES))
    return content


def _frame(content: bytes) -> bytes:
    return _HEAD.pack(len(content), zlib.crc32(content)) + content


def _frames(data: bytes) -> Iterator[memoryview]:
    """What they hold. Raises ValueError, struct.error for one that is not whole."""
    view = memoryview(data)
    while view:
        length, checksum = _HEAD.unpack(view[: _HEAD.size])
        content, view = view[_HEAD.size :][:length], view[_HEAD.size + length :]
        if zlib.crc32(content) != checksum:
            raise ValueError("a checksum differs")
        yield content
