"""The simulated servers, what befalls them, and how a process of the real code is made on them."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import OneServer
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl, sending
from devicesync.database.cassandra.call import Call
from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import Event
from devicesync.law.facets import DECLARED, FIELDS, MAP_FIELDS, SLICES
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.stores import Stores
from tests.histories.history import LOOKS_LIKE_OURS_US
from tests.law.strategies import BASE_US
from tests.simulation.backup_place import BackupPlace
from tests.simulation.cassandra import GC_GRACE_S, GatedDriver, PeekingDriver, Ring, RingDriver
from tests.simulation.clocks import ProcessClock, Stop, Time
from tests.simulation.dead_letters import KeptDeadLetters
from tests.simulation.disk import IN_MEMORY
from tests.simulation.gated import GatedDatabase
from tests.simulation.kafka_broker import Broker
from tests.simulation.plan import Happening, Settings
from tests.simulation.redis_client import GatedConnections, SimulatedClient
from tests.simulation.redis_server import RedisServer
from tests.simulation.scheduler import Process

GROUP = "devicesync"
_TOPIC = KafkaUrl.parse("kafka://simulated/dev.events.deviceprofile")
_KEYSPACE = CassandraUrl.parse("cassandra://simulated/dev_device_db")
_MS = {"first_access", "user_declared_on", "api_last_updated_on", "updated_date"}
_DAY_US = 86_400_000_000


class World:
    """The servers of a history, and the names of its devices.

    answers: what servers have answered to processes, for who wants to compare.
    """

    def __init__(self, settings: Settings, devices: int, prefix: str = "device-", place: CassandraUrl = _KEYSPACE) -> None:
        self.answers: list[Any] = []
        self._place = place
        self.settings = settings
        self.time = Time()
        self.names = [f"{prefix}{number}" for number in range(devices)]
        self.redis = RedisServer(self.time.now_ms)
        self.ring = Ring(self.time.now_s, replicas=settings.replicas, release=settings.release)
        self.broker = Broker(
            _TOPIC.topic,
            settings.partitions,
            self.time.now_ms,
            wait=self.time.wait,
            has_append_time=settings.has_append_time,
            has_lives=settings.has_lives,
        )
        self.dead = KeptDeadLetters()
        self.backup = BackupPlace(_TOPIC.topic)
        self.failed_over = False
        self._peeking: dict[tuple[int, ...], CassandraDatabase] = {}
        self.connections, self.driver = self._servers()
        self._directory = Path(tempfile.mkdtemp(prefix="simulation-", dir=IN_MEMORY)) if settings.embedded else None
        self._sqlite = SqliteDatabase(self._directory / "device-profile.db") if self._directory else None
        self.quiet = Stores(self._cache(self.connections), self._sqlite or CassandraDatabase(self._place, self.driver))
        if isinstance(self.quiet.database, CassandraDatabase):
            self.quiet.database.create()
        sending._MANY_DEVICES = 2 if settings.torn else 200

    def stores(self, clock: ProcessClock) -> Stores:
        """Both stores, as a process opens them."""
        cache = self._cache(GatedConnections(self.connections))
        if self._sqlite:
            return Stores(cache, GatedDatabase(self._sqlite), clock)
        database = CassandraDatabase(self._place, GatedDriver(self.driver), clock)
        database.ranges = 1
        return Stores(cache, database, clock)

    def log(self, clock: ProcessClock) -> KafkaLog:
        """The log, as a process opens it."""
        return KafkaLog(_TOPIC, GROUP, clock)

    def befalls(self, happening: Happening, processes: Sequence["Living"]) -> None:
        """Something happens."""
        what, number = happening
        one = processes[number % len(processes)]
        is_guarded = self.settings.has_append_time  # else readers guard by their own clocks, which then must be about right
        happens: dict[str, Callable[[], None]] = {
            "evict": lambda: self.evict(self.names[number % len(self.names)]),
            "flush": self.redis.flush,
            "late": lambda: self._deliver(number),
            "scripts": self.connections.client.script_flush,
            "time": lambda: self._pass_by(number * 400_000),
            "kick": lambda: self._kick(number),
            "full": lambda: self._fill(is_full=not self.redis.is_full),
            "down": self._take_down,
            "clock": lambda: one.clock.step((number - 30) * (30 if number % 3 == 0 and is_guarded else 2) * 1_000_000),
            "stop": one.stop.set,
            "fail over": lambda: self._fail_over(number),
            "ten days": lambda: self._ten_days(processes),
            "hours": lambda: self._pass_by(number * 3_600_000_000),
            "disk": self.backup.fill_disk,
            "retain": lambda: self._retain(number),
            "anew": lambda: self._make_anew(number),
        }
        happens[what]()

    def hash_of(self, name: str) -> dict[str, str]:
        """The hash of a device, as HGETALL gives it."""
        found: dict[str, str] = self.connections.client.hgetall(name)
        return found

    def evict(self, name: str) -> None:
        """The cache loses a device."""
        self.connections.client.delete(name)

    def write_old(self, name: str, event: Event) -> None:
        """A row as another job writes it: the fields that have a value, under the wall clock; no deletions, no stamps."""
        columns = old_columns(event)
        self.driver.run([[Call(_old_statement(tuple(columns)), [name, *columns.values(), event.version])]])

    def peek(self, asked: tuple[int, ...]) -> CassandraDatabase:
        """The database as it is in some replicas, which learn nothing by that."""
        if asked not in self._peeking:
            self._peeking[asked] = CassandraDatabase(self._place, PeekingDriver(self.ring, asked))
        return self._peeking[asked]

    def calm(self) -> None:
        """Nothing is wrong any more: the servers work, and whoever is gone has been found out."""
        self.redis.is_full = self.ring.is_down = False
        self.broker.make()
        self.backup.calm()
        for group in self.broker.groups.values():
            for member in [*group.members]:
                group.remove(member)

    def close(self) -> None:
        """Remove what is on disk."""
        self.quiet.close()
        self.backup.close()
        if self._directory:
            shutil.rmtree(self._directory)

    def _servers(self) -> tuple[Any, Any]:
        """The way to Redis, and Cassandra's driver."""
        return OneServer(SimulatedClient(self.redis)), RingDriver(self.ring)

    def _cache(self, connections: Any) -> RedisCache:
        seconds = self.settings.ttl_ms / 1000
        return RedisCache(connections, tombstone_ttl_seconds=seconds, profile_ttl_seconds=seconds)

    def _pass_by(self, us: int) -> None:
        self.time.pass_by(us)
        self.redis.expire()

    def _deliver(self, number: int) -> None:
        self.ring.deliver(number)
        self.backup.store.deliver(number)

    def _retain(self, number: int) -> None:
        """The log loses its oldest records, of one partition."""
        partition = self.broker.partitions[number % len(self.broker.partitions)]
        partition.forget(number // 15)

    def _make_anew(self, number: int) -> None:
        """The log's topic is deleted and made anew, now and then after a while, and with other partitions."""
        if not self.broker.is_gone:
            self.broker.delete(keeps_commits=bool(number % 5))
            if number % 4 == 0:
                return
        self.broker.make(1 + number // 20)

    def _kick(self, number: int) -> None:
        """A member of a group was not heard of for too long; it may still be at work."""
        groups = [group for group in self.broker.groups.values() if group.members]
        if groups:
            group = groups[number % len(groups)]
            group.remove([*group.members][number % len(group.members)])

    def _fill(self, *, is_full: bool) -> None:
        self.redis.is_full = is_full

    def _take_down(self) -> None:
        self.ring.is_down = not self.ring.is_down

    def _fail_over(self, lost_writes: int) -> None:
        self.redis.fail_over(lost_writes % 8)
        self.failed_over = True

    def _ten_days(self, processes: Sequence["Living"]) -> None:
        """All processes end, the ring is repaired, and what was deleted is forgotten after gc_grace."""
        for process in processes:
            process.is_dead = process.is_over = True
        self.ring.repair()
        self._pass_by(GC_GRACE_S * 1_000_000 + _DAY_US)
        self.ring.compact()
        self.calm()


def old_columns(event: Event) -> dict[str, Any]:
    """The columns of another job's row, and their values."""
    updated_on = event.api_last_updated_on
    early_ms = 0 if (event.version - BASE_US) % 700 == LOOKS_LIKE_OURS_US else 1
    columns: dict[str, Any] = {
        field: msgspec.json.decode(text) if field in MAP_FIELDS else text
        for field, text in zip(FIELDS, event.values, strict=True)
        if text
    }
    columns |= {
        "updated_date": event.version // 1000 - early_ms,
        "api_last_updated_on": updated_on,
        "first_access": event.first_access,
    }
    if any(event.values[SLICES[DECLARED]]):
        columns["user_declared_on"] = min(updated_on or event.version // 1000, event.version // 1000)
    return {column: value for column, value in columns.items() if value}


def _old_statement(columns: tuple[str, ...]) -> str:
    marks = ["blobAsTimestamp(bigintAsBlob(?))" if column in _MS else "?" for column in columns]
    names = ", ".join(["device_id", *columns])
    return f"INSERT INTO {{keyspace}}.device_profile ({names}) VALUES ({', '.join(['?', *marks])}) USING TIMESTAMP ?"


class Living(Process):
    """A process with what is its own: a clock and a way to be stopped."""

    def __init__(self, world: World, name: str, work: Callable[["Living"], None], trace: Callable[[str], None]) -> None:
        super().__init__(name, lambda: work(self), trace)
        self.clock = ProcessClock(world.time)
        self.stop: Any = Stop(world.time)
        self.told = world.answers.append
        self.group = ""
