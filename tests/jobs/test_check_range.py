"""`verify --deep` of a range: what it finds beside the log, in little memory however many records there are."""

import tracemalloc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.room import Room
from devicesync.errors import Damaged
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.verify import Records, check_range
from devicesync.law.state import State
from devicesync.log.full import FullRecord


def row(offset: int, value: bytes = b"v") -> FullRecord:
    """A record."""
    return offset, 5, None, value, None


def entry(path: str, first: int, end: int, revision: str = "") -> Entry:
    """A file of one range that begins at offset 0."""
    return Entry(path, "t", "s", 1, 0, 0, first, end, 1, 1, "", 1, None, None, 0, "parquet", revision=revision)


class _Held(Archive):
    """Files that are in memory."""

    def __init__(self, files: Mapping[Entry, Iterable[list[FullRecord]]]) -> None:
        self._files = files

    @contextmanager
    def fetched(self, entry: Entry, spool: Path, room: Room | None = None) -> Iterator[Iterator[list[FullRecord]]]:
        """See Archive."""
        del spool, room
        yield ([*rows] for rows in self._files[entry])


def found(
    files: Mapping[Entry, Iterable[list[FullRecord]]],
    log: Iterable[list[FullRecord]] | None,
    pruned: Mapping[str, int] | None = None,
) -> list[tuple[str, str]]:
    """The problems of these files, and of revisions as soon as the erases are known. pruned: those of pruned ranges."""
    records: Records | None = None if log is None else lambda *_: log
    archive, cover = _Held(files), Cover()
    first = check_range(archive, list(files), Path(), records, cover, deep=True)
    cover.learn(archive, [*files], [{name: State(erased=version) for name, version in (pruned or {}).items()}], Path())
    if not cover.is_full:
        first = check_range(archive, list(files), Path(), records, cover, deep=True)
    return [*first]


def test_what_the_log_has_is_in_one_of_the_files() -> None:
    """The days of a range alternate where times do; the files may have more than the log still has."""
    even, odd = entry("even", 0, 8), entry("odd", 1, 8)
    days = {even: [[row(0), row(2)], [row(4)]], odd: [[row(1)], [row(3), row(5), row(7)]]}
    assert found(days, [[row(2), row(3)], [row(4), row(5)]]) == []
    lost = [("even", "1 records of the log are missing, the first at offset 6")]
    assert found(days, [[row(number) for number in range(8)]]) == lost
    other = [("odd", "2 records differ from the log's, the first at offset 3")]
    assert found(days, [[row(2), row(3, b"x"), row(5, b"y")]]) == other
    true, forged = [[row(2), row(3)]], [[row(2), row(3, b"x")]]
    twice = [("odd", "1 records differ from the log's, the first at offset 3")]
    assert found({even: true, odd: forged}, true) == found({odd: forged, even: true}, true) == twice


_ROWS = st.dictionaries(st.integers(0, 12), st.sampled_from([b"v", b"x"]), min_size=1)


@given(of_log=_ROWS, of_files=st.lists(_ROWS, min_size=1, max_size=4), step=st.integers(1, 5))
def test_each_record_of_the_log_is_looked_for_and_each_of_a_file_compared(
    of_log: dict[int, bytes], of_files: list[dict[int, bytes]], step: int
) -> None:
    """Whatever the files have, also at the same offset."""

    def batches(rows: dict[int, bytes]) -> list[list[FullRecord]]:
        every = [row(offset, rows[offset]) for offset in sorted(rows)]
        return [every[start : start + step] for start in range(0, len(every), step)]

    files = {entry(str(number), number, 13): batches(rows) for number, rows in enumerate(of_files)}
    missing = [offset for offset in sorted(of_log) if not any(offset in rows for rows in of_files)]
    pairs = [(offset, number) for number, rows in enumerate(of_files) for offset in rows]
    others = sorted((at, number) for at, number in pairs if at in of_log and of_files[number][at] != of_log[at])
    expected = [("0", f"{len(missing)} records of the log are missing, the first at offset {missing[0]}")] if missing else []
    if others:
        offset, number = others[0]
        expected.append((str(number), f"{len(others)} records differ from the log's, the first at offset {offset}"))
    assert found(files, batches(of_log)) == expected


def test_an_erase_that_a_redact_took_the_data_out_of_is_the_log_s() -> None:
    """In a file that a redact wrote alone; another id or version differs there too."""
    bare, other = (b'{"device_id":"d","erase":true,"version":%d}' % (1_600_000_000_000_000 + more) for more in (0, 1))
    log = [[row(0, bare.replace(b"}", b',"city":"Pune"}'))]]
    redacted, written = entry("a", 0, 1, "1-00000000"), entry("a", 0, 1)
    differs = [("a", "1 records differ from the log's, the first at offset 0")]
    assert found({redacted: [[row(0, bare)]]}, log) == []
    assert found({redacted: [[row(0, other)]]}, log) == found({written: [[row(0, bare)]]}, log) == differs
    assert found({redacted: [[row(0, bare)]]}, [[row(0, b'{"device_id":"d","version":1600000000000000}')]]) == differs


def test_a_file_that_is_damaged_behind_the_log_s_end_is_found() -> None:
    """Each file is read to its end. Where one is damaged nothing is compared."""

    def torn() -> Iterator[list[FullRecord]]:
        yield [row(0)]
        raise Damaged("even", "is torn")

    assert found({entry("even", 0, 8): torn(), entry("odd", 1, 8): [[row(1)]]}, [[]]) == [("even", "is torn")]


@pytest.mark.parametrize("has_log", [False, True])
def test_the_records_of_a_range_are_not_kept(*, has_log: bool) -> None:
    """Some KB of Parquet can hold many row groups of 60 MiB."""

    def batches() -> Iterator[list[FullRecord]]:
        return ([row(number, b"x" * (1 << 20))] for number in range(32))

    tracemalloc.start()
    try:
        assert found({entry("large", 0, 32): batches()}, batches() if has_log else None) == []
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
