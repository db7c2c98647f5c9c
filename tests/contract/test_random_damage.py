"""Random damage that another program does to Redis, at any call of ours, while the stores are used: all but a lie in our own form.

No call fails for good. In the end the database has just what the law makes of all events, and after an audit's repair so has the
cache. `python -m tests.contract.test_random_damage DATABASE FIRST COUNT` runs more lives.
"""

import random
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from structlog.testing import capture_logs

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.errors import Unavailable
from devicesync.jobs.audit.difference import kind_of, look
from devicesync.jobs.audit.repair import repair
from devicesync.law.event import MAX_BYTES, Event
from devicesync.law.facets import FIELDS, MAP_FIELDS
from devicesync.law.maps import MOST_ENTRIES
from devicesync.law.state import NOTHING, join_all, state_of
from devicesync.stores import Stores
from tests.contract.test_random_forgeries import random_event, wrong_lives

if TYPE_CHECKING:
    from collections.abc import Sequence

LIVES = 25
FIRSTS = (0, 40, 50_400)
"""50,425 has shown a map of too many entries that a look took for one of ours."""
TICKETS = b"\x1fdevicesync:tickets"
NO_TEXTS = [
    *(b"\xff\xfe", b"\xff" * 9, b"c" * (MAX_BYTES + 1), b'{"a":"' + b"v" * 300_000 + b'"}'),
    b"{" + b",".join(b'"%06d":"v"' % number for number in range(80_000)) + b"}",
]
NO_MAPS = [*NO_TEXTS, b"{" + b",".join(b'"%06d":"v"' % number for number in range(MOST_ENTRIES + 1)) + b"}", b'{"a":1}', b"[]"]
NO_STATES = [b"", b"0", b"1,2,3", b"\xff", b"0" * 1100, b"0,5" + b",9" * 6 + b",1,1,1,0,ab"]
NO_TICKETS = [b"ABC", b"", b"\xff", b"none", b"x" * 13, b"z" * 100_000]
PATIENCE = 60
"""So often a call is repeated that meets Redis in the middle of such damage."""


class Damage:
    """One device, and who damages what Redis has of it."""

    def __init__(self, stores: Stores, client: Any, seed: int) -> None:
        self._stores = stores
        self._client = client
        self._chance = random.Random(seed)
        self._name = uuid.uuid4().hex
        self._events: list[Event] = []
        self._is_calm = True

    def run(self) -> None:
        """Raises AssertionError for what is wrong in the end."""
        self._client.flushdb()
        with capture_logs(), self._at_each_call():
            for _ in range(self._chance.randint(2, 7)):
                self._use()
                if self._chance.random() < 0.4:
                    self._hurt()
        for _ in range(2):
            repair([self._name], self._stores)
        wanted = join_all(map(state_of, self._events))
        assert self._stores.database.read([self._name]).get(self._name, NOTHING) == wanted
        (sides,) = look([self._name], self._stores).values()
        assert kind_of(sides) is None
        if wanted.version:
            assert self._stores.cache.read([self._name])[self._name].registers == wanted.registers

    def _use(self) -> None:
        """Something, until it works."""
        use = self._some_use()
        for number in range(PATIENCE):
            self._is_calm = number > PATIENCE // 2
            with suppress(Unavailable):
                use()
                break
        else:
            raise AssertionError("it fails for good")
        self._is_calm = True

    def _some_use(self) -> Callable[[], object]:
        stores, names = self._stores, [self._name]
        if self._chance.random() < 0.6:
            keep = self._chance.choice([stores.write, stores.write, stores.write, stores.restore])
            state = state_of(self._event())
            return lambda: keep({self._name: state})
        return self._chance.choice(
            [
                lambda: stores.refill(names),
                lambda: stores.read(self._name),
                lambda: look(names, stores),
                lambda: repair(names, stores),
            ]
        )

    def _event(self) -> Event:
        """A new one, or one that is told again."""
        if self._events and self._chance.random() < 0.2:
            return self._chance.choice(self._events)
        self._events.append(random_event(self._chance, self._name))
        return self._events[-1]

    @contextmanager
    def _at_each_call(self) -> Iterator[None]:
        cache = self._stores.cache
        assert isinstance(cache, RedisCache)
        run = RedisCache._run

        def hurt(*given: Any) -> Any:
            self._now_and_then()
            yield from run(*given)
            self._now_and_then()

        with mock.patch.object(RedisCache, "_run", hurt):
            yield

    def _now_and_then(self) -> None:
        if not self._is_calm and self._chance.random() < 0.2:
            self._hurt()

    def _hurt(self) -> None:
        name, client, chance = self._name, self._client, self._chance
        is_hash, tickets_fit = client.type(name) == b"hash", client.type(TICKETS) in (b"hash", b"none")
        hurts: Sequence[Callable[[], object]] = [
            lambda: client.delete(name),
            client.flushdb,
            client.script_flush,
            lambda: client.pexpire(name, chance.choice([1, 100_000])),
            lambda: _replace(client, name, chance),
            lambda: client.delete(TICKETS),
            lambda: _replace(client, TICKETS, chance),
            *(self._forge_a_value,) * 3 * is_hash,
            *(lambda: client.hset(name, "_state", chance.choice(NO_STATES)),) * is_hash,
            *(lambda: client.hdel(name, "_state"),) * is_hash,
            *(lambda: client.hset(name, "another's", "x" * 3000),) * is_hash,
            *(lambda: client.hset(TICKETS, name, chance.choice(NO_TICKETS)),) * tickets_fit,
        ]
        chance.choice(hurts)()

    def _forge_a_value(self) -> None:
        field = self._chance.choice(FIELDS)
        forged = self._chance.choice(NO_MAPS if field in MAP_FIELDS else NO_TEXTS)
        self._client.hset(self._name, HASH_NAMES.get(field, field), forged)


def _replace(client: Any, key: str | bytes, chance: random.Random) -> None:
    """By a key of another type."""
    client.delete(key)
    chance.choice([client.set, client.rpush, client.sadd])(key, "x")


def lives(database: str, first: int, count: int, directory: Path) -> dict[int, str]:
    """See wrong_lives."""
    return wrong_lives(Damage, database, 3, range(first, first + count), directory)


@pytest.mark.parametrize("database", ["sqlite", "simulated-cassandra"])
@pytest.mark.parametrize("first", FIRSTS)
def test_lives_beside_one_who_damages(tmp_path: Path, first: int, database: str) -> None:
    assert lives(database, first, LIVES, tmp_path) == {}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there:
        for number, what in lives(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(there)).items():
            sys.stdout.write(f"seed {number}: {what}\n")
