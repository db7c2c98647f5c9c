"""Other programs cut, move, replace and delete the journal's files at random, between appends of two processes and a reader's polls.

They also append lines, into a segment that was closed since they opened it, too.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.opened import close_all, open_journal, reader_of, rest

ACTIVE = "device-profile.log"
TIMES = f"{ACTIVE}.times"
LOCK = f"{ACTIVE}.lock"


def _delete(file: Path) -> None:
    file.unlink(missing_ok=True)


def _move(file: Path) -> None:
    if file.exists():
        file.rename(file.with_name(f"moved-{file.name}"))


def _cut(part: int) -> Callable[[Path], None]:
    def cut(file: Path) -> None:
        if file.exists():
            os.truncate(file, file.stat().st_size * part // 4)

    return cut


def _replace(file: Path) -> None:
    _move(file)
    file.write_bytes(b"a stranger's\n" * 2)


def _spoil(file: Path) -> None:
    if file.exists() and file.name == TIMES:
        with file.open("rb+") as there:
            there.write(b"\xff" * file.stat().st_size)


def _put_back(file: Path) -> None:
    moved = file.with_name(f"moved-{file.name}")
    if moved.exists():
        moved.rename(file)


def _copy(file: Path) -> None:
    if file.exists():
        file.with_name(f"copy-{file.name}").write_bytes(file.read_bytes())


def _copy_back(file: Path) -> None:
    copy = file.with_name(f"copy-{file.name}")
    if copy.exists():
        file.write_bytes(copy.read_bytes())


ACTS = [_delete, _move, _cut(0), _cut(2), _cut(3), _replace, _spoil, _put_back, _copy, _copy_back]
NAMES = [[ACTIVE], [TIMES], [ACTIVE, TIMES], [LOCK]]
OPEN = [f"{ACTIVE}{end}" for end in ("", ".times", ".lock")]
ALL = [*OPEN, f"{ACTIVE}.0*", f"{ACTIVE}.reader.*"]
Step = tuple[str, *tuple[Any, ...]]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("append"), st.sampled_from([0, 1])),
    st.sampled_from([("read",), ("read_and_commit",)]),
    st.tuples(st.just("restart"), st.sampled_from([0, 1])),
    st.tuples(st.just("read_few"), st.integers(1, 5)),
    st.sampled_from([("opened_by_another",), ("another_appends", 1), ("another_appends", 3)]),
    st.tuples(st.just("take_away"), st.sampled_from(ACTS), st.sampled_from(NAMES)),
    st.tuples(st.just("take_away_all"), st.sampled_from([_delete, _cut(0)]), st.sampled_from([OPEN, ALL])),
    st.tuples(st.just("take_away_closed"), st.sampled_from([_delete, _move, _cut(0), _cut(2)]), st.integers(0, 5)),
)


class Thefts:
    """Two appenders and a reader of one journal.

    unread: what was acknowledged, and neither read nor taken away since. taken: what was taken away before it was read.
    renumbered: what was read with another number than it was given.
    counts_mislead: the number of lines tells nobody of a theft: others have come in their place, or the lock's mark is gone.
    """

    def __init__(self, directory: Path, segment_bytes: int = 60) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._journals = [open_journal(directory, segment_bytes=segment_bytes) for _ in range(2)]
        self._reader = reader_of(self._journals[0], "updater")
        self._count = 0
        self._another = ExitStack()  # with the handle of another program
        self._append_there: Callable[[bytes], object] = len
        self._numbers: dict[bytes, int] = {}
        self._unread: set[bytes] = set()
        self.renumbered: set[bytes] = set()
        self.taken: set[bytes] = set()
        self.counts_mislead = False

    def append(self, by: int) -> None:
        value = b"record-%d" % self._count
        self._count += 1
        self._numbers[value] = self._journals[by].append([value])
        self._unread.add(value)

    def poll(self, *, commits: bool) -> None:
        self._journals[0].tidy()  # as `up` does now and then
        found = self._values(rest(self._reader))
        assert self._unread <= found
        self._unread.clear()
        self.taken -= found
        if commits:
            self._reader.commit()

    def _values(self, records: list[tuple[int, bytes]]) -> set[bytes]:
        self.renumbered |= {value for number, value in records if self._numbers.get(value, number) != number}
        return {value for _, value in records}

    def read_few(self, count: int) -> None:
        """As far as a process came that is stopped then: what is not read is read later, or not at all."""
        found = self._values([(record.offset, record.value or b"") for record in self._reader.poll(count, 0)])
        self._unread -= found
        self.taken -= found
        self._reader.commit()

    def read(self) -> None:
        self.poll(commits=False)

    def read_and_commit(self) -> None:
        self.poll(commits=True)

    def restart(self, which: int) -> None:
        """One of the two processes; the reader is in the first. It looks once more: else nobody may know what its last group was."""
        self._journals[which].end()
        self._journals[which].close()
        self._journals[which] = open_journal(self._directory, segment_bytes=self._segment_bytes)
        if which == 0:
            self._reader.close()
            self._reader = reader_of(self._journals[0], "updater")

    def opened_by_another(self) -> None:
        self.closed_by_another()
        if (self._directory / ACTIVE).exists():
            self._append_there = self._another.enter_context((self._directory / ACTIVE).open("ab", buffering=0)).write

    def closed_by_another(self) -> None:
        self._another.close()
        self._append_there = len

    def another_appends(self, lines: int) -> None:
        self._append_there(b"another's\n" * lines)
        self.counts_mislead = True

    def take_away(self, act: Callable[[Path], None], names: list[str]) -> None:
        for name in names:
            act(self._directory / name)
            self.counts_mislead |= name == LOCK
        self._look()

    def take_away_closed(self, act: Callable[[Path], None], spot: int) -> None:
        closed = sorted(each for each in self._directory.glob(f"{ACTIVE}.0*") if each.suffix != ".times")
        if closed:
            act(closed[spot % len(closed)])
        self._look()

    def take_away_all(self, act: Callable[[Path], None], patterns: list[str]) -> None:
        """The lock's mark goes too. The identity does not: it is hidden."""
        for file in [file for pattern in patterns for file in self._directory.glob(pattern)]:
            act(file)
        self._look()

    def _look(self) -> None:
        """What is in the journal's files still can be read; what is not was taken away."""
        files = [self._directory / ACTIVE, *self._directory.glob(f"{ACTIVE}.0*")]
        lines = {line for file in files if file.exists() for line in file.read_bytes().split(b"\n")[:-1]}
        self.taken = (self.taken | self._unread) - lines
        self._unread &= lines

    def ends(self) -> None:
        """Each process appends once more, and all of it is read."""
        for by in range(2):
            self.append(by)
        self.poll(commits=True)
        self._another.close()


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_what_is_appended_after_a_theft_is_read(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    """Whatever was taken away before it."""
    thefts = Thefts(tmp_path_factory.mktemp("thefts"))
    with structlog.testing.capture_logs() as told:
        for step, *arguments in steps:
            getattr(thefts, step)(*arguments)
        thefts.ends()
    close_all()
    assert told or not thefts.taken or thefts.counts_mislead
