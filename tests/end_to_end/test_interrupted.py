"""An operator's commands in any order, many of them killed: what those that end say is so."""

import os
import random
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync.assembly.backup.archives import archives_at
from devicesync.database.sqlite import SqliteDatabase
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event, decode
from devicesync.law.state import NOTHING, State
from tests.end_to_end.command import Devicesync

KILLED_ANYWHERE = Path(__file__).parents[1] / "killed_anywhere.py"
LIVES = range(int(os.environ.get("FUZZ_LIVES", "3")))
COMMANDS_OF_A_LIFE = 15
DEVICES = 12
IN_ONE, IN_OTHER = ("--data-dir", "one"), ("--data-dir", "other")


class Operator:
    """Two machines and a backup. What the first has applied is backed up, and restored into the second.

    events: all that the first one's log has. backed_up: how many of them the backup must have.
    """

    def __init__(self, devicesync: Devicesync, seed: int) -> None:
        self.devicesync = devicesync
        self.chance = random.Random(seed)
        self.events: list[Event] = []
        self.backed_up = 0
        self.told: list[str] = []

    def work(self) -> None:
        """Some commands at random, then all of them once to their end."""
        anything = [
            self.apply,
            self.erase,
            self.back_up,
            self.back_up,
            self.restore,
            self.restore,
            self.redact,
            self.sweep,
            self.digest,
        ]
        self.apply()
        for _ in range(COMMANDS_OF_A_LIFE):
            self.chance.choice(anything)()
        for command in (self.back_up, self.restore, self.redact, self.sweep, self.digest, self.restore):
            while not command():
                pass

    def apply(self) -> bool:
        """Register some devices. A killed one is repeated: nobody knows how many lines it took."""
        now_us = time.time_ns() // 1000
        lines = [
            msgspec.json.encode(
                {"device_id": f"d{self.chance.randrange(DEVICES)}", "version": now_us - 1000 + spot, "city": f"MARK{now_us}"}
            )
            for spot in range(self.chance.choice((1, 5, 30)))
        ]
        self.until_it_ends("apply", "-", *IN_ONE, stdin=b"\n".join(lines) + b"\n")
        self.events += [decode(line, taken_ms=now_us // 1000 + 1000) for line in lines]
        return True

    def erase(self) -> bool:
        """Erase a device. A killed one is repeated."""
        device_id = f"d{self.chance.randrange(DEVICES)}"
        if self.states()[device_id] != NOTHING:
            done = self.until_it_ends("erase", device_id, *IN_ONE)
            self.events.append(Event(device_id, done["version"], erase=True))
        return True

    def back_up(self) -> bool:
        """Then the backup has all."""
        size, form = str(self.chance.choice((600, 5_000, 1 << 20))), self.chance.choice(("parquet", "jsonl"))
        run = ("backup", "run", "--to", "backup", "--until-caught-up", "--max-file-bytes", size, "--format", form)
        done = self.maybe(*run, *IN_ONE)
        if done is not None:
            self.backed_up = len(self.events)
            found = msgspec.json.decode(
                self.devicesync.run("backup", "verify", "--in", "backup", "--deep", "--json", *IN_ONE).stdout
            )
            left = [each for each in found["problems"] if "killed upload" not in each["problem"]]
            assert (left, found["behind"]) == ([], 0), self.told
        return done is not None

    def restore(self) -> bool:
        """Equal: the second machine has all that is in the backup, at least. A dry run finds what is not."""
        if not self.backed_up:
            return True
        device_id = self.chance.choice(self.events[: self.backed_up]).device_id
        words = self.chance.choice(((), (), ("--restart",), ("--dry-run",), ("--device", device_id)))
        before = self.states("other")
        done = self.maybe("restore", "--from", "backup", "--to-stores", "--workers", "1", *words, *IN_OTHER)
        if done is None or self.backed_up < len(self.events):
            return done is not None
        wanted, found = self.states(), self.states("other")
        if words == ("--dry-run",):
            assert done["would_change"]["database"] == sum(wanted[each] != before[each] for each in wanted), self.told
        elif words[:1] == ("--device",):
            assert found[device_id] == wanted[device_id], self.told
        else:
            assert found == wanted, self.told
            assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
        return words in {(), ("--restart",)}

    def redact(self) -> bool:
        """Nothing of the device that is older than its erase is left in any file."""
        erased = [event.device_id for event in self.events[: self.backed_up] if event.erase]
        if not erased:
            return True
        device_id = self.chance.choice(erased)
        done = self.maybe("backup", "redact", "--in", "backup", "--device", device_id, *IN_ONE)
        if done is not None:
            before = [event.version for event in self.kept() if event.device_id == device_id and event.version < done["erased"]]
            assert before == [], self.told
        return done is not None

    def sweep(self) -> bool:
        """Nothing differs."""
        done = self.maybe("audit", "--sweep", "--on", "processes:1", *self.chance.choice(((), ("--restart",))), *IN_ONE)
        assert done is None or (sum(done["differences"].values()), done["checked"]) == (0, len(join_events(self.events))), (
            self.told
        )
        return done is not None

    def digest(self) -> bool:
        """The database's digests, and the backup's, are of as many devices."""
        of = self.chance.choice(("database", "backup")) if self.backed_up else "database"
        words = self.chance.choice(((), ("--restart",)))
        done = self.maybe("digests", "make", f"digests-of-{of}", "--of", of, "--on", "processes:1", *words, *IN_ONE)
        if done is not None and (of == "database" or self.backed_up == len(self.events)):
            live = sum(state.version > 0 for state in join_events(self.events).values())
            assert done["profiles"] == live, self.told
        return done is not None

    def states(self, machine: str = "one") -> dict[str, State]:
        """What that machine's database has of each device; of the first one what the law says it must have."""
        names = [f"d{number}" for number in range(DEVICES)]
        if machine == "one":
            found = join_events(self.events)
        elif (path := self.devicesync.directory / machine / "device-profile.db").exists():
            with closing(SqliteDatabase(path, read_only=True)) as database:
                found = database.read(names)
        else:
            found = {}
        return {name: found.get(name, NOTHING) for name in names}

    def kept(self) -> list[Event]:
        """The registrations in the backup's files."""
        (archive,) = archives_at(str(self.devicesync.directory / "backup"))
        events = []
        for entry in archive.manifest.entries():
            with archive.fetched(entry, self.devicesync.directory) as batches:
                events += [decode(row[3] or b"", taken_ms=1 << 42) for rows in batches for row in rows]
        return [event for event in events if not event.erase]

    def until_it_ends(self, *words: str, stdin: bytes | None = None) -> Any:
        while (done := self.maybe(*words, stdin=stdin)) is None:
            pass
        return done

    def maybe(self, *words: str, stdin: bytes | None = None) -> Any:
        """The document of a command; None where it was killed."""
        if self.chance.random() < 0.5:
            changes = str(int(1.2 ** self.chance.randint(0, 26)))
            self.told.append(" ".join(("killed at", changes, *words)))
            done = self.devicesync.run_by(KILLED_ANYWHERE, changes, *words, "--json", stdin=stdin)
            if done.returncode == -signal.SIGKILL:
                return None
        else:
            self.told.append(" ".join(words))
            done = self.devicesync.run(*words, "--json", stdin=stdin)
        assert done.returncode == 0, (self.told, done.stderr.decode())
        return msgspec.json.decode(done.stdout)


@pytest.mark.parametrize("seed", LIVES)
def test_what_a_command_says_is_so(devicesync: Devicesync, seed: int) -> None:
    """Half of the devices were "equal in both stores", or "0 differ", after certain kills. FUZZ_LIVES=100 tries more."""
    Operator(devicesync, seed).work()
