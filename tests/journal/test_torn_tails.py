"""A reader that runs on while appends die half-way: what is acknowledged after that lies in the same bytes of the file."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.journal.opened import close_all, open_journal, reader_of, rest

_HALF, _LINES, _READ = "half", "lines", "read"
_steps = st.lists(
    st.one_of(
        st.tuples(st.just(_HALF), st.integers(1, 300)),
        st.tuples(st.just(_LINES), st.integers(1, 5)),
        st.tuples(st.just(_READ), st.integers(1, 3)),
    ),
    min_size=3,
    max_size=12,
)


@given(_steps, st.sampled_from([40, 1 << 20]))
@example([(_HALF, 300), (_READ, 1), (_LINES, 5), (_LINES, 1)], 40)
@example([(_HALF, 20), (_READ, 1), (_LINES, 5), (_READ, 3), (_HALF, 200), (_READ, 1)], 1 << 20)
@example([(_HALF, 20), (_READ, 1), (_LINES, 5), (_HALF, 200), (_READ, 1)], 40)
def test_a_running_reader_gets_each_line_once(steps: list[tuple[str, int]], segment_bytes: int) -> None:
    """It had searched the half line for its end, and searched on behind it: of many new lines it made one, or none."""
    appended: list[bytes] = []
    found: list[bytes | None] = []
    with tempfile.TemporaryDirectory() as directory:
        journal = open_journal(Path(directory), segment_bytes=segment_bytes)
        reader = reader_of(journal, "reader")
        for step, count in steps:
            if step == _HALF:
                with (Path(directory) / "device-profile.log").open("ab") as file:
                    file.write(b"x" * count)
            elif step == _LINES:
                lines = [f"line {len(appended) + number}".encode() for number in range(count)]
                journal.append(lines)
                appended += lines
            else:
                found += [record.value for record in reader.poll(count, 0)]
        found += [value for _, value in rest(reader)]
        close_all()
    assert found == appended


@pytest.mark.parametrize("next_bytes", [100_000, 1_500_000, 8_000_000])
def test_a_long_half_line_that_another_program_left(tmp_path: Path, next_bytes: int) -> None:
    """It was searched to its end. What is written in its place may be another long line, and end before or behind that."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "reader")
    journal.append([b"first"])
    with (tmp_path / "device-profile.log").open("ab") as file:
        file.write(b"x" * 5_000_000)
    assert [value for _, value in rest(reader)] == [b"first"]
    journal.tidy()
    with (tmp_path / "device-profile.log").open("ab") as file:
        file.write(b"y" * next_bytes + b"\n")
    journal.append([b"third"])
    journal.append([b"z" * 100_000] * 60)
    assert [len(value) for _, value in rest(reader)] == [min(next_bytes, 1 << 20), 5, *[100_000] * 60]
