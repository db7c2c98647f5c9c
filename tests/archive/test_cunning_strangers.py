"""Random lives beside a stranger who knows what the log has, and adds objects also while our commands are at work.

He lists what is true where a restore will not take it: a true revision of a forged range, one with other bounds, a listing of
which a part is a revision or of another log, a listing whose files come later. Two groups back up to the place in turns, and one
of them to a second place. At the end an operator does what he is told: he removes what of the stranger's is named, and nothing
else. Then all that was kept is restored. `python -m tests.archive.test_cunning_strangers FIRST COUNT` runs as many lives.
"""

import random
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from structlog.testing import capture_logs

from devicesync.archive.entry import Entry, revised
from devicesync.archive.ranges import ENTRY, ERASURES, entries_in, listing_path, place_of, write_erasures
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.errors import Damaged, WrongUse
from devicesync.jobs.restore import complete
from devicesync.log.full import OFFSET, FullRecord
from tests.archive.life import OTHER, Life, made
from tests.archive.test_strangers import Lives, Stranger

SEEDS = (0, 6, 1014, 2031, 4101, 10003)
"""In these the backup went on behind what all other commands refuse: a listing of which a part is of another log or a revision, a
revision of a listing with other files, or of a range that was never listed. Some ten of 300 lives show such a mistake.
"""
ROUNDS = 12
_CALLS = ("names", "read_bytes", "put", "put_bytes", "remove", "create", "size", "fetch")


class Cunning(Stranger):
    """He has the log's records, too."""

    def __init__(self, life: Life, chance: random.Random, directory: Path) -> None:
        super().__init__(life, chance, directory)
        self._late: dict[str, bytes] = {}
        self._left = chance.choice((1, 2, 3, 6))
        new = [self._true_revision, self._other_bounds, self._parts, self._without_files, self._comes_late, self._next_erasures]
        old = [self._revision, self._replay, self._range, self._pruned, self._erasures, self._chain]
        self._ways = chance.choice((new, [*new, *old], chance.sample(new, 2)))

    def _next(self) -> tuple[Entry, tuple[int, int], list[FullRecord]] | None:
        """What the next range may be: an entry like it, its bounds, and what the log has there."""
        if not (ranges := self._ranges()):
            return None
        last = ranges[-1][-1]
        rows = [row for row in self._life.rows() if row[OFFSET] >= last.next_offset]
        if not rows:
            return None
        some = rows[: self._chance.randint(1, len(rows))]
        return last, (last.next_offset, some[-1][OFFSET] + 1), some

    def _true_revision(self) -> None:
        """Of a forged range, or of none."""
        if found := self._next():
            like, bounds, rows = found
            plain = made(self._directory, rows, bounds, msgspec.structs.replace(like, revision="", rest=None)).entry
            plain = msgspec.structs.replace(plain, follows=True)
            lacks = self._chance.choice((rows[1:], rows[:-1], []))
            forged = lacks or [(bounds[0], rows[0][1], None, OTHER, None)]
            if self._chance.random() < 0.7:
                self._list([plain], [forged])
            if self._chance.random() < 0.5:
                self._next_erasures()
            self._list([revised(plain, f"{self._chance.choice((1, 2))}-deadbeef")], [rows])

    def _other_bounds(self) -> None:
        """A revision of a range that is there, which ends elsewhere, as the log has it."""
        if ranges := [files for files in self._ranges() if not files[0].rest]:
            first = self._chance.choice(ranges[-2:])[0]
            rows = [row for row in self._life.rows() if row[OFFSET] >= first.first_offset]
            some = rows[: self._chance.randint(1, len(rows))] if rows else []
            if some:
                end = some[-1][OFFSET] + 1
                number = 1 + self._life.archive.last_revision([first])
                self._list([revised(msgspec.structs.replace(first, next_offset=end), f"{number}-deadbeef")], [some])

    def _parts(self) -> None:
        """A listing of true files that says something else of one of them, or a listing that has a record twice."""
        if not (found := self._next()):
            return
        like, bounds, rows = found
        cut = self._chance.randint(1, len(rows))
        parts = [some for some in (rows[:cut], rows[cut:]) if some]
        if self._chance.random() < 0.2 and len(rows) > 1:
            parts = [rows, rows[-1:]]
        like = msgspec.structs.replace(like, revision="", rest=None)
        closed = [
            made(self._directory, some, bounds, like, self._chance.choice(("parquet", "parquet", "jsonl"))) for some in parts
        ]
        entries = [file.entry for file in closed]
        spot = self._chance.randrange(len(entries))
        changed = self._chance.choice(("revision", "identity", "day", "closed_ms", "follows", "source", "times", ""))
        if changed == "revision" and not entries[spot].rest:
            entries[spot] = revised(entries[spot], "1-deadbeef")
        elif changed == "day":
            _, name = entries[spot].path.split("/dt=")
            path = f"{entries[spot].topic}/dt=2020-01-01/{name.split('/')[1]}"
            entries[spot] = msgspec.structs.replace(entries[spot], path=path)
        elif changed == "source" or (changed == "identity" and spot):  # of all: see docs/security.md
            entries[spot] = msgspec.structs.replace(entries[spot], **{changed: "another"})
        elif changed == "closed_ms":
            entries[spot] = msgspec.structs.replace(entries[spot], closed_ms=self._chance.choice((0, 7_258_118_400_000)))
        elif changed == "follows":
            entries[spot] = msgspec.structs.replace(entries[spot], follows=self._chance.choice((False, None)))
        for file, entry in zip(closed, entries, strict=True):
            self._add(entry.path, file.here.read_bytes())
            if entry.rest and file.rest_here:
                self._add(entry.rest.path, file.rest_here.read_bytes())
        self._add(place_of(entries, ENTRY), sealed(entries))

    def _without_files(self) -> None:
        """A forged listing whose files come later, and a true revision of it."""
        if found := self._next():
            like, bounds, rows = found
            like = msgspec.structs.replace(like, revision="", rest=None)
            forged = rows[1:] or [(bounds[0], rows[0][1], None, OTHER, None)]
            closed = made(self._directory, forged, bounds, like)
            self._late[closed.entry.path] = closed.here.read_bytes()
            self._add(place_of([closed.entry], ENTRY), sealed([closed.entry]))
            base = made(self._directory, rows, bounds, like).entry
            self._list([revised(msgspec.structs.replace(base, follows=True), "1-deadbeef")], [rows])

    def _comes_late(self) -> None:
        for path, held in self._late.items():
            self._add(path, held)

    def _next_erasures(self) -> None:
        """As if the next range were pruned."""
        if found := self._next():
            like, bounds, rows = found
            entry = made(self._directory, rows, bounds, msgspec.structs.replace(like, revision="", rest=None)).entry
            here = self._directory / "erasures"
            write_erasures(here, [], [entry])
            self._add(listing_path([entry], ERASURES), here.read_bytes())

    def named_is_removed(self, told: list[str]) -> bool:
        """The operator removes what is named, an entry and its files, if it is the stranger's; or what that is compared with."""
        paths, sure = self._paths(), [line for line in told if "one of the two is forged" not in line]
        told = sure if any(path in line for path in paths for line in sure) else told
        first = [min(((line.find(path), of) for path, of in paths.items() if path in line), default=(0, "")) for line in told]
        named = {of for _, of in first}
        return sum(self._removes(path) for path, of in paths.items() if of in named) > 0

    def _paths(self) -> dict[str, str]:
        """What he has added, each with the listing that it is of, or itself."""
        found = {path: path for path in self.added}
        there = self.looks()
        for path, held in self.added.items():
            if there.get(path) != held:  # the backup has listed its own files there since
                continue
            if path.startswith("_manifest/") and path.endswith(".json") and not path.endswith(ERASURES):
                with suppress(Damaged):
                    found |= {file: path for entry in entries_in(path, held) for file in entry.paths}
        return found

    def _removes(self, path: str) -> bool:
        held = self.added.pop(path, None)
        self._late.pop(path, None)
        with suppress(FileNotFoundError):
            if held is not None and (self._place / path).read_bytes() == held:
                (self._place / path).unlink()
                return True
        return False


class CunningLives(Lives):
    """As Lives, with two groups, and a stranger who does not wait for a command's end."""

    def __init__(self, seed: int, directory: Path) -> None:
        super().__init__(seed, directory)
        self._stranger: Cunning = Cunning(self._life, self._chance, directory)
        self._during = random.Random(self._chance.random())
        self._often = self._chance.choice((0.0, 0.01, 0.04))
        self._two_places = self._chance.random() < 0.3
        self._is_busy = False
        self.told: list[str] = []

    def run(self) -> str:
        """How it ended."""
        self._logs()
        self._keeps()
        self._swaps()
        self._keeps()
        steps = [self._logs, self._logs, self._logs, self._keeps, self._keeps, self._keeps, self._redacts]
        steps += self._chance.choice(([], [self._prunes])) + [self._keeps_elsewhere] * self._two_places
        for _ in range(16):
            if self._chance.random() < 0.25:
                self._stranger.adds()
            elif self._chance.random() < 0.2:
                self._swaps()
            else:
                with self._beside():
                    self._works(self._chance.choice(steps))
            self._stranger.looks()
        ended = "right" if self._restores() else "refused"
        return f"{ended}, then {self._as_told()}"

    def _as_told(self) -> str:
        """The operator removes what is named, as long as it is the stranger's, backs up, and restores."""
        for _ in range(ROUNDS):
            told: list[str] = []
            with suppress(WrongUse):
                told = [f"{each['path']} {each['problem']}" for each in self._life.problems()]
            try:
                self._keeps()
            except Damaged as damaged:
                told.append(f"{damaged} {damaged.hint}")
            self.told += told
            if not self._stranger.named_is_removed(told):
                break
        self._works(self._keeps)
        if self._restores():
            return "right"
        return "refused" if self._pruned or self._two_places else "refused without a prune"

    def _prunes(self) -> None:
        super()._prunes()
        if self._often and self._kept:  # behind what he adds meanwhile the last range is none any more: see docs/security.md
            self._pruned = max(self._pruned, self._events[self._kept - 1][0] + 1)

    def _swaps(self) -> None:
        """The other group's turn: of a journal its position is a file."""
        data = self._directory / "data"
        for file in [*data.glob("device-profile.log.reader.backup*")]:
            shutil.move(file, self._directory / f"swapped-{file.name}")
        for file in [*self._directory.glob("device-profile.log.reader.backup*")]:
            shutil.move(file, data / file.name)
        for file in [*self._directory.glob("swapped-*")]:
            shutil.move(file, self._directory / file.name.removeprefix("swapped-"))

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """The stranger may add something at any call of the storage."""
        with ExitStack() as patches:
            for name in _CALLS if self._often else ():
                patches.enter_context(mock.patch.object(Storage, name, self._then(getattr(Storage, name))))
            yield

    def _then(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            is_main = threading.current_thread() is threading.main_thread()
            if is_main and not self._is_busy and self._during.random() < self._often:
                self._is_busy = True
                try:
                    self._stranger.adds()
                finally:
                    self._is_busy = False
            return whole(*arguments, **more)

        return call


def lived(seed: int) -> str:
    """How the life of this seed ended."""
    with tempfile.TemporaryDirectory() as name, capture_logs(), mock.patch.object(complete, "_LOOK_AGAIN_SECONDS", (0.0,)):
        return CunningLives(seed, Path(name)).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_lives_beside_a_cunning_stranger(seed: int) -> None:
    assert not lived(seed).endswith("without a prune")


def main(first: int, count: int) -> None:
    """Print the seeds whose life shows something, and how the others ended."""
    ends: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            ends[ended := lived(seed)] += 1
            if ended.endswith("without a prune"):
                sys.stdout.write(f"seed {seed}: {ended}\n")
        except Exception as error:  # noqa: BLE001 - any is one
            ends[type(error).__name__] += 1
            sys.stdout.write(f"seed {seed}: {type(error).__name__}: {str(error)[:300]}\n")
    sys.stdout.write(f"{dict(ends)}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
