"""The file that `apply` and `enrich` read: JSON lines, gzipped or not, or standard input."""

import gzip
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from devicesync.assembly.waiting_input import WaitingInput
from devicesync.errors import Stopped, WrongUse

_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 4096
_BUFFER_BYTES = 1 << 18


class EventFile(NamedTuple):
    """The opened file, unpacked; how it begins; and its size in bytes where that is known."""

    lines: "BufferedReader | gzip.GzipFile"
    head: bytes
    size: int | None


@contextmanager
def opened(file: Path, stop: threading.Event) -> Iterator[EventFile]:
    """Open it for the body; - is standard input. Raises WrongUse, and Stopped when `stop` is set and more is read."""
    with ExitStack() as closing:
        try:
            descriptor = 0 if str(file) == "-" else _opened(file, closing)
            raw: BufferedReader = BufferedReader(WaitingInput(descriptor, stop), _BUFFER_BYTES)
            is_packed = raw.peek(len(_GZIP)).startswith(_GZIP)
        except OSError as error:
            raise WrongUse(f"can't read {file}: {error.strerror}", "give a file of JSON lines, or - for stdin") from None
        try:
            if is_packed:
                unpacked = closing.enter_context(_Unpacked(raw, stop))
                yield EventFile(unpacked, unpacked.peek(_HEAD_BYTES), None)
            else:
                size = (os.fstat(descriptor).st_size or None) if descriptor else None
                yield EventFile(raw, raw.peek(_HEAD_BYTES), size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise WrongUse(f"{file} can't be unpacked to its end: {error}", "what came before is applied") from None


class _Unpacked(gzip.GzipFile):
    """Asks for `stop` at each read of its own: a few packed bytes may be many blank lines, which nobody else looks at."""

    def __init__(self, packed: BufferedReader, stop: threading.Event) -> None:
        super().__init__(fileobj=packed)
        self._stop = stop

    def read1(self, size: int = -1) -> bytes:
        """See gzip.GzipFile. Raises Stopped."""
        if self._stop.is_set():
            raise Stopped
        return super().read1(size)


def _opened(file: Path, closing: ExitStack) -> int:
    """The descriptor, closed with `closing`. A pipe that nobody writes to yet is opened at once. Raises OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    closing.callback(os.close, descriptor)
    os.set_blocking(descriptor, True)
    return descriptor
