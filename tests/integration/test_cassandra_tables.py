"""Tables that are there already, older servers, and servers that are too old."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from devicesync.database.cassandra import CassandraDatabase, CassandraUrl, ring, rows
from devicesync.database.cassandra.driver import Rows
from devicesync.errors import Unavailable, WrongUse
from devicesync.law.event import Event
from devicesync.law.state import state_of
from tests import servers
from tests.law.strategies import BASE_US, values_of

OLD_TABLES = (
    "CREATE KEYSPACE {0} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
    (
        "CREATE TABLE {0}.device_profile (device_id text PRIMARY KEY, first_access timestamp, last_access timestamp, total_ts double,"
        " total_launches bigint, avg_ts double, device_spec map<text, text>, uaspec map<text, text>, updated_date timestamp,"
        " api_last_updated_on timestamp, state text, state_code text, country text, country_code text, state_custom text,"
        " state_code_custom text, city text, fcm_token text, producer_id text,"
        " user_declared_state text, user_declared_district text, user_declared_on timestamp)"
    ),
    "CREATE TABLE {0}.device_erasure (device_id text PRIMARY KEY, version bigint)",
    (
        "INSERT INTO {0}.device_profile (device_id, city, device_spec, api_last_updated_on) VALUES ('old', 'Pune', {{'os': '9'}}, 5)"
        " USING TIMESTAMP 1600000000000000"
    ),
)
OF_ERASURES = [
    f"device_erasure.{column}"
    for column in ("device_spec", "location", "long_device_spec", "long_uaspec", "uaspec", "user_declared", "user_declared_on")
]
LATER = ["device_profile.district_custom"]  # the profile has had it only since
OF_MAPS = ["device_profile.device_spec_version", "device_profile.uaspec_version"]


@pytest.mark.parametrize(("release", "added"), [("5.0", OF_ERASURES + LATER), ("4.1", OF_ERASURES + LATER + OF_MAPS)])
def test_tables_that_are_there_get_the_columns_that_this_ring_needs(release: str, added: list[str]) -> None:
    """They are named, nothing else changes, and the old rows count as of the time of their write."""
    keyspace = f"old_{uuid.uuid4().hex[:8]}"
    database = CassandraDatabase(CassandraUrl.parse(f"cassandra://127.0.0.1:{servers.cassandra(release).port}/{keyspace}"))
    for statement in OLD_TABLES:
        database._driver.query(statement.format(keyspace))
    with pytest.raises(Unavailable, match="table device_profile lacks district_custom") as raised:
        database.check()
    assert raised.value.hint == "`devicesync init` adds them"
    assert sorted(database.create()) == sorted(added)
    assert database.create() == []
    database.check()
    (state,) = database.read(["old"]).values()
    assert state.version == BASE_US
    assert [register for register in state.registers if register[0]] == [
        (BASE_US, (None,) * 4 + ("Pune",) + (None,) * 3),
        (BASE_US, ('{"os":"9"}',)),
    ]
    newer = state_of(Event("old", BASE_US + 1, values=values_of(device_spec='{"os":"10"}')))
    database.merge({"old": newer})
    assert database.read(["old"])["old"].registers[2] == (BASE_US + 1, ('{"os":"10"}',))
    database.close()


class Released:
    """A driver of a ring whose servers have these releases: old ones do not run on this JDK."""

    def __init__(self, *releases: str) -> None:
        self._releases = releases

    def query(self, cql: str) -> Rows:
        if "system_schema" in cql:
            return []
        return [("dc", release) for release in (self._releases[:1] if "local" in cql else self._releases[1:])]

    def run(self, requests: Sequence[Any]) -> list[Any]:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("releases", "reads_columns"),
    [(("5.0.5",), False), (("5.1-beta1", "5.0.0"), False), (("5.0.5", "4.1.9"), True), (("4.0.0",), True)],
)
def test_the_oldest_server_of_a_ring_decides(releases: tuple[str, ...], *, reads_columns: bool) -> None:
    """While a ring is upgraded, maps' versions are read where every server can tell them."""
    assert ring.dialect_of(Released(*releases), "k").reads_columns == reads_columns


def test_a_server_that_is_too_old_is_refused() -> None:
    """With its release, and what to do."""
    with pytest.raises(WrongUse, match=r"Cassandra 3\.11\.17 is too old: devicesync needs 4\.0 or newer"):
        ring.dialect_of(Released("5.0.5", "3.11.17"), "k")


def test_large_maps_are_not_kept() -> None:
    """A cache of a thousand maps of 60 KB held 737 MiB; the ordinary ones are kept, so that they are parsed once."""
    rows._kept_map.cache_clear()
    assert rows._map('{"os":"' + "9" * 60_000 + '"}')
    assert rows._map('{"os":"9"}') == rows._map('{"os":"9"}')
    assert rows._kept_map.cache_info().currsize == 1
