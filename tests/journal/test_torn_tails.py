"""A reader that runs on while appends die half-way: what is acknowledged after that lies in the same bytes of the file."""

import tempfile
from pathlib import Path

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
