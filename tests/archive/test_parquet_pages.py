"""What pages say of themselves is read as Arrow reads it, or refused: else a page could say one thing to each of us."""

from pathlib import Path

import pytest

from devicesync.archive.parquet_footer import Column
from devicesync.archive.parquet_pages import DATA_PAGE, PLAIN, Page, pages_of

GOOD = bytes.fromhex("1500 1506 1506 2c 1502 1500 00 00")
"""A page of data with one value in 3 bytes. In each pair the first byte has the step to the field's number, and its type (5: i32)."""


def pages(tmp_path: Path, head: bytes) -> list[tuple[int, Page]]:
    """Of a file with one column, which has one page with this head."""
    path = tmp_path / "file"
    path.write_bytes(b"PAR1" + head + b"abc")
    return list(pages_of(path, [Column(4, len(head) + 3)]))


def test_a_page_is_what_its_head_says(tmp_path: Path) -> None:
    """Fields that we do not use are passed over."""
    assert pages(tmp_path, GOOD) == [(0, Page(DATA_PAGE, 3, 1, PLAIN))]
    statistics = bytes.fromhex("1500 1506 1506 1502 1c 1502 1500 1506 1506 1c 1801 61 00 00 00")
    assert pages(tmp_path, statistics) == [(0, Page(DATA_PAGE, 3, 1, PLAIN))]


@pytest.mark.parametrize(
    "column", [Column(0, 10), Column(-4, 10), Column(4, 0), Column(4, -1), Column(4, 1 << 63), Column(1 << 63, 4)]
)
def test_a_column_lies_in_the_file(tmp_path: Path, column: Column) -> None:
    """Of the first byte on is no page: the file's name for its kind is there."""
    path = tmp_path / "file"
    path.write_bytes(b"PAR1" + GOOD + b"abc")
    with pytest.raises(ValueError, match="nowhere"):
        list(pages_of(path, [column]))


@pytest.mark.parametrize(
    "head",
    [
        "1504 1506 1506 4c 1502 1500 00 0602 00 00",  # a dictionary, then its type again as an i64: Arrow passes that over
        "1504 1506 1506 4c 1502 1500 00 0502 00 00",  # again as an i32
        "1600 1506 1506 2c 1502 1500 00 00",  # an i64 alone
        "1500 1506 1506 2c 1602 1500 00 00",  # one in the part for data
        "1500 1506 1506 2500 00",  # a number in place of that part
        "1500 1506 1506 2c 1502 1500 00 0582 8008 02 00",  # the number 65,537, which is 1 in 16 bits
        "1500 1506 1506 2c 1582 8080 8020 1500 00 00",  # a number past 32 bits
        "1500 1586 8080 8080 8080 8080 8000 1506 2c 1502 1500 00 00",  # one with more bytes than any has
    ],
)
def test_a_head_that_readers_may_take_differently_is_refused(tmp_path: Path, head: str) -> None:
    """A dictionary that counts as a plain page took gigabytes."""
    with pytest.raises(ValueError, match="a page's head has"):
        pages(tmp_path, bytes.fromhex(head))


def test_only_the_first_page_of_a_column_may_have_no_values(tmp_path: Path) -> None:
    """A dictionary has none. Thousands of empty pages in 17 bytes each were read for each row group that named them."""
    dictionary, page = bytes.fromhex("1504 1506 1506 4c 1502 1500 00 00") + b"abc", GOOD + b"abc"
    empty = bytes.fromhex("1500 1500 1500 2c 1500 1500 00 00")
    path = tmp_path / "file"
    path.write_bytes(b"PAR1" + dictionary + page + page)
    assert len(list(pages_of(path, [Column(4, len(dictionary + page + page))]))) == 3
    for held in (dictionary + page + empty, dictionary + dictionary):
        path.write_bytes(b"PAR1" + held)
        with pytest.raises(ValueError, match="no values"):
            list(pages_of(path, [Column(4, len(held))]))
