"""Batch.apply: records of any engine into both stores, in one call."""

from contextlib import closing
from pathlib import Path

import pytest

from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import TooManyBad, Unavailable
from devicesync.jobs.batch import Batch
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.log.port import Record
from devicesync.stores import Stores
from tests.jobs.test_update import Flaky

TAKEN_MS = 1_700_000_000_000


def records(*values: bytes | None) -> list[Record]:
    return [Record(value, 3, offset, TAKEN_MS, TAKEN_MS, b"key") for offset, value in enumerate(values)]


MIXED = records(
    b'{"device_id":"one","version":1600000000000002,"city":"Pune"}',
    b'{"device_id":"one","version":1600000000000001,"city":"Agra","fcm_token":"t"}',
    b"{",
    b'{"device_id":"two"}',
    b'{"device_id":"far","version":1800000000000000}',
)


def test_both_stores_have_it_and_the_refused_come_back_whole(tmp_path: Path) -> None:
    """Joined per device; the log's own time gives a version; the guard is the time at which the log took the record."""
    with closing(Stores(MemoryCache(), SqliteDatabase(tmp_path / "d.db"))) as stores:
        folded = Batch(stores, source="mine").apply(MIXED)
        assert folded.applied == 3
        assert folded.changes.keys() == {"one", "two"}
        assert stores.cache.read(["one", "two", "far"]) == stores.database.read(["one", "two", "far"]) == folded.changes
        assert folded.changes["two"].version // 1000 == TAKEN_MS
    assert [
        (letter.reason, letter.value, letter.source, letter.partition, letter.offset, letter.key) for letter in folded.dead
    ] == [
        ("malformed_json", b"{", "mine", 3, 2, b"key"),
        ("version_in_future", MIXED[4].value, "mine", 3, 4, b"key"),
    ]


def test_a_store_that_is_down_is_the_caller_s_to_wait_for(tmp_path: Path) -> None:
    """Unavailable comes out; the same call, repeated, does all of it."""
    database = Flaky(tmp_path / "d.db")
    database.failures = 1
    with closing(Stores(MemoryCache(), database)) as stores:
        batch = Batch(stores, source="mine")
        with pytest.raises(Unavailable, match="it is down"):
            batch.apply(MIXED)
        assert batch.apply(MIXED).applied == 3
        assert stores.read("one").version == 1_600_000_000_000_002


def test_nothing_stops_it_unless_it_is_told_when(tmp_path: Path) -> None:
    """An engine of one's own decides by what comes back; with a RefusalLimit the call stops, before anything is written."""
    bad = records(*[b"{"] * 20, b'{"device_id":"one","version":1600000000000002}')
    with closing(Stores(MemoryCache(), SqliteDatabase(tmp_path / "d.db"))) as stores:
        with pytest.raises(TooManyBad):
            Batch(stores, source="mine", refusal_limit=RefusalLimit(0.9, 10, 0)).apply(bad)
        assert stores.database.read(["one"]) == {}
        assert len(Batch(stores, source="mine").apply(bad).dead) == 20
        assert stores.database.read(["one"]) != {}
