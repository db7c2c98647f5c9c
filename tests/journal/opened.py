"""Journals and readers that are closed at the end of each test."""

from contextlib import suppress
from pathlib import Path

from devicesync.log.journal import Journal, JournalReader

_opened: list[Journal | JournalReader] = []


def close_all() -> None:
    """Close what was opened."""
    while _opened:
        _opened.pop().close()


def open_journal(
    directory: Path, *, segment_bytes: int = 1 << 20, segment_seconds: float = 0, retention_seconds: float = 3600
) -> Journal:
    journal = Journal(
        directory / "device-profile.log",
        segment_bytes=segment_bytes,
        segment_seconds=segment_seconds,
        retention_seconds=retention_seconds,
    )
    _opened.append(journal)
    return journal


def reader_of(journal: Journal, name: str) -> JournalReader:
    reader = journal.reader(name)
    _opened.append(reader)
    return reader


def everything(journal: Journal, name: str = "reader") -> list[tuple[int, bytes]]:
    reader = reader_of(journal, name)
    found = rest(reader)
    reader.close()
    return found


def rest(reader: JournalReader, most: int = 100) -> list[tuple[int, bytes]]:
    """most: of a poll."""
    found: list[tuple[int, bytes]] = []
    while records := reader.poll(most, 0):
        found += [(record.offset, record.value or b"") for record in records]
    return found


def open_below(directory: Path) -> list[Path]:
    """The files there for which this process has a descriptor."""
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(file.readlink())
    return sorted(path for path in found if path.is_relative_to(directory))
