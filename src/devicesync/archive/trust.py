"""An archive is believed only where it agrees with itself: others may have written there, or damaged a file."""

import hashlib
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import msgspec
import pyarrow as pa

from devicesync.archive.entry import Entry
from devicesync.errors import Damaged
from devicesync.log.full import OFFSET, TIMESTAMP_MS, VALUE, FullRecord

T = TypeVar("T")

_NO_FILE = (pa.ArrowException, OSError, EOFError, zlib.error, ValueError, TypeError)
"""What reading raises for a file that is not one of ours."""
_OTHER_TIMES = "has records of other times than its entry says"


def sealed(document: object) -> bytes:
    """A file of the manifest: JSON in one line, and its SHA-256 in the next. Older archives have the first line alone."""
    content = msgspec.json.encode(document)
    return content + b"\n" + _seal(content)


def decoded(path: str, held: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read a file of the manifest. Raises Damaged, which names the file."""
    content, _, seal = held.rpartition(b"\n")
    is_sealed = len(seal) == len(_seal(b"")) and bool(content)
    if is_sealed and seal != _seal(content):
        raise Damaged(path, "is not what was written: its checksum differs")
    try:
        return decoder.decode(content if is_sealed else held)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Damaged(path, f"can't be read: {error}" if held else "is empty") from error


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def proved(entry: Entry, batches: Iterator[list[FullRecord]]) -> Iterator[list[FullRecord]]:
    """Yield the file's rows, if they are in order, as many as the entry says, of its times, and have no more bytes.

    Each version of a backup counted at least a record's value. Raises Damaged, which names the file.
    """
    records, before, left_bytes = 0, entry.first_offset - 1, entry.record_bytes
    times: list[int] = []
    said = [stamp for stamp in (entry.first_ms, entry.last_ms) if stamp is not None]
    is_first_due = not entry.revision
    try:
        for rows in batches:
            offsets = [before, *[row[OFFSET] for row in rows]]
            if any(after <= earlier for earlier, after in pairwise(offsets)) or (is_first_due and offsets[1] != before + 1):
                raise Damaged(entry.path, f"has other offsets than {entry.first_offset} to {entry.next_offset - 1}, ascending")
            is_first_due = False
            records += len(rows)
            before = offsets[-1]
            if records > entry.records:
                break
            left_bytes -= sum(len(row[VALUE] or b"") for row in rows)
            if left_bytes < 0:
                raise Damaged(entry.path, f"has records of more than the {entry.record_bytes:,} bytes that its entry says")
            times += [stamp for row in rows if (stamp := row[TIMESTAMP_MS]) is not None]
            times = [min(times), max(times)] if times else []
            if times and not (said and said[0] <= times[0] and times[1] <= said[-1]):
                raise Damaged(entry.path, _OTHER_TIMES)
            yield rows
    except _NO_FILE as error:
        raise Damaged(entry.path, f"can't be read: {error}") from error
    if before >= entry.next_offset or records != entry.records:
        raise Damaged(entry.path, f"has {records:,} records up to offset {before} instead of {entry.records:,}")
    if times != said:
        raise Damaged(entry.path, _OTHER_TIMES)
