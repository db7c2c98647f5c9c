"""One topic's files: put in their place, read back, and found damaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devicesync.archive.entry import Entry
from devicesync.archive.files import ClosedFile, digest_of
from devicesync.archive.jsonl import read_json_lines
from devicesync.archive.manifest import Manifest
from devicesync.archive.parquet import read_parquet
from devicesync.archive.place import Place
from devicesync.errors import Damaged
from devicesync.log.port import Row


class Archive:
    """The backup of one topic. Safe for threads, and for several processes."""

    def __init__(self, place: Place, topic: str) -> None:
        self._place = place
        self.topic = topic
        self.manifest = Manifest(place, topic)

    def upload(self, file: ClosedFile) -> None:
        """Put the file in its place; it counts once the manifest has its entry. Repeating it is harmless. Raises Unavailable."""
        if file.entry.rest and file.rest_here:
            self._place.put(file.rest_here, file.entry.rest.path)
        self._place.put(file.here, file.entry.path)

    @contextmanager
    def fetched(self, entry: Entry, spool: Path) -> Iterator[Iterator[list[Row]]]:
        """The file's rows, some thousand at a time, after its checksums were found right.

        Raises Unavailable, and Damaged, naming the file.
        """
        name = "-".join(map(str, entry.order))
        try:
            here = self._checked(entry.path, entry.bytes, entry.sha256, spool / name)
            if entry.rest:
                extra = entry.rest
                rest = self._checked(extra.path, extra.bytes, extra.sha256, spool / f"{name}.rest")
                yield read_json_lines(here, rest)
            else:
                yield read_parquet(here)
        finally:
            for fetched in (spool / name, spool / f"{name}.rest"):
                fetched.unlink(missing_ok=True)

    def _checked(self, path: str, size: int, sha256: str, into: Path) -> Path:
        here = self._place.fetch(path, into)
        if here is None:
            raise Damaged(f"{path} is missing")
        found = here.stat().st_size
        if found != size:
            raise Damaged(f"{path} has {found:,} bytes instead of {size:,}")
        if digest_of(here) != sha256:
            raise Damaged(f"{path} is not what was written: its checksum differs")
        return here
