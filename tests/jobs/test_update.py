"""The updater over ports: commits after both stores, dead letters, the limit, back-pressure, stopping."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import TooManyBad, Unavailable
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.update import Updater
from devicesync.law.state import State
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from devicesync.stores import Stores

GOOD = b'{"device_id":"d%d","version":16000000000000%02d,"city":"Pune"}'


class Flaky(SqliteDatabase):
    """A database that fails so many times; `writes` counts the calls."""

    failures = 0
    writes = 0

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        self.writes += 1
        if self.writes <= self.failures:
            raise Unavailable("it is down", "wait")
        return super().merge(changes)


class Slow(SqliteDatabase):
    """Stands for a server: of its calls each waits until it is let go.

    begun: their devices. down: how often it fails for a device. threads_seen: the names of the threads that wrote.
    """

    threads = 16

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.begun: list[list[str]] = []
        self.gates = [threading.Event() for _ in range(8)]
        self.down: Counter[str] = Counter()
        self.threads_seen: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        number = len(self.begun)
        self.begun.append([*changes])
        self.threads_seen.add(threading.current_thread().name)
        assert self.gates[number].wait(60)
        (device_id,) = changes
        self.down[device_id] -= 1
        if self.down[device_id] >= 0:
            raise Unavailable("it is down", "wait")
        with self._one_at_a_time:
            return super().merge(changes)


class Setup:
    def __init__(
        self,
        directory: Path,
        *,
        batch_records: int = 100,
        limit: float = 0.95,
        window: int = 1000,
        database: type[SqliteDatabase] = Flaky,
    ) -> None:
        self.log = MemoryLog()
        self.cache = MemoryCache()
        self.database: Any = database(directory / "database")
        self.dead_letters = SqliteDeadLetters(directory / "dead-letters.db")
        self.stop = threading.Event()
        self.updater = Updater(
            self.log.reader("updater"),
            Stores(self.cache, self.database),
            self.dead_letters,
            source="test",
            batch_records=batch_records,
            refusal_limit=RefusalLimit(limit, window, 0),
            stop=self.stop,
        )


def test_good_and_bad_records(tmp_path: Path) -> None:
    """One bad record never stops or loses the others; it goes to the dead letters whole, with its place."""
    setup = Setup(tmp_path, batch_records=2)
    bad = b'\xff\x00 {"device_id"'
    setup.log.append([GOOD % (1, 1), bad, GOOD % (2, 1), GOOD % (1, 2)])
    setup.updater.run(until_caught_up=True)
    total, (letter,) = setup.dead_letters.find()
    assert total == 1
    assert (letter.value, letter.reason, letter.source, letter.partition, letter.offset) == (bad, "wrong_encoding", "test", 0, 1)
    assert letter.time_ms == setup.log.records[1].taken_ms
    assert setup.cache.read(["d1"])["d1"].version == 1_600_000_000_000_002
    assert (setup.updater.counts.read, setup.updater.counts.applied, setup.updater.counts.dead) == (4, 3, {"wrong_encoding": 1})


def test_a_null_record_is_refused_as_such(tmp_path: Path) -> None:
    """It is no empty text: its dead letter says so."""
    setup = Setup(tmp_path)
    setup.log.records.append(Record(None, 0, 0, 1_600_000_000_000, None))
    setup.updater.run(until_caught_up=True)
    (letter,) = setup.dead_letters.find()[1]
    assert (letter.reason, letter.detail) == ("malformed_json", "the record is null: it has no value")


def test_nothing_is_committed_before_both_stores_have_it(tmp_path: Path) -> None:
    """While a store is down the position stays; asked to stop, the batch is dropped and comes again."""
    setup = Setup(tmp_path)
    setup.database.failures = 10**9
    setup.log.append([GOOD % (1, 1)])
    runner = threading.Thread(target=setup.updater.run)
    runner.start()
    while setup.database.writes < 2:
        setup.stop.wait(0.01)
    setup.stop.set()
    runner.join()
    assert setup.log.committed.get("updater", 0) == 0


def test_a_store_that_was_down_is_waited_for(tmp_path: Path) -> None:
    """Back-pressure: the same batch again, nothing skipped, and it is said once."""
    setup = Setup(tmp_path)
    setup.database.failures = 3
    setup.log.append([GOOD % (1, 1)])
    setup.updater.run(until_caught_up=True)
    assert setup.log.committed["updater"] == 1
    assert setup.database.read(["d1"])


def test_a_bad_deploy_stops_the_job(tmp_path: Path) -> None:
    """95 % of the last 1,000 refused: a clear error, and the batch is not drained into the dead letters."""
    setup = Setup(tmp_path, batch_records=10_000)
    setup.log.append([GOOD % (1, 1)] * 40 + [b"{"] * 960)
    with pytest.raises(TooManyBad, match="950 of the last 1000 records were refused, the last one as malformed_json"):
        setup.updater.run(until_caught_up=True)
    assert setup.dead_letters.find()[0] == 0
    assert setup.log.committed.get("updater", 0) == 0


def test_just_below_the_limit_goes_on(tmp_path: Path) -> None:
    """949 in every 1,000, and any number in fewer than 1,000."""
    setup = Setup(tmp_path)
    setup.log.append(([GOOD % (1, 1)] * 51 + [b"{"] * 949) * 3)
    setup.updater.run(until_caught_up=True)
    assert setup.updater.counts.dead == {"malformed_json": 949 * 3}
    small = Setup(tmp_path / "small")
    small.log.append([b"{"] * 999)
    small.updater.run(until_caught_up=True)
    assert small.updater.counts.dead == {"malformed_json": 999}


def test_a_record_refused_again_is_not_doubled(tmp_path: Path) -> None:
    """After a crash between dead letter and commit the record comes again, with the same id."""
    for _ in range(2):
        setup = Setup(tmp_path)
        setup.log.append([b"{"])
        setup.updater.run(until_caught_up=True)
    assert setup.dead_letters.find()[0] == 1


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, a minute at most."""
    for _ in range(60_000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError


def test_two_batches_are_written_while_the_next_is_read_and_committed_in_their_order(tmp_path: Path) -> None:
    """The second is done first: nothing is committed before the first is."""
    setup = Setup(tmp_path, batch_records=1, database=Slow)
    setup.log.append([GOOD % (1, 1), GOOD % (2, 1), GOOD % (3, 1)])
    assert (setup.updater.step(0), setup.updater.step(0)) == (1, 1)
    until(lambda: len(setup.database.begun) == 2)
    setup.database.gates[1].set()
    until(lambda: bool(setup.cache.read(["d2"]) or setup.cache.read(["d1"])))
    assert setup.log.committed.get("updater", 0) == 0
    setup.database.gates[0].set()
    assert setup.updater.step(0) == 1
    assert setup.log.committed["updater"] == 1
    assert setup.updater.step(0) == 0, "a step that reads nothing waits for no batch: a record may come meanwhile"
    setup.database.gates[2].set()
    until(lambda: setup.updater.step(0) == 0 and setup.log.committed["updater"] == 3)
    assert setup.updater.counts.applied == 3
    setup.updater.close()


def test_a_batch_that_fails_is_written_again_before_what_came_after_it_is_committed(tmp_path: Path) -> None:
    """The first batch fails while the second is written. No third thread needs a connection of its own to repeat it."""
    setup = Setup(tmp_path, batch_records=1, database=Slow)
    setup.database.down["d1"] = 1
    for gate in setup.database.gates:
        gate.set()
    setup.log.append([GOOD % (1, 1), GOOD % (2, 1)])
    setup.updater.run(until_caught_up=True)
    assert sorted(setup.database.begun) == [["d1"], ["d1"], ["d2"]]  # and d2 once: nothing that went well is written again
    assert setup.log.committed["updater"] == 2
    assert setup.cache.read(["d1", "d2"]).keys() == {"d1", "d2"}
    assert setup.database.threads_seen <= {"write_0", "write_1"}
    setup.updater.close()


def stop_with_two_begun(setup: Setup) -> None:
    """Run until both batches are being written, ask to stop, then let them go on."""
    runner = threading.Thread(target=setup.updater.run)
    runner.start()
    until(lambda: len(setup.database.begun) == 2)
    setup.stop.set()
    for gate in setup.database.gates:
        gate.set()
    runner.join()
    setup.updater.close()


def test_what_was_begun_is_dropped_when_a_store_is_down_and_it_is_to_stop(tmp_path: Path) -> None:
    """Neither batch is committed; both come again."""
    setup = Setup(tmp_path, batch_records=1, database=Slow)
    setup.database.down.update(d1=8, d2=8)
    setup.log.append([GOOD % (1, 1), GOOD % (2, 1)])
    stop_with_two_begun(setup)
    assert setup.log.committed.get("updater", 0) == 0


def test_what_was_begun_is_finished_when_it_is_to_stop(tmp_path: Path) -> None:
    """A stop loses no work that is done already."""
    setup = Setup(tmp_path, batch_records=1, database=Slow)
    setup.log.append([GOOD % (1, 1), GOOD % (2, 1)])
    stop_with_two_begun(setup)
    assert setup.log.committed["updater"] == 2


def test_a_bad_deploy_finishes_what_was_begun_before_it(tmp_path: Path) -> None:
    """The batch that is over the limit is not committed; those before it are."""
    setup = Setup(tmp_path, batch_records=2, window=2, limit=0.5, database=Slow)
    setup.log.append([GOOD % (1, 1), GOOD % (1, 2), b"{", b"{"])
    setup.updater.step(0)
    for gate in setup.database.gates:
        gate.set()
    with pytest.raises(TooManyBad):
        setup.updater.step(0)
    assert setup.log.committed["updater"] == 2
    setup.updater.close()


def test_many_bytes_are_not_held_under_way(tmp_path: Path) -> None:
    """A batch of more than 8 MiB is finished before the next is read."""
    setup = Setup(tmp_path, batch_records=140, database=Slow)
    for gate in setup.database.gates:
        gate.set()
    setup.log.append([GOOD[:-1] % (1, 1) + b',"fcm_token":"' + b"x" * 65_000 + b'"}'] * 140)
    setup.updater.step(0)
    assert setup.log.committed["updater"] == 140
    setup.updater.close()
