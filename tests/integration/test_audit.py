"""`audit --sweep` on real servers: what is planted is found, nothing else is, and --repair mends all of it, under live traffic."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync.law.event import decode
from devicesync.law.state import state_of
from tests import servers
from tests.contract.stores import redis_at, redis_url
from tests.end_to_end.command import Devicesync, until
from tests.integration.real import Real, erase, registration

V = 1_700_000_000_000_000
EACH = 5
DEVICES = 2000


def state(record: bytes) -> Any:
    return state_of(decode(record, taken_ms=V // 1000))


class Planted:
    """Devices of which the stores are made to differ, EACH in every way."""

    def __init__(self, real: Real) -> None:
        self.real = real
        self.client: Any = real.cache._connections.client  # type: ignore[attr-defined]
        self.kinds: dict[str, str] = {}
        self._numbers = iter(range(DEVICES))

    def register(self) -> None:
        """Every device; each tenth is erased, and each twentieth registers anew after that."""
        for start in range(0, DEVICES, 500):
            some = range(start, start + 500)
            self.real.send(*[registration(f"p-{at}", V + at, city="Pune", state="MH", uaspec={"agent": "x"}) for at in some])
            self.real.send(*[erase(f"p-{at}", V + at + 1) for at in some if at % 10 == 0])
            self.real.send(*[registration(f"p-{at}", V + at + 9, city="Agra") for at in some if at % 20 == 0])

    def take(self, kind: str, *, is_erased: bool = False) -> list[str]:
        """The next devices, to be made to differ in that way."""
        fitting = (at for at in self._numbers if (at % 20 == 10 if is_erased else at % 10))
        names = [f"p-{next(fitting)}" for _ in range(EACH)]
        self.kinds |= dict.fromkeys(names, kind)
        return names

    def cql(self, statement: str) -> None:
        """What somebody types into cqlsh."""
        driver: Any = self.real.database._driver
        driver.query(statement.format(table=f"{self.real.keyspace}.device_profile"))

    def plant(self) -> None:
        """Everything."""
        self.client.delete(*self.take("missing_in_cache"))
        for name in self.take("missing_in_cache"):  # the old telemetry job's blanks, in hashes without a state, to expire
            self.client.delete(name)
            self.client.hset(name, mapping={"state": "", "district": ""})
            self.client.expire(name, 3600)
        for name in self.take("missing_in_cache"):
            self.client.hset(name, mapping={"uaspec": "{'agent'"})
        for name in self.take("missing_in_database"):
            self.cql(f"DELETE FROM {{table}} WHERE device_id = '{name}'")
        for name in self.take("stale_in_cache"):
            self.client.hset(name, mapping={"version": str(V - 5), "city": "Old"})
        for name in self.take("stale_in_database"):  # the cache alone has it
            self.real.cache.merge({name: state(registration(name, V + 5_000, city="Delhi"))})
        for name in self.take("content_differs"):
            self.client.hset(name, mapping={"city": "Nowhere"})
        for name in self.take("content_differs"):
            self.cql(f"UPDATE {{table}} SET city = 'Elsewhere' WHERE device_id = '{name}'")
        for name in self.take("resurrected", is_erased=True):
            self.client.hset(name, mapping={"city": "Pune", "api_last_updated_on": "1700000000000"})
        for name in self.take("expiring"):
            self.client.expire(name, 86_400)

    def counts(self) -> dict[str, int]:
        """How many of each kind there are."""
        kinds = [*self.kinds.values()]
        return {kind: kinds.count(kind) for kind in kinds}


@pytest.fixture
def planted(real: Real, devicesync: Devicesync) -> Planted:
    """Devices that both stores know."""
    devices = Planted(real)
    devices.register()
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    return devices


def test_what_is_planted_is_found_and_repaired_under_live_traffic(devicesync: Devicesync, real: Real, planted: Planted) -> None:
    """All of it, nothing else; and the next sweep is clean."""
    real.start_updater()
    loading = real.load(12_000)
    planted.plant()
    found = devicesync.json("audit", "--sweep", "--list", status=1)
    assert found["differences"] | {"expiring": found["expiring"]} == planted.counts()
    assert {each["device_id"]: each["kind"] for each in found["devices"]} == planted.kinds
    assert found["checked"] >= DEVICES
    repaired = devicesync.json("audit", "--repair")
    assert (repaired["repaired"], repaired["differences"]) == (len(planted.kinds), found["differences"])
    loading.join()
    clean = devicesync.json("audit", "--on", "processes:3")
    assert (sum(clean["differences"].values()), clean["expiring"], clean["devices"]) == (0, 0, [])
    assert clean["bound_95"] == 3 / clean["checked"]
    real.wait_until_caught_up()
    real.stop_updaters()
    assert [each for each in real.differences() if not each.split()[1].startswith("p-")] == []
    assert {name: held.profile_version for name, held in real.cache.read([*planted.kinds]).items()} == {
        name: stored.profile_version for name, stored in real.database.read([*planted.kinds]).items()
    }


def test_a_list_for_people_shows_both_sides(devicesync: Devicesync, planted: Planted) -> None:
    """With their versions; and an erased device that the cache has dropped is no difference."""
    planted.client.hset("p-1", mapping={"city": "Nowhere"})
    planted.client.delete("p-10")
    done = devicesync.run("audit", "--list")
    shown = done.stdout.decode().splitlines()
    assert done.returncode == 1
    assert shown[0] == "p-1  content_differs"
    assert shown[1:3] == [
        f"    cache     version {V + 1}  city 'Nowhere'",
        f"    database  version {V + 1}  city 'Pune'",
    ]
    assert f"{DEVICES:,} checked, 1 differ" in shown[3]


def test_an_interrupted_sweep_goes_on(devicesync: Devicesync, planted: Planted) -> None:
    """Killed in the middle, it does the parts that are left."""
    planted.client.delete("p-1", "p-999")
    process = devicesync.start("audit", "--on", "processes:1", "--rate", "100", ready=False)
    progress = devicesync.directory / "devicesync-data" / "audit.json"

    def parts() -> int:
        results = msgspec.json.decode(progress.read_bytes())["results"] if progress.exists() else {}
        return sum(name.startswith("1/") for name in results)

    until(parts)
    process.kill()
    process.wait()
    assert 0 < parts() < 256
    found = devicesync.json("audit", status=1)
    assert (found["resumed"], found["checked"]) == (True, DEVICES)
    assert sorted(each["device_id"] for each in found["devices"]) == ["p-1", "p-999"]
    assert not progress.exists()


def test_a_sample_is_a_share(devicesync: Devicesync, planted: Planted) -> None:
    """About one in so many, of both stores."""
    assert planted.real
    sample = devicesync.json("audit", "--sample", "16")
    assert 0 < sample["checked"] < DEVICES / 4


@pytest.mark.parametrize("kind", ["redis", "redis-cluster"])
def test_sqlite_beside_a_cache_of_several_processes(tmp_path: Path, kind: str) -> None:
    """One range, every node: what only the cache has, what it lacks, and what another program wrote; repaired beside an `up`."""
    url = f"redis+cluster://127.0.0.1:{servers.redis_cluster().servers[0].port}" if "cluster" in kind else redis_url()
    cache = redis_at(url)
    for node in cache._connections.clients():
        node.flushall()
    commands = Devicesync(tmp_path)
    lines = b"".join(registration(f"d{at}", V + at, city="Pune") + b"\n" for at in range(300))
    settings = ("--cache", url)
    commands.json("apply", "-", *settings, stdin=lines)
    assert commands.json("audit", *settings)["checked"] == 300
    only_there = {"lost": state(registration("lost", V, city="Agra"))}
    cache.merge(only_there, cache.look([*only_there]).tickets)
    cache.forget(["d1", "d2"])
    cache.replace(
        {"d3": state(registration("d3", V + 3, city="Nowhere"))}, {name: seen.mark for name, seen in cache.seen(["d3"]).items()}
    )
    found = commands.json("audit", *settings, status=1)
    assert {each["device_id"]: each["kind"] for each in found["devices"]} == {
        "lost": "missing_in_database",
        "d1": "missing_in_cache",
        "d2": "missing_in_cache",
        "d3": "content_differs",
    }
    up = commands.start("up", *settings)
    assert commands.json("audit", "--repair", *settings)["repaired"] == 4
    clean = commands.json("audit", *settings)
    assert (clean["checked"], sum(clean["differences"].values())) == (301, 0)
    assert commands.json("get", "lost", "--from", "database", *settings)["profile"]["city"] == "Agra"
    up.kill()
    commands.stop_all()
    cache.close()
