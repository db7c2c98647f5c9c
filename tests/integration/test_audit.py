"""`audit --sweep` on real servers: what is planted is found, nothing else is, and --repair mends all of it, under live traffic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync.law.event import decode
from devicesync.law.state import state_of
from tests import servers
from tests.contract.stores import redis_at
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
    repaired = devicesync.run("audit", "--repair", "--list")
    shown = repaired.stdout.decode().splitlines()
    assert repaired.returncode == 0, shown
    wanted = iter(["{}  content_differs", "    cache     version {}  city 'Nowhere'", "    database  version {}  city 'Pune'"])
    name = next(name for name, kind in planted.kinds.items() if kind == "content_differs")
    at = shown.index(next(wanted).format(name))
    assert shown[at + 1 : at + 3] == [line.format(V + int(name[2:])) for line in wanted]
    assert f"  {len(planted.kinds):,} repaired, 0 left" in shown
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


def test_an_interrupted_sweep_goes_on(devicesync: Devicesync, planted: Planted) -> None:
    """Killed in the middle, it does the parts that are left."""
    planted.client.delete("p-10")  # it is erased, so it need not be there
    process = devicesync.start("audit", "--on", "processes:1", "--rate", "100", ready=False)
    progress = devicesync.directory / "devicesync-data" / "audit.json"

    def parts() -> int:
        results = msgspec.json.decode(progress.read_bytes())["results"] if progress.exists() else {}
        return sum(name.startswith("1/") for name in results)

    until(parts)
    process.kill()
    process.wait()
    assert 0 < parts() < 256
    done = devicesync.run("audit")
    shown = done.stdout.decode()
    assert (done.returncode, f"{DEVICES:,} checked, 0 differ" in shown, b"going on: " in done.stderr) == (0, True, True)
    assert " s, partly as of 20" in shown
    assert not progress.exists()


def test_a_sample_is_a_share(devicesync: Devicesync, planted: Planted) -> None:
    """About one in so many, of both stores."""
    assert planted.real
    sample = devicesync.json("audit", "--sample", "16")
    assert 0 < sample["checked"] < DEVICES / 4


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Devicesync]:
    """Commands on the embedded default."""
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()


def test_sqlite_beside_a_redis_cluster(embedded: Devicesync) -> None:
    """One range, every node: what only the cache has, what it lacks, and what another program wrote; repaired beside an `up`."""
    url = f"redis+cluster://127.0.0.1:{servers.redis_cluster().servers[0].port}"
    settings = ("--cache", url)
    cache = redis_at(url)
    for node in cache._connections.clients():
        node.flushall()
    lines = b"".join(registration(f"d{at}", V + at, city="Pune") + b"\n" for at in range(300))
    embedded.json("apply", "-", *settings, stdin=lines)
    assert embedded.json("audit", *settings)["checked"] == 300
    only_there = {"lost": state(registration("lost", V, city="Agra"))}
    cache.merge(only_there, cache.look([*only_there]).tickets)
    cache.forget(["d1", "d2"])
    mark = cache.seen(["d3"])["d3"].mark
    cache.replace({"d3": state(registration("d3", V + 3, city="Nowhere"))}, {"d3": mark})
    embedded.start("up", *settings)
    found = embedded.json("audit", "--repair", *settings)
    assert {each["device_id"]: each["kind"] for each in found["devices"]} == {
        "lost": "missing_in_database",
        "d1": "missing_in_cache",
        "d2": "missing_in_cache",
        "d3": "content_differs",
    }
    assert found["repaired"] == 4
    clean = embedded.json("audit", *settings)
    assert (clean["checked"], sum(clean["differences"].values())) == (301, 0)
    assert embedded.json("get", "lost", "--from", "database", *settings)["profile"]["city"] == "Agra"
    cache.close()
