"""Another program writes a line at each step of a rotation, and readers look at each step, too."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from devicesync.log.journal import JournalReader
from devicesync.log.journal.lag import reader_lag
from tests.journal.opened import close_all, everything, open_journal, reader_of, rest

NAME = "device-profile.log"
CALLS = ("open", "rename", "unlink", "write", "fdatasync", "fsync")
STEPS = 50
"""So many calls, or a few more, do a rotation and the append after it make."""


class _Killed(BaseException):
    """As by kill -9 at that step."""


@contextmanager
def _at_each_step(act: Callable[[int], None]) -> Iterator[None]:
    """Act before each such call of the system; what acts may call it."""
    acts, step = False, 0

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **named: Any) -> Any:
            nonlocal acts, step
            if not acts:
                acts = True
                try:
                    act(step)
                finally:
                    step, acts = step + 1, False
            return call(*given, **named)

        return made

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, around(getattr(os, name)))
        yield


class _Life:
    """One journal, one program beside it, a reader that stays, and one that begins anew at each look, as after a stop.

    acknowledged: the records. found: what the readers have read, number by number.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._acknowledged: set[bytes] = set()
        self.journal = open_journal(directory, segment_bytes=16)
        self._stays = reader_of(self.journal, "stays")
        self._found: dict[str, list[tuple[int, bytes]]] = {"stays": [], "begins anew": []}
        self.append(b"ours-0")
        self._opened_before = (directory / NAME).open("ab", buffering=0)
        self._count = 0

    def append(self, value: bytes) -> None:
        self.journal.append([value])
        self._acknowledged.add(value)

    def look(self) -> None:
        self._take("stays", self._stays)
        with_reader = reader_of(self.journal, "begins anew")
        self._take("begins anew", with_reader)
        with_reader.close()
        reader_lag(self.journal._files, "stays")

    def _take(self, name: str, reader: JournalReader) -> None:
        self._found[name] += rest(reader)
        reader.commit()

    def line(self, *, anew: bool) -> None:
        self._count += 1
        value = b"another's-%d\n" % self._count
        if anew:
            with (self._directory / NAME).open("ab", buffering=0) as there:
                there.write(value)
        else:
            self._opened_before.write(value)

    def restart(self) -> None:
        self.journal = open_journal(self._directory, segment_bytes=16)

    def ends(self) -> None:
        """Nobody has got two records of one number, or one record twice; and all of them have what is there now."""
        self._opened_before.close()
        self.append(b"the last")
        self.look()
        there = everything(open_journal(self._directory), "new")
        assert self._found == {"stays": there, "begins anew": there}
        assert self._acknowledged <= {value for _, value in there}
        assert len({number for number, _ in there}) == len(there)


@pytest.mark.parametrize(("lines", "killed"), [("once", False), ("from then on", False), ("once", True)])
@pytest.mark.parametrize("anew", [False, True])
def test_a_line_at_each_step(tmp_path: Path, lines: str, *, anew: bool, killed: bool) -> None:
    """It took the number of the next registration. Who had read it passed that by, and a backup differed from the log.

    anew: it opens the journal for each line, or has it open since before the rotation.
    killed: whoever rotates is, at that step or one after it, and another process goes on.
    """
    for at in range(STEPS):
        for later in range(2 if killed else 1):
            life = _Life(tmp_path / f"{at}-{later}")

            def act(step: int, life: _Life = life, at: int = at, later: int = later) -> None:
                if step == at or (step > at and lines != "once"):
                    life.line(anew=anew)
                life.look()
                if killed and step == at + later:
                    raise _Killed

            with suppress(_Killed), _at_each_step(act):
                life.append(b"ours-11111")
                life.append(b"ours-2")
            life.look()
            life.restart()
            life.look()
            life.ends()
            close_all()
