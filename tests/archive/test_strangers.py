"""Random lives of a backup's place beside somebody who may only add objects to it.

Whatever he adds: a restore refuses and names it, or brings at least what the law makes of all that was kept, each erase included. So it
is once his objects are removed. `python -m tests.archive.test_strangers FIRST COUNT` runs as many lives as one likes.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from devicesync.archive.entry import Entry, revised
from devicesync.archive.ranges import ENTRY, ERASURES, by_range, listing_path, place_of, write_erasures
from devicesync.archive.trust import sealed
from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.restore.run import Request, begin
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.backed_up import event_of
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.law.event import Event, decode
from devicesync.law.state import NOTHING, State, join, state_of
from devicesync.log.full import OFFSET, VALUE, FullRecord
from tests.archive.life import OTHER, Life, V, made
from tests.assembly.test_unwatched import settings_in

DEVICES = ("a", "b")
HIS = "his"
"""A device that the stranger has registered himself."""
IN_2200_US = 7_258_118_400_000_000
SEEDS = (*range(10, 16), 125, 172, 236, 292, 408, 462)
"""Of these 292 shows a backup that goes on behind anything, 236 and 408 one that believes a claim of another place, and the others a
prune that believes erasures of the future. Of 500 lives one to three show such a mistake: to look for more, run hundreds as above.
"""
STEPS = 20
_WHOLE = Selection()


class Wrong(AssertionError):
    """What a life has shown."""


class Stranger:
    """Adds objects. He has all that were ever there."""

    def __init__(self, life: Life, chance: random.Random, directory: Path) -> None:
        self._life, self._chance, self._directory = life, chance, directory
        self._place = Path(life.place)
        self._seen: dict[str, bytes] = {}
        self._left = chance.choice((1, 1, 2, STEPS))  # things to add: where he adds much, something of it is always named
        self.added: dict[str, bytes] = {}
        ways = (self._revision, self._replay, self._range, self._range, self._pruned, self._pruned, self._erasures)
        others = chance.sample((*ways, self._copy, self._junk), chance.randint(1, 2))
        self._ways = chance.choice((others, [self._chain], [self._chain, self._chain, self._erasures, self._generation]))

    def looks(self) -> dict[str, bytes]:
        """What is there now."""
        files = (path for path in self._place.rglob("*") if path.is_file() and not path.name.startswith("."))
        there = {str(path.relative_to(self._place)): path.read_bytes() for path in files}
        self._seen |= {path: held for path, held in there.items() if path not in self._seen}
        return there

    def adds(self) -> None:
        """One thing, or nothing."""
        before = len(self.added)
        if self._left > 0:
            with suppress(Damaged):  # he can't read what is there
                self._chance.choice(self._ways)()
        self._left -= len(self.added) > before

    def is_removed(self) -> None:
        """The operator removes what is still his, and the directories that are empty then."""
        for path, held in self.added.items():
            with suppress(FileNotFoundError):
                if (self._place / path).read_bytes() == held:
                    (self._place / path).unlink()
        for directory in sorted(self._place.rglob("*"), reverse=True):
            with suppress(OSError):
                directory.rmdir()
        self.added.clear()

    def _add(self, path: str, held: bytes) -> None:
        if not (self._place / path).exists():
            (self._place / path).parent.mkdir(parents=True, exist_ok=True)
            (self._place / path).write_bytes(held)
            self.added[path] = held

    def _ranges(self) -> list[list[Entry]]:
        return by_range(self._life.archive.manifest.entries([]))

    def _list(self, files: list[Entry], rows: list[list[FullRecord]]) -> list[Entry]:
        """A listing with files of these rows; how the product would name them."""
        entries = []
        for entry, some in zip(files, rows, strict=True):
            closed = made(self._directory, some, (entry.from_offset, entry.next_offset), entry, entry.format)
            taken = ("records", "bytes", "sha256", "record_bytes", "first_ms", "last_ms", "rest")
            new = msgspec.structs.replace(entry, **{name: getattr(closed.entry, name) for name in taken})
            if not entry.revision:
                new = msgspec.structs.replace(closed.entry, follows=entry.follows)
            if not new.rest:  # JSON lines' rests have names of their own
                self._add(new.path, closed.here.read_bytes())
            entries.append(new)
        self._add(place_of(entries, ENTRY), sealed(entries))
        return entries

    def _rows(self, entry: Entry) -> list[FullRecord]:
        with self._life.archive.fetched(entry, self._directory) as batches:
            return [row for rows in batches for row in rows]

    def _revision(self) -> None:
        """It lacks some rows of the range."""
        if ranges := [files for files in self._ranges() if not files[0].rest]:
            files = self._chance.choice(ranges)
            number = self._chance.choice((1, 2, 1 + self._life.archive.last_revision(files)))
            name = f"{number}-{self._chance.getrandbits(32):08x}"
            share = self._chance.choice((0.3, 0.9, 1.0))
            whole = [self._rows(entry) for entry in files]
            rows = [[row for row in some if self._chance.random() < share] for some in whole]
            self._list([revised(entry, name) for entry in files], rows)

    def _replay(self) -> None:
        """Objects that were there once."""
        there = self.looks()
        gone = [path for path in self._seen if path not in there]
        for path in self._chance.sample(gone, min(len(gone), self._chance.choice((1, 2, 99)))):
            self._add(path, self._seen[path])

    def _range(self) -> None:
        """Where the log has, or will have, something else."""
        if ranges := self._ranges():
            last = ranges[-1][-1]
            start = self._chance.choice((last.next_offset, last.next_offset, self._chance.randrange(last.next_offset + 3)))
            end = start + self._chance.choice((1, 1, 2, 50))
            if start < last.next_offset or end <= len(self._life.rows()):  # at the end of an idle log see docs/security.md
                plain = msgspec.structs.replace(
                    last, from_offset=start, next_offset=end, format="parquet", revision="", rest=None
                )
                self._list([plain], [[(start, SYSTEM.now_ms(), None, OTHER, None)]])

    def _chain(self) -> None:
        """Several ranges behind the last one, or one that begins within it; some as the log has them, some as a redact writes them."""
        rows = {row[OFFSET]: row for row in self._life.rows()}
        if not (ranges := self._ranges()):
            return
        last, end = ranges[-1][-1], max(rows) + 1
        generation = self._chance.choice((last.generation, max(self._life.archive.manifest.generations())))
        start = self._chance.choice((last.next_offset, last.next_offset, last.next_offset - 1, 0))
        identity = self._chance.choice((last.identity, last.identity, ""))
        for _ in range(self._chance.randint(1, 3)):
            bounds = start, min(end, start + self._chance.choice((1, 1, 2, 3)))
            if bounds[1] <= start:
                return
            there = [row for offset in range(*bounds) if (row := rows.get(offset))]
            self._of_chain(msgspec.structs.replace(last, generation=generation, identity=identity), bounds, there)
            start = bounds[1]

    def _of_chain(self, like: Entry, bounds: tuple[int, int], there: list[FullRecord]) -> None:
        others = [row for row in there if HIS.encode() not in (row[VALUE] or b"")]
        rows, is_revision = self._chance.choice((([], True), (others, True), (there, False), (there[:1], False)))
        if not is_revision and (not rows or self._chance.random() < 0.3):
            rows = [(bounds[0], SYSTEM.now_ms(), None, OTHER, None)]
        plain = made(self._directory, rows or [(bounds[0], 0, None, OTHER, None)], bounds, like).entry
        self._list([revised(plain, "1-deadbeef") if is_revision else plain], [rows])

    def _generation(self) -> None:
        """One more, of the same log."""
        manifest = self._life.archive.manifest
        newest = max(manifest.generations(), default=0)
        begun = {"identity": manifest.identity(newest), "ended": self._chance.choice(({}, {"0": 1}))}
        self._add(f"_manifest/device-profile.log/generation-{newest + 1}.json", sealed(begun))

    def _pruned(self) -> None:
        """The last pruned ranges again, without what they had."""
        kept = [*self._life.archive.manifest.pruned([])][-self._chance.randint(1, 2) :]
        for files in (each.entries for each in kept):
            plain = msgspec.structs.replace(files[0], format="parquet", revision="", rest=None)
            self._list([plain], [[(plain.from_offset, SYSTEM.now_ms(), None, OTHER, None)]])

    def _erasures(self) -> None:
        """As if a range were pruned."""
        if ranges := self._ranges():
            files = self._chance.choice(ranges)
            here = self._directory / "erasures"
            anyone = [(name, IN_2200_US) for name in (HIS, *DEVICES)]
            write_erasures(here, self._chance.choice(([], [("other", V)], [(HIS, V + 1000)], anyone)), files)
            self._add(listing_path(files, ERASURES), here.read_bytes())

    def _copy(self) -> None:
        there = self.looks()
        path = self._chance.choice(sorted(there))
        number = self._chance.randrange(9)
        renamed = (
            path.replace("/1_0_", f"/1_0_{number}"),
            path.replace("/1/0/", f"/1/{number}/"),
            path.replace(".", ".1-00000000.", 1),
        )
        self._add(self._chance.choice(renamed), there[path])

    def _junk(self) -> None:
        name = self._chance.choice(("{}.json", "{}.erasures.json", "{}.1-deadbeef.json")).format(self._chance.randrange(9))
        self._add(f"_manifest/device-profile.log/1/0/{name}", self._chance.choice((b"", b"junk", b"[]")))


class Lives:
    """One life: what was logged, kept, and may be pruned."""

    def __init__(self, seed: int, directory: Path) -> None:
        self._chance = random.Random(seed)
        self._life = Life(directory)
        self._directory = directory
        self._stranger = Stranger(self._life, self._chance, directory)
        self._events: list[tuple[int, Event]] = []
        self._names = [*DEVICES]
        self._kept = self._pruned = 0

    def run(self) -> str:
        """How it ended."""
        self._logs()
        self._works(self._keeps)
        steps = (self._logs, self._logs, self._keeps, self._keeps, self._prunes, self._redacts, self._keeps_elsewhere)
        for _ in range(STEPS):
            if self._chance.random() < 0.25:
                self._stranger.adds()
            elif self._chance.random() < 0.1:
                self._stranger.is_removed()
            else:
                self._works(self._chance.choice(steps))
            self._stranger.looks()
        ended = "right" if self._restores() else "refused"
        self._stranger.is_removed()
        self._logs()
        self._works(self._keeps)
        return f"{ended}, then {'right' if self._restores() else 'refused'}"

    def _works(self, step: Callable[[], None]) -> None:
        with suppress(Damaged):  # which names what holds it up
            step()

    def _logs(self) -> None:
        if self._events and self._chance.random() < 0.2:
            with (self._directory / "data" / "device-profile.log").open("ab") as journal:
                journal.write(b"\n")  # as a transaction's marker: an offset without a record
        if self._chance.random() < 0.4:
            self._life.logs(b'{"device_id":"%b","version":%d,"city":"X"}' % (HIS.encode(), V + len(self._events)))
        for _ in range(self._chance.randint(1, 4)):
            version = V + len(self._events)
            erases = self._chance.random() < 0.3
            what = b'"erase":true' if erases else b'"city":"%d"' % version
            name = self._chance.choice(self._names) if erases else self._registered()
            self._life.logs(b'{"device_id":"%b","version":%d,%b}' % (name.encode(), version, what))
        new = self._life.rows()[len(self._events) :]
        self._events += [(row[OFFSET], decode(row[VALUE] or b"", taken_ms=SYSTEM.now_ms())) for row in new]

    def _registered(self) -> str:
        """One of the two that come again and again, or one that comes once: no later record stands for what is lost of it."""
        name = self._chance.choice((*DEVICES, f"once-{len(self._names)}", f"once-{len(self._names)}"))
        self._names += [name] if name not in self._names else []
        return name

    def _keeps(self) -> None:
        self._life.keeps(self._chance.choice((150, 300, 1 << 20)), self._chance.choice(("parquet", "jsonl")))
        self._kept = len(self._events)

    def _keeps_elsewhere(self) -> None:
        """The same group, to a second place."""
        place, self._life.place = self._life.place, str(self._directory / "elsewhere")
        try:
            self._life.keeps(self._chance.choice((150, 1 << 20)))
        finally:
            self._life.place = place

    def _prunes(self) -> None:
        entries = by_range(self._life.archive.manifest.entries([]))
        last = max((files[0].from_offset for files in entries[-1:]), default=0)
        kept_to = self._events[self._kept - 1][0] + 1 if self._kept else 0
        self._pruned = max(self._pruned, min(last, kept_to))
        prune(self._life.place, self._life.settings, Unwatched(), before_ms=SYSTEM.now_ms() + 1, dry_run=False)

    def _redacts(self) -> None:
        redact(self._life.place, self._chance.choice(DEVICES), self._life.settings, Unwatched(), dry_run=False)

    def _restores(self) -> bool:
        """Whether it is not refused. Raises Wrong where less comes back than was kept."""
        request = Request(self._life.place, _WHOLE, allow_gaps=False, dry_run=False, workers=1, restart=False)
        try:
            found = restored(request, settings_in(self._directory / "restored"), self._directory)
        except Damaged:
            return False
        for name in self._names:
            mine = found.get(name, NOTHING)
            expected = self._expected(name)
            if join(expected, mine) != mine:
                raise Wrong(f"of {name} there is {mine}, and it must have {expected}")
        return True

    def _expected(self, name: str) -> State:
        expected = NOTHING
        for offset, event in self._events[: self._kept]:
            if event.device_id == name and (event.erase or offset >= self._pruned):
                expected = join(expected, state_of(event))
        return expected


def restored(request: Request, settings: object, spool: Path) -> dict[str, State]:
    """What a restore would write, by device. Raises Damaged."""
    run = begin(request, settings, Unwatched())  # type: ignore[arg-type]
    found: dict[str, State] = {}
    for entry in run.entries:
        with run.archive.fetched(entry, spool) as batches:
            for event in (event_of(row, entry, 300_000) for rows in batches for row in rows):
                if event:
                    found[event.device_id] = join(found.get(event.device_id, NOTHING), state_of(event))
    for erased in pruned_erasures(run.archive, 300_000):
        for name, state in erased.items():
            found[name] = join(found.get(name, NOTHING), state)
    return found


def lived(seed: int) -> str:
    """How the life of this seed ended."""
    with tempfile.TemporaryDirectory() as name, capture_logs():
        return Lives(seed, Path(name)).run()


@pytest.mark.parametrize("seed", SEEDS)
def test_lives_beside_a_stranger(seed: int) -> None:
    lived(seed)


def main(first: int, count: int) -> None:
    """Print the seeds whose life shows something, and how the others ended."""
    ends = []
    for seed in range(first, first + count):
        try:
            ends.append(lived(seed))
        except Exception as error:  # noqa: BLE001 - any is one
            sys.stdout.write(f"seed {seed}: {type(error).__name__}: {str(error)[:600]}\n")
    sys.stdout.write(f"{dict(Counter(ends))}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
