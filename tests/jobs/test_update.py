"""The updater over ports: commits after both stores, dead letters, the limit, back-pressure, stopping."""

import threading
from collections.abc import Mapping
from pathlib import Path

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


class Setup:
    def __init__(self, directory: Path, *, batch_records: int = 100, limit: float = 0.95, window: int = 1000) -> None:
        self.log = MemoryLog()
        self.cache = MemoryCache()
        self.database = Flaky(directory / "database")
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
