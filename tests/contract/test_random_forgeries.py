"""Random hashes that another program forges in Redis, between random uses of the stores.

Whatever it writes: no call fails or repeats for good, an audit's repair makes the stores agree, and after an event that says everything
both have just that, for who reads the hash itself, too. `python -m tests.contract.test_random_forgeries FIRST COUNT` runs more lives.
"""

import random
import sys
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pytest
from redis import Redis
from structlog.testing import capture_logs

from devicesync.cache.redis_scripts import HASH_NAMES, NAMES
from devicesync.jobs.audit.difference import kind_of, look
from devicesync.jobs.audit.repair import repair
from devicesync.law.event import Event
from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS
from devicesync.law.maps import map_text
from devicesync.law.state import NOTHING, state_of
from devicesync.stores import Stores
from tests.contract.stores import DATABASES, redis_at, redis_url
from tests.law.strategies import BASE_US

if TYPE_CHECKING:
    from collections.abc import Callable

LIVES = 40
FIRSTS = (0, 520, 800, 1440)
"""542, 813 and 1465 have shown texts that were no UTF-8 and never settled."""
VERSIONS = [BASE_US + 700 * number for number in range(6)]
NUMBERS = ["0", "", "1", "+5", "-1", "1_0", "9" * 16, "0" * 17, "1e3", "٣", str(1 << 52), str(1 << 62), *map(str, VERSIONS * 2)]
TEXTS = [
    *(
        b"Pune",
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"a":1}',
        b'{"a":"b","a":"c"}',
        b'{"a" : "b"}',
        b'{"a":"\\ud800"}',
        b"\x00",
        b"{" * 1000,
    ),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\xff" * 340_000, b"c" * 65_536, b"c" * 1_100_000, b'{"a":"' + b"v" * 70_000 + b'"}'),
]
UNSETTLED = -2


def _shown(value: bytes) -> object:
    """The bytes of a text, what a map says: another program may have written it otherwise."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value


def random_event(chance: random.Random, name: str) -> Event:
    """Of few versions and values, so that many tie; some are erases."""
    version = chance.choice(VERSIONS)
    if chance.random() < 0.15:
        return Event(name, version, erase=True)
    texts = [map_text({"os": chance.choice("12é")}) if field in MAP_FIELDS else chance.choice("aé") for field in FIELDS]
    return Event(name, version, values=tuple(text if chance.random() < 0.5 else None for text in texts))


class Forgeries:
    """One device, and who forges its hash."""

    def __init__(self, stores: Stores, client: Any, seed: int) -> None:
        self._stores = stores
        self._chance = random.Random(seed)
        self._name = uuid.uuid4().hex
        self._client = client
        self._uses: list[Callable[[], object]] = [
            *(lambda: stores.write({self._name: state_of(self._event())}),) * 2,
            lambda: stores.restore({self._name: state_of(self._event())}),
            lambda: stores.refill([self._name]),
            lambda: stores.read(self._name),
            lambda: look([self._name], stores),
            lambda: repair([self._name], stores),
        ]

    def run(self) -> None:
        """Raises AssertionError for what is wrong in the end."""
        with capture_logs() as told:
            for _ in range(self._chance.randint(0, 3)):
                self._stores.write({self._name: state_of(self._event())})
            for _ in range(self._chance.randint(1, 3)):
                self._forge()
                for _ in range(self._chance.randint(1, 3)):
                    self._chance.choice(self._uses)()
            self._audits()
            for _ in range(2):  # a forged erase goes into the database first
                repair([self._name], self._stores)
            assert self._audits(), "repairs do not make them agree"
            self._says_everything()
        assert not [line for line in told if "does not keep" in line["event"]]

    def _says_everything(self) -> None:
        known = self._stores.database.read([self._name]).get(self._name)
        texts = {field: map_text({"o": "1"}) if field in MAP_FIELDS else "Agra" for field in FIELDS}
        later = max(VERSIONS[-1], known.profile_version if known else 0) + 1
        state = state_of(Event(self._name, later, values=tuple(texts[field] for field in FIELDS)))
        self._stores.write({self._name: state})
        for found in (self._stores.cache.read([self._name]), self._stores.database.read([self._name])):
            assert found[self._name].registers == state.registers
        assert self._audits()
        assert self._shown_by_redis() == {field: _shown((text or "").encode()) for field, text in texts.items()}

    def _audits(self) -> bool:
        """Whether an audit finds no difference. Then there is none, but for a hash that is none of ours, where there is no profile."""
        (sides,) = look([self._name], self._stores).values()
        finds_none = kind_of(sides) is None
        if finds_none and (sides.cache or (sides.database and sides.database.texts)):
            assert self._shown_by_redis() == self._shown_by_the_database(), "an audit finds no difference"
        return finds_none

    def _shown_by_redis(self) -> dict[str, object]:
        """What who reads the hash itself gets."""
        if self._client.type(self._name) != b"hash":
            return {}
        held = self._client.hmget(self._name, [HASH_NAMES.get(field, field) for field in FIELDS])
        return {field: _shown(value) for field, value in zip(FIELDS, held, strict=True) if value is not None}

    def _shown_by_the_database(self) -> dict[str, object]:
        state = self._stores.database.read([self._name]).get(self._name, NOTHING)
        of_facets = zip(FACETS, state.registers, strict=True)
        held = {field: value for facet, (_, values) in of_facets for field, value in zip(facet.fields, values, strict=True)}
        return {field: _shown(value.encode()) for field, value in held.items() if value is not None}

    def _event(self) -> Event:
        return random_event(self._chance, self._name)

    def _forge(self) -> None:
        chance = self._chance
        if chance.random() < 0.1:
            self._client.delete(self._name)
        if chance.random() < 0.05:
            self._client.set(self._name, "a string")
        if self._client.type(self._name) not in (b"hash", b"none"):
            return
        state = (self._client.hget(self._name, "_state") or b"0,0,,,,,,,0,0,0,0,ff").decode().split(",")
        for _ in range(chance.randint(0, 3)):
            state[chance.randrange(len(state))] = chance.choice(NUMBERS)
        if chance.random() < 0.5:
            state[UNSETTLED:-1] = ["1"]
        state = state[: chance.choice((None, None, None, None, None, -1))]
        forged = {chance.choice(NAMES[1:]): chance.choice((*TEXTS, *map(str, VERSIONS))) for _ in range(chance.randint(0, 3))}
        self._client.hset(self._name, mapping={"_state": ",".join(state)} | forged)


def lives(first: int, count: int, directory: Path) -> dict[int, str]:
    """See wrong_lives."""
    return wrong_lives(Forgeries, "sqlite", 2, range(first, first + count), directory)


class Life(Protocol):
    def run(self) -> None: ...


def wrong_lives(
    life: "Callable[[Stores, Any, int], Life]", database: str, number: int, seeds: range, directory: Path
) -> dict[int, str]:
    """What is wrong, by the seed of each life that shows something. number: of the database in Redis."""
    wrong = {}
    url = f"{redis_url()}/{number}"
    with closing(Stores(redis_at(url), DATABASES[database](directory))) as stores, closing(Redis.from_url(url)) as client:
        for seed in seeds:
            try:
                life(stores, client, seed).run()
            except Exception as error:  # noqa: BLE001 - any is one
                wrong[seed] = f"{type(error).__name__}: {str(error)[:600]}"
    return wrong


@pytest.mark.parametrize("first", FIRSTS)
def test_lives_beside_one_who_forges(tmp_path: Path, first: int) -> None:
    assert lives(first, LIVES, tmp_path) == {}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there:
        for number, what in lives(int(sys.argv[1]), int(sys.argv[2]), Path(there)).items():
            sys.stdout.write(f"seed {number}: {what}\n")
