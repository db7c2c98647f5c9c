"""The archive's readers: rows, or Damaged by the file's name, from whatever its files hold."""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry, Extra
from devicesync.archive.files import digest_of
from devicesync.archive.ranges import ENTRY, listing_path
from devicesync.errors import Damaged
from devicesync.log.full import FullRecord
from tests.archive.test_files import stored
from tests.fuzz.mutation import corpus, mutated, tries

ROWS: list[FullRecord] = [
    (10, 1_566_383_863_167, b"k", b'{"device_id":"d"}', [("reason", b"x")]),
    (11, None, None, None, None),
    (13, 1_566_383_863_168, b"", b"a\nb", None),
    *((number, 1_566_383_863_169, b"key", b"value" * 20, None) for number in range(14, 40)),
]
TOKENS = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"PAR1",
    b"\x15\x00",
    b"\x1f\x8b",
    b'"',
    b"[",
    b"{}",
    b"null",
    b"-1",
    b"1e99",
    b"../",
    b"9" * 30,
]
_numbers = itertools.count()


def good(file_format: str) -> dict[str, bytes]:
    """What the files of an archive hold: its data, the rest that lines can't hold, and the entry."""
    with tempfile.TemporaryDirectory() as name:
        _, closed = stored(Path(name), ROWS, file_format)
        entry = closed.entry
        at = {"data": entry.path, "rest": entry.rest and entry.rest.path, "entry": listing_path([entry], ENTRY)}
        return {kind: (Path(name) / "backup" / path).read_bytes() for kind, path in at.items() if path}


PARQUET, LINES = good("parquet"), good("jsonl")


def check_data(directory: Path, data: bytes, rest: bytes | None = None) -> None:
    """Somebody replaced the files, and made the entry agree with them; which it may not do with their rows."""
    archive, closed = stored(directory, ROWS, "jsonl" if rest is not None else "parquet")
    place = directory / "backup"
    entry = closed.entry
    size, digest = written(place / entry.path, data)
    entry = msgspec.structs.replace(entry, bytes=size, sha256=digest)
    if entry.rest and rest is not None:
        entry = msgspec.structs.replace(entry, rest=Extra(entry.rest.path, *written(place / entry.rest.path, rest)))
    read(directory, archive, entry)


def written(path: Path, data: bytes) -> tuple[int, str]:
    """The size and the checksum of a file that holds this now."""
    path.write_bytes(data)
    return len(data), digest_of(path)


def read(directory: Path, archive: Archive, entry: Entry) -> None:
    """All of its rows, or Damaged, naming one of its files."""
    try:
        with archive.fetched(entry, directory) as batches:
            assert sum(map(len, batches)) == entry.records
    except Damaged as damaged:
        assert damaged.path in (entry.path, entry.rest and entry.rest.path)  # noqa: PT017 - which of the two, is not known


def check_entry(directory: Path, held: bytes) -> None:
    """The manifest's file is another: its entries name no file but their own, or it is Damaged."""
    archive, closed = stored(directory, ROWS, "parquet")
    at = listing_path([closed.entry], ENTRY)
    (directory / "backup" / at).write_bytes(held)
    found: list[Damaged] = []
    for entry in archive.manifest.entries(found):
        assert ".." not in entry.path
        read(directory, archive, entry)
    assert [damaged.path for damaged in found] in ([], [at])


def check_rest(directory: Path, rest: bytes) -> None:
    """The second file of JSON lines alone is another."""
    check_data(directory, LINES["data"], rest)


def check_lines(directory: Path, data: bytes) -> None:
    """The lines alone are others."""
    check_data(directory, data, LINES["rest"])


CHECKS: dict[str, tuple[Callable[[Path, bytes], None], bytes]] = {
    "parquet": (check_data, PARQUET["data"]),
    "lines": (check_lines, LINES["data"]),
    "rest": (check_rest, LINES["rest"]),
    "entry": (check_entry, PARQUET["entry"]),
}


@pytest.mark.parametrize("kind", CHECKS)
def test_any_file_is_read_or_damaged(tmp_path: Path, kind: str) -> None:
    """Good files with some bytes changed."""
    check, seed = CHECKS[kind]

    @tries(60)
    @given(mutated([seed], TOKENS))
    def fuzz(held: bytes) -> None:
        directory = tmp_path / str(next(_numbers))
        directory.mkdir()
        check(directory, held)

    fuzz()


@pytest.mark.parametrize("file", corpus("archive"), ids=lambda file: file.name)
def test_what_broke_the_archive_once_does_not(tmp_path: Path, file: Path) -> None:
    """Each file of the corpus; its name begins with what it is."""
    check, _ = CHECKS[file.name.partition("-")[0]]
    check(tmp_path, file.read_bytes())
