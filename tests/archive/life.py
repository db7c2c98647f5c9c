"""A journal and its backup, in one process; and who may only add objects to the backup's place."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec
from structlog.testing import capture_logs

from devicesync.archive.archive import Archive
from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import Entry, Origin
from devicesync.archive.files import ClosedFile, OpenFile
from devicesync.archive.ranges import ENTRY, place_of
from devicesync.archive.storage import Storage
from devicesync.assembly.adapters import open_log
from devicesync.assembly.apply import apply
from devicesync.assembly.backup.run import backup
from devicesync.assembly.backup.verify import verify
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.log.full import FullRecord
from tests.assembly.test_unwatched import settings_in
from tests.law.strategies import BASE_US

V = BASE_US
OTHER = b'{"device_id":"other","version":%d,"city":"Agra"}' % V


class Life:
    """A log, and its backup."""

    def __init__(self, directory: Path) -> None:
        self.settings = settings_in(directory / "data")
        self.place, self._directory = str(directory / "backup"), directory

    def registers(self, *names: str) -> None:
        self.logs(*(b'{"device_id":"%b","version":%d,"city":"Pune"}' % (name.encode(), V) for name in names))

    def erases(self, name: str) -> None:
        self.logs(b'{"device_id":"%b","version":%d,"erase":true}' % (name.encode(), V + 1))

    def logs(self, *lines: bytes) -> None:
        (self._directory / "events").write_bytes(b"".join(line + b"\n" for line in lines))
        with capture_logs():
            apply(self._directory / "events", self.settings, threading.Event(), Unwatched())

    def keeps(self, file_bytes: int = 1 << 20, file_format: Literal["parquet", "jsonl"] = "parquet") -> int:
        """Back up; how many records."""
        with capture_logs():
            run = LongRun(threading.Event(), Unwatched(), until_caught_up=True)
            return backup(self.place, self.settings, run, Limits(file_bytes, 60.0), file_format).records

    @property
    def archive(self) -> Archive:
        return Archive(Storage(self.place), "device-profile.log")

    def adds(self, start: int, end: int, *values: bytes) -> Entry:
        """A stranger adds a range of his own."""
        return self.lists((start, end), [(start + at, SYSTEM.now_ms(), None, value, None) for at, value in enumerate(values)])

    def lists(self, bounds: tuple[int, int], rows: list[FullRecord], **changes: Any) -> Entry:
        """The same, of these rows. changes: in its entry."""
        like = msgspec.structs.replace(self.archive.manifest.entries()[-1], **changes)
        closed = made(self._directory, rows, bounds, like, "jsonl")
        self.archive.upload(closed)
        self.archive.manifest.add([closed.entry])
        return closed.entry

    def rows(self) -> list[FullRecord]:
        """What the log has."""
        with closing(open_log(self.settings)) as log:
            return [row for rows in log.records(0, 0, 100) for row in rows]

    def removes(self, entry: Entry) -> None:
        """The operator does as the hint says."""
        storage = Storage(self.place)
        for path in (place_of([entry], ENTRY), *entry.paths):
            storage.remove(path)

    def problems(self) -> list[dict[str, str]]:
        return list(verify(self.place, self.settings, Unwatched(), deep=True)["problems"])

    def forgets(self) -> None:
        """The group's claims are gone."""
        for file in (self._directory / "data").glob("*.reader.backup*"):
            file.unlink()


def made(
    directory: Path, rows: list[FullRecord], bounds: tuple[int, int], like: Entry, file_format: str = "parquet"
) -> ClosedFile:
    origin = Origin(like.topic, like.source, like.generation, like.partition, like.identity)
    with closing(Encoder(directory)) as encoder:
        file = OpenFile(directory, origin, file_format, encoder)
        if rows:
            file.write(rows)
            file.end_group()
        closed = file.close(*bounds, 1 << 20)
        closed.entry = msgspec.structs.replace(closed.entry, follows=True)
        return closed
