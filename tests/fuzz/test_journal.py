"""The journal, from whatever its files hold: it is read to its end, and goes on."""

import itertools
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.log.journal import Journal
from devicesync.log.journal.times import TimeEntry
from tests.fuzz.mutation import corpus, mutated, tries

NAME = "device-profile.log"
LOG = b"one\ntwo\nsix\nten\n"
CLOSED = b"".join(TimeEntry(*each).pack() for each in [(0, 0, 0, 5), (0, 0, 9, 6)])
TOKENS = [b"\n", b"\r\n", b"\n\n", b" ", b"\0" * 32, b"\xff" * 32, b"-", b"9" * 30, TimeEntry(2, 8, 16, 7).pack()]
_numbers = itertools.count()


class Case(msgspec.Struct):
    """What the files hold, each byte as a character. closed, closed_times: of a segment before the active one, "" for none."""

    log: str = ""
    times: str | None = None
    position: str | None = None
    closed: str = ""
    closed_times: str = ""


def check(directory: Path, case: Case) -> None:
    """Every whole line is read by a reader that comes first; one with a position ends too; and a new record comes."""
    files = {NAME: case.log, f"{NAME}.times": case.times, f"{NAME}.reader.old": case.position}
    if case.closed:
        files |= {f"{NAME}.{0:020d}": case.closed, f"{NAME}.{0:020d}.times": case.closed_times}
    for name, content in files.items():
        if content is not None:
            (directory / name).write_bytes(content.encode("latin-1"))
    lines = [line for text in (case.closed, case.log) for line in whole(text.encode("latin-1"))]
    with closing(Journal(directory / NAME, segment_bytes=1 << 20, retention_seconds=3600)) as journal:
        journal.append([b"last"])
        assert read(journal, "new") == [*lines, b"last"]
        read(journal, "old")
        journal.append([b"after"])
        found = read(journal, "old")
        # Lines that somebody edited in place, so that all their groups still begin at a line, can't be told from ours.
        if case.times is None or case.log == text(LOG):
            assert found[-1] == b"after"
        [*journal.newest(10)]
        journal.survey()


def whole(content: bytes) -> list[bytes]:
    """The lines that have an end, blank ones left out."""
    return [value for line in content.split(b"\n")[:-1] if (value := line.removesuffix(b"\r")) and not value.isspace()]


def read(journal: Journal, name: str) -> list[bytes]:
    """What the reader of that name has not read yet; its position is kept."""
    with closing(journal.reader(name)) as reader:
        found: list[bytes] = []
        while records := reader.poll(3, 0):
            found += [record.value or b"" for record in records]
            assert len(found) < 10_000, "it never ends"
        reader.commit()
        return found


def times_from(first: int) -> bytes:
    """Of LOG: two groups, one of two records and one of the rest."""
    groups = [(first, 0, 0, 5), (first, 0, 8, 1_700_000_000_000_000), (first + 2, 8, 16, 1_700_000_000_000_001)]
    return b"".join(TimeEntry(*group).pack() for group in groups)


def case_of(log: bytes, times: bytes | None, position: bytes | None, closed: bytes, closed_times: bytes) -> Case:
    """A case of the files' bytes."""
    return Case(
        text(log),
        None if times is None else text(times),
        None if position is None else text(position),
        text(closed),
        text(closed_times),
    )


def text(content: bytes) -> str:
    """Each byte as a character."""
    return content.decode("latin-1")


def cases(closed: bytes, first: int) -> st.SearchStrategy[Case]:
    """A journal with that closed segment, or none, whose active one begins with record `first`; some bytes changed."""
    return st.builds(
        case_of,
        mutated([LOG, LOG, b"", b"torn"], TOKENS),
        st.none() | mutated([times_from(first), times_from(first), b""], TOKENS),
        st.none() | mutated([b"%020d\n" % 2, b"%020d abc\n" % 3], TOKENS),
        mutated([closed], TOKENS) if closed else st.just(b""),
        mutated([CLOSED, b""], TOKENS),
    )


@tries(200)
@given(case=cases(b"", 0) | cases(b"old\nolder\n", 2))
def test_any_files_are_read_to_their_end(tmp_path: Path, case: Case) -> None:
    """The files of a good journal with some bytes changed."""
    directory = tmp_path / str(next(_numbers))
    directory.mkdir()
    try:
        check(directory, case)
    except Exception as error:
        error.add_note(f"for tests/corpus/journal: {msgspec.json.encode(case).decode()}")
        raise


@pytest.mark.parametrize("file", corpus("journal"), ids=lambda file: file.name)
def test_what_broke_the_journal_once_does_not(tmp_path: Path, file: Path) -> None:
    """Each file of the corpus."""
    check(tmp_path, msgspec.json.decode(file.read_bytes(), type=Case))
