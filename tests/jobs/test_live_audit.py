"""The live audit over ports: when it looks, what counts, what a repair does."""

import threading
from pathlib import Path

import pytest

from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.jobs.audit.difference import Difference
from devicesync.jobs.audit.live import READER, LiveAudit
from devicesync.jobs.batch import join_events
from devicesync.law.event import decode
from devicesync.law.state import state_of
from devicesync.log.memory import MemoryLog
from devicesync.stores import Stores

BEGAN_MS = 1_700_000_000_000


class Clock:
    """Time that passes when it is told to."""

    at_ms = BEGAN_MS

    def now_us(self) -> int:
        return self.at_ms * 1000

    def monotonic(self) -> float:
        return self.at_ms / 1000

    def now_ms(self) -> int:
        return self.at_ms

    def sleep(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


class SharedCache(MemoryCache):
    """One that others fill."""

    is_private = False


class Audited:
    """A log, two stores, an audit of them, and whoever writes into both."""

    def __init__(self, directory: Path, *, repairs: bool = False, one_in: int = 1) -> None:
        self.clock = Clock()
        self.log = MemoryLog(self.clock.now_ms)
        self.stores = Stores(SharedCache(), SqliteDatabase(directory / "database"))
        self.found: list[tuple[str, str, bool]] = []
        self.job = LiveAudit(
            self.log.reader(READER),
            self.stores,
            stop=threading.Event(),
            one_in=one_in,
            repairs=repairs,
            found=self._heard,
            clock=self.clock,
        )

    def register(self, device: str, city: str, *, writes: bool = True) -> bytes:
        """A registration in the log, and unless told otherwise in both stores."""
        value = b'{"device_id":"%s","city":"%s","version":%d}' % (device.encode(), city.encode(), self.clock.now_us())
        self.log.append([value])
        if writes:
            self.write(value)
        return value

    def write(self, value: bytes) -> None:
        self.stores.write(join_events([decode(value, taken_ms=self.clock.now_ms())]))

    def after(self, seconds: float) -> None:
        """Time passes, then the audit does what there is to do."""
        self.clock.sleep(seconds)
        self.job.step(0)

    def _heard(self, difference: Difference, is_mended: bool) -> None:  # noqa: FBT001 - as LiveAudit tells it
        self.found.append((difference.device_id, difference.kind, is_mended))


@pytest.fixture
def audited(tmp_path: Path) -> Audited:
    return Audited(tmp_path)


def test_what_arrived_is_looked_at_after_a_second(audited: Audited) -> None:
    """Not before; and dead letters are nobody's business."""
    audited.register("a", "Pune")
    audited.log.append([b"not JSON"])
    audited.after(0.5)
    assert (audited.job.findings.checked, audited.job.waiting) == (0, 1)
    audited.after(0.5)
    assert (audited.job.findings.checked, audited.job.waiting, audited.job.findings.differing) == (1, 0, 0)
    audited.job.run(until_caught_up=True)


def test_what_comes_late_does_not_count(audited: Audited) -> None:
    """It is looked at again at 10 s, and at 60 s."""
    values = [audited.register(device, "Pune", writes=False) for device in "ab"]
    audited.after(1)
    assert audited.job.findings.checked == 0
    audited.write(values[0])
    audited.after(9)
    assert (audited.job.findings.checked, audited.job.waiting) == (1, 1)
    audited.write(values[1])
    audited.after(50)
    assert (audited.job.findings.checked, audited.job.findings.differing, audited.found) == (2, 0, [])


def test_what_never_comes_counts_once(audited: Audited) -> None:
    """In the database, or in the cache alone."""
    audited.register("lost", "Pune", writes=False)
    audited.register("dropped", "Pune")
    audited.register("old", "Pune")
    audited.clock.sleep(0.001)
    audited.register("old", "Agra", writes=False)
    audited.stores.cache.forget(["dropped"])
    for seconds in (1, 9, 49):
        audited.after(seconds)
    assert audited.found == []
    audited.after(1)
    assert sorted(audited.found) == [
        ("dropped", "missing_in_cache", False),
        ("lost", "missing_in_database", False),
        ("old", "stale_in_database", False),
    ]
    assert (audited.job.findings.checked, audited.job.findings.differing, audited.job.findings.left) == (4, 3, 3)


def test_a_device_that_goes_on_changing_is_no_difference(audited: Audited) -> None:
    """Each look finds the newest change on its way into the cache."""
    audited.register("busy", "Pune")
    for seconds in (1, 9, 50):
        audited.clock.sleep(seconds - 0.5)
        audited.write(audited.register("busy", f"city {seconds}"))
        audited.clock.sleep(0.5)
        newest = audited.register("busy", f"city {seconds}+", writes=False)
        audited.stores.database.merge(join_events([decode(newest, taken_ms=audited.clock.now_ms())]))
        audited.job.step(0)
        audited.write(newest)
    assert (audited.job.findings.differing, audited.job.findings.moving) == (0, 1)


def test_a_repair_mends_what_lasted(tmp_path: Path) -> None:
    """And says so."""
    audited = Audited(tmp_path, repairs=True)
    value = audited.register("a", "Pune")
    audited.stores.cache.forget(["a"])
    other = decode(value.replace(b"Pune", b"Nowhere"), taken_ms=BEGAN_MS)
    audited.stores.cache.merge({"a": state_of(other)}, audited.stores.cache.look(["a"]).tickets)
    for seconds in (1, 9, 50):
        audited.after(seconds)
    assert audited.found == [("a", "content_differs", True)]
    assert (audited.job.findings.repaired, audited.job.findings.left) == (1, 0)
    assert audited.stores.cache.read(["a"]) == audited.stores.database.read(["a"])


def test_a_sample_and_the_past(tmp_path: Path) -> None:
    """Events of long ago are looked at when they are read; one in so many."""
    audited = Audited(tmp_path, one_in=4)
    for number in range(400):
        audited.register(f"d{number}", "Pune")
    audited.clock.sleep(3600)
    audited.job.step(0)
    assert 40 < audited.job.findings.checked < 200
