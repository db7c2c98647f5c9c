"""Lines that another program has put into the journal, and that are far longer than an event may be."""

import tracemalloc
from contextlib import closing
from pathlib import Path

from devicesync.log.whole_lines import LONGEST_LINE_BYTES
from tests.journal.opened import everything, open_journal, reader_of, rest


def test_a_long_line_is_one_record_of_which_the_beginning_is_read(tmp_path: Path) -> None:
    """The records after it keep their numbers, also for a reader that begins behind it."""
    with (tmp_path / "device-profile.log").open("wb") as file:
        file.write(b"a\n" + b"x" * LONGEST_LINE_BYTES + b"\n" + b"y" * 3_000_000 + b"\nb\nc\n")
    journal = open_journal(tmp_path)
    assert journal.end() == 5
    found = [(0, b"a"), (1, b"x" * LONGEST_LINE_BYTES), (2, b"y" * LONGEST_LINE_BYTES), (3, b"b"), (4, b"c")]
    assert everything(journal) == found
    with closing(reader_of(journal, "behind")) as reader:
        reader.rewind(3)
        assert rest(reader) == found[3:]


def test_a_line_without_bound_takes_no_memory_without_bound(tmp_path: Path) -> None:
    """Some MiB, however long it is."""
    with (tmp_path / "device-profile.log").open("wb") as file:
        file.truncate(100 << 20)
        file.seek(100 << 20)
        file.write(b"\nlast\n")
    journal = open_journal(tmp_path)
    tracemalloc.start()
    try:
        assert [(number, len(value)) for number, value in everything(journal)] == [(0, LONGEST_LINE_BYTES), (1, 4)]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
