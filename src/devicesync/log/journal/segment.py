"""One segment of the journal, open for reading from a line on."""

import os
import sys
from pathlib import Path

from devicesync.clock import SYSTEM
from devicesync.durable import closing_on_error, open_regular
from devicesync.log.journal.files import count_lines_of, noted_end, same_file, times_of
from devicesync.log.journal.times import Times
from devicesync.log.port import Record
from devicesync.log.whole_lines import WholeLines


class Segment:
    """`first` is the number of its first record; `record` that of the next to read. Only whole lines are read."""

    def __init__(self, path: Path, first: int | None = None) -> None:
        """`first`: as a closed segment's name tells it. Raises FileNotFoundError when there is none, or it is just moving."""
        self._file = open_regular(path, os.O_RDONLY)
        with closing_on_error(self._file):
            self.times = Times(times_of(path), self._file, first)
            with closing_on_error(self.times.fileno()):
                if self.times.first is None or not self.is_whole_at(path):
                    raise FileNotFoundError(path)
            self.first = self.record = self.times.first
        self._lines = WholeLines(self._file)
        self._byte = 0

    def skip_to(self, record: int) -> None:
        """Make `record` the next to read, or the segment's end when it has fewer."""
        near = self.times.before(record)
        self._byte, self.record = near.start, near.first
        while self.record < record:
            lines, size = self._lines.read(self._byte, record - self.record)
            if not lines:
                return
            self._pass(len(lines), size)

    def pass_before(self, at_us: int) -> bool:
        """Pass by what was taken before that time. Return whether anything is left."""
        self.times.refresh()
        first = self.times.since(at_us)
        self.skip_to(max(self.record, sys.maxsize if first is None else first))
        return first is not None

    def ours_end(self) -> int:
        """The number after the last line that its times cover. Later ones have theirs once it is known where it ends."""
        self.times.refresh()
        last = self.times.last
        return last.first + count_lines_of(self._file, last.start, last.end)

    @property
    def end(self) -> int | None:
        """The number after its last record, as the times of a closed segment note it; None where they do not."""
        return noted_end(self._file, self.times.fileno())

    def read(self, max_records: int) -> list[Record]:
        """The next records; blank lines are counted and left out. [] at the end, or where all that was read was blank."""
        lines, size = self._lines.read(self._byte, max_records)
        if not lines:
            return []
        self.times.refresh()
        records = []
        covered_to = taken_ms = 0
        logged_ms: int | None = None
        byte = self._byte
        for number, line in enumerate(lines, self.record):
            if byte >= covered_to:
                entry = self.times.at(byte)
                covered_to = entry.end if entry else 0
                taken_ms = entry.at_us // 1000 if entry else SYSTEM.now_ms()
                logged_ms = taken_ms if entry else None
            byte += len(line) + 1
            if not (value := line.removesuffix(b"\r")).isspace() and value:
                records.append(Record(value, 0, number, taken_ms, logged_ms))
        self._pass(len(lines), size)
        self.times.forget_before(self._byte)
        return records

    def is_at(self, path: Path) -> bool:
        """Whether `path` names this segment's file now."""
        return same_file(self._file, path)

    def is_whole_at(self, path: Path) -> bool:
        """Whether this segment and its times stand there now."""
        return self.is_at(path) and same_file(self.times.fileno(), times_of(path))

    def sync(self) -> None:
        """Make all its lines durable. Raises OSError."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Close the files."""
        self.times.close()
        os.close(self._file)

    def _pass(self, count: int, size: int) -> None:
        self._byte += size
        self.record += count
