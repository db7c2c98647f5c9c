"""A log is written, rotated by renames and by copies, and followed by one that is blocked, killed and late, all at random."""

import os
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from devicesync.log import foreign as foreign_module
from devicesync.log.foreign import ForeignLog

Step = tuple[str, dict[str, Any]]


def _step(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


_lines = st.sampled_from([1, 2, 9])
STEPS = st.one_of(
    _step("write", lines=_lines),
    _step("write_and_look", lines=_lines, blocks=st.booleans()),
    _step("look", blocks=st.booleans()),
    _step("go_on"),
    _step("kill"),
    _step("start"),
    _step("rename", late=st.booleans(), creates=st.booleans()),
    _step("copy", keeps_time=st.booleans()),
)


class Follows:
    """One log and its follower. Each act is a second later than the one before, by the times of the files.

    They lie ahead, for a follower that has seen no file yet goes by its own file's time, and the machine may be slow.
    """

    def __init__(self, directory: Path, kept: int) -> None:
        self._log = directory / "device-profile.log"
        self._kept = kept
        self._seconds = int(time.time()) + 600
        self._count = 0
        self._foreign: ForeignLog | None = None
        self._in_hand: list[bytes] = []
        self._taken: set[bytes] = set()

    def write(self, lines: int, to: Path | None = None) -> None:
        with (to or self._log).open("ab") as file:
            file.writelines(b"line %d\n" % (self._count + each) for each in range(lines))
        self._count += lines
        self._date(to or self._log)

    def write_and_look(self, lines: int, *, blocks: bool) -> None:
        self.write(lines)
        self.look(blocks=blocks)

    def look(self, *, blocks: bool) -> list[bytes]:
        """As jobs/follow.py does. blocks: what was read can't be appended for now."""
        read: list[bytes] = []
        if self._foreign and not self._in_hand:
            for _ in range(2 * self._kept + 5):  # each other read may find nothing but the way to the next file
                self._in_hand = self._foreign.read()
                read += self._in_hand
                if blocks and read:
                    break
                self.go_on()
        return read

    def go_on(self) -> None:
        """What is in hand can be appended again."""
        if self._foreign and self._in_hand:
            self._foreign.commit()
            self._taken.update(self._in_hand)
            self._in_hand = []

    def kill(self) -> None:
        if self._foreign:
            self._foreign.close()
        self._foreign, self._in_hand = None, []

    def start(self) -> None:
        self._foreign = self._foreign or ForeignLog(self._log, self._log.with_name("spot"))

    def rename(self, *, late: bool, creates: bool) -> None:
        """late: the writer adds one line more to the renamed file."""
        if self._log.exists():
            rotated = self._rotated()
            self._log.rename(rotated)
            if late:
                self.write(1, rotated)
            if creates:
                self._log.touch()
                self._date(self._log)

    def copy(self, *, keeps_time: bool) -> None:
        if self._log.exists():
            rotated = self._rotated()
            shutil.copy2(self._log, rotated)
            if not keeps_time:
                self._date(rotated)
            os.truncate(self._log, 0)
            self._date(self._log)

    def unread(self) -> set[bytes]:
        """What is in a file, and was not taken."""
        return {line for file in self._log.parent.glob("device*") for line in file.read_bytes().splitlines()} - self._taken

    def ends(self) -> None:
        """It works again, and another line is written."""
        self.go_on()
        self.start()
        self.write(1)
        self.look(blocks=False)

    def _rotated(self) -> Path:
        """The name of the next rotated file. The oldest one goes, where there are as many as are kept."""
        names = [self._log.with_name(f"{self._log.name}.{number}") for number in range(self._kept, 0, -1)]
        for older, younger in pairwise(names):
            if younger.exists():
                younger.rename(older)
        names[-1].unlink(missing_ok=True)
        return names[-1]

    def _date(self, path: Path) -> None:
        self._seconds += 1
        os.utime(path, (self._seconds, self._seconds))


@settings(max_examples=300, deadline=None)
@given(kept=st.integers(1, 3), steps=st.lists(STEPS, min_size=3, max_size=16))
def test_what_is_in_a_file_is_read(tmp_path_factory: pytest.TempPathFactory, kept: int, steps: list[Step]) -> None:
    """Whatever was rotated away before it. What was read is not read again by the next start."""
    with pytest.MonkeyPatch.context() as patched, capture_logs() as told:
        patched.setattr(foreign_module, "_QUIET_SECONDS", 0.0)
        follows = Follows(tmp_path_factory.mktemp("follows"), kept)
        follows.start()
        for step, arguments in steps:
            getattr(follows, step)(**arguments)
        follows.ends()
        assert not follows.unread()
        follows.kill()
        told.clear()
        follows.start()
        assert follows.look(blocks=False) == []
        follows.kill()
    assert told == []
