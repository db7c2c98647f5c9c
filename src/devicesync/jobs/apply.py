"""Apply: registers events from a file or pipe of JSON lines, and returns when both stores have them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from devicesync.clock import SYSTEM, Clock
from devicesync.dead_letters.port import DeadLetter, DeadLetters, kept_in_part
from devicesync.jobs.delivery import Delivery
from devicesync.jobs.shared.distinct import DistinctCount
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.whole_lines import LONGEST_LINE_BYTES

_BOM = b"\xef\xbb\xbf"
_READ_BYTES = 1 << 18
_BATCH_BYTES = 1 << 22
_NO_EVENTS = {"malformed_json", "not_an_object", "wrong_encoding", "too_large"}


class Readable(Protocol):
    """A file or pipe, or an unpacked one."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; b"" at the end."""
        ...


class Line(NamedTuple):
    """One line of a file: its number as an editor counts it, from 0; its bytes; and when it was read, in ms.

    more: how many bytes follow that are not kept.
    """

    number: int
    value: bytes
    read_ms: int
    more: int = 0


class Summary(NamedTuple):
    """What `apply` did. `applied`: valid events handed through the law; `devices`: the distinct ids among them."""

    read: int
    applied: int
    devices: int
    dead_reasons: dict[str, int]
    seconds: float

    @property
    def is_no_event_file(self) -> bool:
        """Whether there was something to read, and not one line of it a JSON object."""
        return self.read > 0 and not self.applied and self.dead_reasons.keys() <= _NO_EVENTS

    def document(self) -> dict[str, Any]:
        """The document that `apply --json` prints."""
        return {
            "read": self.read,
            "applied": self.applied,
            "dead": sum(self.dead_reasons.values()),
            "devices": self.devices,
            "dead_reasons": self.dead_reasons,
            "seconds": round(self.seconds, 3),
        }


def lines_of(
    file: Readable, batch_records: int, clock: Clock = SYSTEM, *, longest: int = LONGEST_LINE_BYTES
) -> Iterator[list[Line]]:
    """The file's lines in batches, as they come: a batch is cut short when a pipe pauses.

    CRLF is a line end. A BOM at the very start and blank lines are skipped. A last line without a line end
    counts. longest: of a line with more bytes only that many are kept. It bounds the memory.
    """
    begin = 0
    batch: list[Line] = []
    batch_bytes = 0
    for lines, more, paused in _lines_as_they_come(file, longest):
        read_ms = clock.now_us() // 1000
        for number, raw in enumerate(lines, begin):
            lacks = more if number == begin else 0
            if value := raw if lacks else _content(raw):
                batch.append(Line(number, value, read_ms, lacks))
                batch_bytes += len(value)
                if len(batch) == batch_records or batch_bytes > _BATCH_BYTES:
                    yield batch
                    batch, batch_bytes = [], 0
        begin += len(lines)
        if batch and paused:
            yield batch
            batch, batch_bytes = [], 0


class _Parts:
    """A line that comes in parts, of which the first `longest` bytes are kept."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._kept = bytearray()
        self._size = 0

    def add(self, part: bytes) -> None:
        self._kept += part[: self._longest - len(self._kept)]
        self._size += len(part)

    def take(self) -> tuple[bytes, int]:
        """What is kept of the line, and how many more bytes it has; the next part begins another one."""
        line, more = bytes(self._kept), self._size - len(self._kept)
        self._kept, self._size = bytearray(), 0
        return line, more


def _lines_as_they_come(file: Readable, longest: int) -> Iterator[tuple[list[bytes], int, bool]]:
    """Whole lines; how many more bytes the first one has; and whether to use them now: the pipe pauses, or this was all."""
    parts = _Parts(longest)
    for chunk in _chunks(file):
        *whole, rest = chunk.split(b"\n")
        more = 0
        if whole:
            parts.add(whole[0])
            whole[0], more = parts.take()
        parts.add(rest)
        yield whole, more, len(chunk) < _READ_BYTES
    line, more = parts.take()
    yield [line], more, True


def _chunks(file: Readable) -> Iterator[bytes]:
    """The file's bytes as they come, without a BOM at the start, however a pipe cuts it."""
    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    start = b""
    while len(start) < len(_BOM) and (more := read(_READ_BYTES)):
        start += more
    yield start.removeprefix(_BOM)
    while chunk := read(_READ_BYTES):
        yield chunk


def apply(
    batches: Iterable[list[Line]],
    delivery: Delivery,
    dead_letters: DeadLetters,
    *,
    source: str,
    refusal_limit: RefusalLimit,
    stop: threading.Event,
    max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
    progress: Callable[[int, int], None] = lambda read, size: None,
) -> Summary:
    """Put every valid line into the log and every other into the dead letters; return when both stores have them.

    progress: is told of each batch: its records, and their bytes.

    Raises TooManyBad when nearly every line is refused, Stopped when asked to stop.
    """
    started = SYSTEM.monotonic()
    patience = Patience(stop)
    read = applied = 0
    devices = DistinctCount()
    reasons: Counter[str] = Counter()
    for batch in batches:
        if stop.is_set():
            raise Stopped
        valid: list[bytes] = []
        dead: list[DeadLetter] = []
        events: list[Event] = []
        for line in batch:
            try:
                events.append(decode(line.value, taken_ms=line.read_ms, max_clock_ahead_ms=max_clock_ahead_ms))
            except Refused as refused:
                dead.append(letter_of(line, refused, source))
                refusal_limit.bad(refused.reason, line.read_ms)
            else:
                valid.append(line.value)
                refusal_limit.good()
        patience.until_it_works(dead_letters.add, dead)
        delivery.send(valid, events)
        devices.add(event.device_id for event in events)
        reasons.update(letter.reason for letter in dead)
        read += len(batch)
        applied += len(valid)
        progress(len(batch), sum(len(line.value) + line.more + 1 for line in batch))
    delivery.wait_until_stored()
    return Summary(read, applied, devices.count(), dict(reasons), SYSTEM.monotonic() - started)


def letter_of(line: Line, refused: Refused, source: str) -> DeadLetter:
    """The dead letter of a line that is refused."""
    size = len(line.value) + line.more
    detail = kept_in_part(len(line.value), size) if line.more else refused.detail
    return DeadLetter(line.value, refused.reason, detail, source, 0, line.number, line.read_ms)


def _content(raw: bytes) -> bytes:
    value = raw.removesuffix(b"\r")
    return b"" if value.isspace() else value
