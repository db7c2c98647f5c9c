"""`digests` on real servers: cache, database and backup of one fleet have one digest, and a difference is named."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from devicesync.jobs.digests.file import load
from tests.end_to_end.command import Devicesync, until
from tests.integration.real import Real, erase, registration

V = 1_700_000_000_000_000
DEVICES = 3000


@pytest.fixture
def filled(real: Real, devicesync: Devicesync) -> Devicesync:
    """Commands on stores and a topic that hold the devices; each tenth is erased."""
    for start in range(0, DEVICES, 500):
        some = range(start, start + 500)
        real.send(*[registration(f"d-{at}", V + at, city="Pune", uaspec={"agent": "x"}, first_access=V // 1000) for at in some])
        real.send(*[erase(f"d-{at}", V + at + 1) for at in some if at % 10 == 0])
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    return devicesync


def test_cache_database_and_backup_are_compared(filled: Devicesync, real: Real) -> None:
    """All alike at first; then one device is made to differ in each."""
    assert filled.run("backup", "run", "--to", "kept", "--until-caught-up").returncode == 0
    made: dict[str, Any] = {}
    for of in ("cache", "database", "kept"):
        made[of] = filled.json("digests", "make", f"{of}.digests", "--of", of)
        assert (made[of]["profiles"], made[of]["erased"]) == (DEVICES * 9 // 10, DEVICES // 10)
    assert len({each["profiles_digest"] for each in made.values()}) == 1
    assert len({each["erased_digest"] for each in made.values()}) == 1
    client: Any = real.cache._connections.client  # type: ignore[attr-defined]
    client.hset("d-1", mapping={"city": "Nowhere"})
    client.delete("d-2", "d-10")  # d-10 is erased, so it need not be there
    client.hset("foreign", mapping={"state": ""})
    driver: Any = real.database._driver
    driver.query(f"UPDATE {real.keyspace}.device_profile SET city = 'Elsewhere' WHERE device_id = 'd-3'")
    filled.json("digests", "make", "cache.digests", "--of", "cache")
    filled.json("digests", "make", "database.digests")
    filled.json("digests", "make", "cache.digests", "--of", "cache", "--against", "database.digests")
    filled.json("digests", "make", "database.digests", "--against", "cache.digests")
    told = filled.json("digests", "compare", "cache.digests", "database.digests", status=1)
    kinds = {each["device_id"]: each["kind"] for each in told["devices"]}
    assert kinds == {"d-1": "content_differs", "d-2": "missing_in_one", "d-3": "content_differs"}
    filled.json("digests", "make", "kept.digests", "--of", "kept", "--against", "database.digests")
    told = filled.json("digests", "compare", "kept.digests", "database.digests", status=1)
    assert (told["buckets"], [each["device_id"] for each in told["devices"]]) == (1, ["d-3"])


def test_an_interrupted_run_goes_on(filled: Devicesync, tmp_path: Path) -> None:
    """Killed in the middle, it reads the parts that are left."""
    unfinished = tmp_path / "file.work" / "parts" / "digests"
    process = filled.start("digests", "make", "file", "--on", "processes:1", "--rate", "300", ready=False)
    until(lambda: unfinished.exists() and load(unfinished).done)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done, began_ms = load(unfinished).done, load(unfinished).as_of_ms
    assert 0 < len(done) < 256
    went_on = filled.run("digests", "make", "file")
    assert f"going on: {len(done)} of 256 parts".encode() in went_on.stderr
    file = load(tmp_path / "file")
    assert (file.is_whole, file.digests.profiles.all[0], file.as_of_ms) == (True, DEVICES * 9 // 10, began_ms)
    assert began_ms < time.time_ns() // 1_000_000
    assert not unfinished.exists()
