"""Reading files of lines: ends, blanks, BOM, batches; and counting devices."""

import io
import tracemalloc

import pytest

from devicesync.jobs.apply import lines_of
from devicesync.jobs.shared import distinct
from devicesync.jobs.shared.distinct import DistinctCount


def lines(data: bytes, batch: int = 100) -> list[tuple[int, bytes]]:
    return [(line.number, line.value) for chunk in lines_of(io.BytesIO(data), batch) for line in chunk]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\r\n  \n", []),
        (b"a", [(0, b"a")]),
        (b"a\nb", [(0, b"a"), (1, b"b")]),
        (b"a\r\n\r\nb\r\n", [(0, b"a"), (2, b"b")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", [(0, b"a"), (1, b"\xef\xbb\xbfb")]),
        (b"\xef\xbb\xbf", []),
        (b"a\rb\n", [(0, b"a\rb")]),
        (b"x" * 1_000_000 + b"\ny\n", [(0, b"x" * 1_000_000), (1, b"y")]),
    ],
)
def test_lines(data: bytes, expected: list[tuple[int, bytes]]) -> None:
    """CRLF is a line end, a BOM at the very start and blank lines are no records but have numbers, the last line needs no end."""
    assert lines(data) == expected


class Trickle(io.RawIOBase):
    """A pipe that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        del size
        first, self._data = self._data[:1], self._data[1:]
        return first


def test_a_pipe_that_trickles() -> None:
    """The BOM is known however it is cut, and a batch does not wait for the pipe to fill it."""
    batches = list(lines_of(Trickle(b"\xef\xbb\xbfa\nb\nc"), 100))
    assert [[line.value for line in batch] for batch in batches] == [[b"a"], [b"b"], [b"c"]]


def test_of_a_line_that_is_too_long_the_beginning_is_kept() -> None:
    """With how many bytes more it has; also when it ends the file, and when what is kept is blank."""
    data = b"a\n" + b" " * 1_000_000 + b"\n" + b"b" * 100 + b"\n" + b"c" * 101
    found = [(line.number, line.value, line.more) for batch in lines_of(io.BytesIO(data), 100, longest=100) for line in batch]
    assert found == [(0, b"a", 0), (1, b" " * 100, 999_900), (2, b"b" * 100, 0), (3, b"c" * 100, 1)]


class Zeros(io.RawIOBase):
    """So many bytes of one line."""

    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        self._left -= size
        return bytes(size if self._left >= 0 else 0)


def test_a_line_without_bound_takes_no_memory_without_bound() -> None:
    """Some MiB, however long it is."""
    tracemalloc.start()
    try:
        (((_, value, _, more),),) = lines_of(Zeros(100 << 20), 100)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (len(value), more) == (1 << 20, 99 << 20)


def test_distinct_ids_are_counted_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """In memory and spilt to files alike."""
    for limit in (1 << 16, 10):
        monkeypatch.setattr(distinct, "_IN_MEMORY", limit)
        count = DistinctCount()
        for number in range(1000):
            count.add([f"d{number % 337}", f"d{number % 101}"])
        assert count.count() == 337
